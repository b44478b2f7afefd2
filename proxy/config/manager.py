"""Last good wins: the one place where a text becomes what runs."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from proxy.base.sanitise import sanitise
from proxy.base.times import now_ms
from proxy.config import files
from proxy.config.state import (
    Applied,
    ApplyResult,
    Author,
    Conflict,
    FileState,
    NotWritten,
    RefusedByLint,
    RunningVersion,
    StoredVersion,
    Unreadable,
    text_hash,
)
from proxy.config.versions import VersionStore
from proxy.config.watcher import FileWatcher
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.lint import LintResult, Surroundings, lint
from proxy.policy.plan import compile_plan

ANY_HASH = "*"
"""An If-Match that accepts whatever the file says."""

logger = logging.getLogger(__name__)


class ConfigManager:
    """Owns the policy file at `path`. `applied` is called with each version before requests meet it;
    `listeners` after anything a reader may want to show has changed."""

    def __init__(
        self,
        path: Path,
        versions: VersionStore,
        surroundings: Callable[[], Surroundings],
        applied: Callable[[RunningVersion], None],
    ) -> None:
        self.path = path
        self.running: RunningVersion | None = None
        self.file = FileState("missing", "not read yet", None, None)
        self._versions = versions
        self._surroundings = surroundings
        self._applied = applied
        self._listeners: list[Callable[[], None]] = []
        self._lock = asyncio.Lock()
        self._watcher = FileWatcher(path, self._file_changed)

    # -- life

    async def start(self) -> None:
        """Apply what the file says; when it is broken, the version applied last from this path, loudly.

        Afterwards `running` is None if neither can run, and `file` says why.
        """
        await self._watcher.wait_for_save()
        reading = files.read(self.path)
        if reading.text is not None:
            result = self._lint(reading.text)
            if result.clean:
                await self._run(reading.text, result, Author("", "start"))
            self._look(reading, result)
        else:
            self._look(reading, None)
        if self.running is None:
            await self._fall_back()
        self._watcher.start()

    async def stop(self) -> None:
        """Stop watching."""
        await self._watcher.stop()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every apply and every change of the file's state; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def _fall_back(self) -> None:
        stored = await self._versions.latest(str(self.path))
        if stored is None:
            return
        result = self._lint(stored.text)
        if result.clean:
            logger.warning(
                "%s cannot run (%s); version %d runs on", self.path, self.file.reason, stored.number
            )
            self._swap(stored, result)
            self._look_again()

    # -- applying

    async def apply(self, text: str, if_match: str, author: Author) -> ApplyResult:
        """Write `text` to the file and run it. `if_match`: hash of the text the author started from, or `*`."""
        async with self._lock:
            began = time.perf_counter()
            # Requests are answered on this loop: reading a text and waiting for the disk happen beside it.
            result = await asyncio.to_thread(self._lint, text)
            if not result.clean:
                return RefusedByLint(result.diagnostics)
            reading = files.read(self.path)
            if reading.text is None and not reading.missing:
                return Unreadable(reading.problem or "the file cannot be read")
            present = (
                reading.text if reading.text is not None else (self.running.text if self.running else "")
            )
            if if_match != ANY_HASH and text_hash(present) != if_match:
                return Conflict(text_hash(present), present)
            if reading.text != text:
                try:
                    await asyncio.to_thread(files.write, self.path, text)
                except OSError as error:
                    reason = f"could not write {self.path.name}: {os.strerror(error.errno or 0)}"
                    self._set_file(FileState("differs", reason, self.file.hash, self.file.text))
                    return NotWritten(reason)
            changed = self.running is None or self.running.text != text
            if changed:
                await self._run(text, result, author)
            self._look(files.Reading(text), result)
            assert self.running is not None
            return Applied(self.running, changed, (time.perf_counter() - began) * 1_000)

    async def restore(self, digest: str, if_match: str, author: Author) -> ApplyResult | None:
        """Apply an earlier version again, as a new one. None when there is no such version."""
        stored = await self._versions.find(str(self.path), digest)
        return await self.apply(stored.text, if_match, author) if stored is not None else None

    async def versions(self) -> list[StoredVersion]:
        """Applied versions of this file, newest first, without texts."""
        return await self._versions.listing(str(self.path))

    async def version_spans(self) -> dict[int, tuple[int, int | None]]:
        """When each version of this file ran, by its number: from, until (None: runs on), in milliseconds since 1970."""
        return await self._versions.spans(str(self.path))

    async def version(self, digest: str) -> StoredVersion | None:
        """One version with its text."""
        return await self._versions.find(str(self.path), digest)

    async def version_at(self, moment_ms: int) -> StoredVersion | None:
        """What had been applied last at `moment_ms` (milliseconds since 1970), with its text."""
        return await self._versions.at(str(self.path), moment_ms)

    def surroundings(self) -> Surroundings:
        """What lint is told of this machine now."""
        return self._surroundings()

    def lint(self, text: str) -> LintResult:
        """What lint says of `text` in the surroundings of this gateway."""
        return self._lint(text)

    # -- the file

    async def _file_changed(self, settled: files.Fingerprint | None) -> None:
        async with self._lock:
            reading = files.read(self.path)
            if files.fingerprint(self.path) != settled:
                # Waiting for the lock may have taken long: the next save has begun, and the watcher tells its end.
                return
            if reading.text is None:
                self._look(reading, None)
                return
            if self.running is not None and reading.text == self.running.text:
                self._look(reading, None)
                return
            result = await asyncio.to_thread(self._lint, reading.text)
            if result.clean:
                before = self.running.text if self.running is not None else ""
                await self._run(reading.text, result, Author("", "file"))
                logger.info(
                    "applied %s, saved outside: %d -> %d characters",
                    self.path,
                    len(before),
                    len(reading.text),
                )
            self._look(reading, result)

    def _look(self, reading: files.Reading, result: LintResult | None) -> None:
        """Say how the file stands to what runs."""
        if reading.text is None:
            condition = "missing" if reading.missing else "unreadable"
            self._set_file(FileState(condition, reading.problem, None, None))  # type: ignore[arg-type]
            return
        digest = text_hash(reading.text)
        if self.running is not None and self.running.hash == digest:
            self._set_file(FileState("same", None, digest, reading.text, self.running.diagnostics))
            return
        found = (result or self._lint(reading.text)).diagnostics
        self._set_file(FileState("differs", _reason(found), digest, reading.text, found))

    def _look_again(self) -> None:
        self._look(files.read(self.path), None)

    def _set_file(self, state: FileState) -> None:
        if state != self.file:
            if state.reason is not None and state.reason != self.file.reason:
                logger.warning("%s: %s", self.path, state.reason)
            self.file = state
        for listener in list(self._listeners):
            listener()

    # -- running

    def _lint(self, text: str) -> LintResult:
        return lint(text, self._surroundings())

    async def _run(self, text: str, result: LintResult, author: Author) -> None:
        digest, at = text_hash(text), now_ms()
        fresh = StoredVersion(
            0, digest, at, sanitise(author.who, 80), author.through, sanitise(author.why, 500), text
        )
        self._swap(await self._remember(fresh), result)

    async def _remember(self, version: StoredVersion) -> StoredVersion:
        """Keep `version`; what stands in the file runs even if it cannot be kept."""
        path = str(self.path)
        try:
            latest = await self._versions.latest(path)
            if version.through == "start" and latest is not None and latest.hash == version.hash:
                return latest
            return replace(version, number=await self._versions.add(path, version))
        except sqlite3.Error as error:
            logger.error("version %s runs but could not be kept: %s", version.hash[:7], sanitise(error, 200))
            return replace(version, number=(self.running.number if self.running is not None else 0) + 1)

    def _swap(self, stored: StoredVersion, result: LintResult) -> None:
        assert result.policy_file is not None
        version = RunningVersion(
            number=stored.number,
            hash=stored.hash,
            text=stored.text,
            policy_file=result.policy_file,
            plan=compile_plan(result.policy_file, stored.hash),
            diagnostics=result.diagnostics,
            applied_at_ms=stored.applied_at_ms,
            who=stored.who,
            through=stored.through,
            why=stored.why,
        )
        self._applied(version)
        self.running = version


def _reason(diagnostics: tuple[Diagnostic, ...]) -> str:
    errors = sum(problem.severity == "error" for problem in diagnostics)
    if errors:
        return f"{errors} error{'s' if errors > 1 else ''}"
    return "not applied yet"
