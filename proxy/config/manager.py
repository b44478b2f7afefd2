"""Last good wins: the one place where a text becomes what runs."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from proxy.base.sanitise import sanitise
from proxy.base.times import now_ms
from proxy.config import files
from proxy.config.state import (
    UNREADABLE,
    Applied,
    ApplyResult,
    Author,
    Conflict,
    FileState,
    NotWritten,
    RefusedByLint,
    RunningVersion,
    StoredVersion,
    text_hash,
)
from proxy.config.versions import VersionStore
from proxy.config.watcher import FileWatcher
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.difference import changed_values
from proxy.policy.lint import LintResult, Surroundings, lint
from proxy.policy.plan import Plan, compile_plan

ANY_HASH = "*"
"""An If-Match that accepts whatever the file says."""

_LOGGED_CHANGES = 8

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
        async with self._lock:
            reading = files.read(self.path)
            checked = self._check(reading.text) if reading.text is not None else None
            if checked is not None and checked.plan is not None:
                await self._run(checked, Author("", "start"))
            self._look(reading, checked)
            if self.running is None:
                await self._fall_back(reading, checked)
        self._watcher.start()

    async def stop(self) -> None:
        """Stop watching."""
        await self._watcher.stop()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every apply and every change of the file's state; returns what ends it."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    async def _fall_back(self, reading: files.Reading, checked: _Checked | None) -> None:
        stored = await self._versions.latest(str(self.path))
        if stored is None:
            return
        before = self._check(stored.text)
        if before.plan is not None:
            logger.warning(
                "%s cannot run (%s); version %d runs on", self.path, self.file.reason, stored.number
            )
            self._swap(stored, before)
            self._look(reading, checked)

    # -- applying

    async def apply(self, text: str, if_match: str, author: Author) -> ApplyResult:
        """Write `text` to the file and run it. `if_match`: hash of the text the author started from, or `*`."""
        async with self._lock:
            began = time.perf_counter()
            checked = self._check(text)
            if checked.plan is None:
                return RefusedByLint(checked.result.diagnostics)
            reading = files.read(self.path)
            conflict = self._conflict(reading, if_match)
            if conflict is not None:
                return conflict
            if reading.text != text:
                try:
                    files.write(self.path, text)
                except OSError as error:
                    return self._not_written(error)
            running = self.running
            changed = running is None or running.text != text
            if changed or running is None:
                running = await self._run(checked, author)
            self._look(files.Reading(text), checked)
            return Applied(running, changed, (time.perf_counter() - began) * 1_000)

    def present(self) -> tuple[str, str]:
        """Hash and text of what the next change starts from: the file, or what runs where there is none."""
        return self._present(files.read(self.path))

    def _present(self, reading: files.Reading) -> tuple[str, str]:
        if reading.text is None and not reading.missing:
            return UNREADABLE, ""
        running = self.running.text if self.running is not None else ""
        text = reading.text if reading.text is not None else running
        return text_hash(text), text

    def _conflict(self, reading: files.Reading, if_match: str) -> Conflict | None:
        digest, text = self._present(reading)
        return None if if_match in (ANY_HASH, digest) else Conflict(digest, text)

    def _not_written(self, error: OSError) -> NotWritten:
        reason = f"could not write {sanitise(self.path.name, 80)}: {os.strerror(error.errno or 0)}"
        self._set_file(replace(self.file, reason=reason))
        return NotWritten(reason)

    async def restore(self, digest: str, if_match: str, author: Author) -> ApplyResult | None:
        """Apply an earlier version again, as a new one. None when there is no such version."""
        stored = await self._versions.find(str(self.path), digest)
        return await self.apply(stored.text, if_match, author) if stored is not None else None

    async def versions(self) -> list[StoredVersion]:
        """Applied versions of this file, newest first, without texts."""
        return await self._versions.listing(str(self.path))

    async def version(self, digest: str) -> StoredVersion | None:
        """One version with its text."""
        return await self._versions.find(str(self.path), digest)

    def lint(self, text: str) -> LintResult:
        """What lint says of `text` in the surroundings of this gateway."""
        return lint(text, self._surroundings())

    # -- the file

    async def _file_changed(self) -> None:
        async with self._lock:
            reading = files.read(self.path)
            if files.read(self.path) != reading:
                return  # Still being written: the next look sees it settled.
            running = self.running
            if reading.text is None or (running is not None and reading.text == running.text):
                self._look(reading, None)
                return
            checked = self._check(reading.text)
            if checked.plan is not None:
                before = running.text if running is not None else ""
                await self._run(checked, Author("", "file"))
                _log_difference(self.path, before, reading.text)
            self._look(reading, checked)

    def _look(self, reading: files.Reading, checked: _Checked | None) -> None:
        """Say how the file stands to what runs."""
        text, running = reading.text, self.running
        if text is None:
            self._set_file(
                FileState("missing" if reading.missing else "unreadable", reading.problem, None, None)
            )
            return
        digest = text_hash(text)
        if running is not None and running.hash == digest:
            self._set_file(FileState("same", None, digest, text, running.diagnostics))
            return
        found = (checked or self._check(text)).result.diagnostics
        self._set_file(FileState("differs", _reason(found), digest, text, found))

    def _set_file(self, state: FileState) -> None:
        if state != self.file:
            if state.reason is not None and state.reason != self.file.reason:
                logger.warning("%s: %s", self.path, state.reason)
            self.file = state
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:
                logger.exception("a listener of the policy file failed")

    # -- running

    def _check(self, text: str) -> _Checked:
        """Lint and compile: everything that can fail happens before anything is written or swapped."""
        result = self.lint(text)
        if result.policy_file is None:
            return _Checked(text, result, None)
        return _Checked(text, result, compile_plan(result.policy_file, text_hash(text)))

    async def _run(self, checked: _Checked, author: Author) -> RunningVersion:
        digest, path = text_hash(checked.text), str(self.path)
        latest = await self._versions.latest(path)
        if author.through == "start" and latest is not None and latest.hash == digest:
            return self._swap(latest, checked)
        version = StoredVersion(
            number=(self.running.number if self.running is not None else 0) + 1,
            hash=digest,
            applied_at_ms=now_ms(),
            who=sanitise(author.who, 80),
            through=author.through,
            why=sanitise(author.why, 500),
            text=checked.text,
        )
        try:
            version = replace(version, number=await self._versions.add(path, version))
        except sqlite3.Error as error:
            # The file is written and clean: it must run, even if it cannot be remembered.
            logger.warning("the version could not be kept: %s", sanitise(error, 200))
        return self._swap(version, checked)

    def _swap(self, stored: StoredVersion, checked: _Checked) -> RunningVersion:
        policy_file, plan = checked.result.policy_file, checked.plan
        if policy_file is None or plan is None:
            raise ValueError("a text with errors cannot run")
        version = RunningVersion(
            number=stored.number,
            hash=stored.hash,
            text=stored.text,
            policy_file=policy_file,
            plan=plan,
            diagnostics=checked.result.diagnostics,
            applied_at_ms=stored.applied_at_ms,
            who=stored.who,
            through=stored.through,
            why=stored.why,
        )
        self._applied(version)
        self.running = version
        return version


@dataclass(frozen=True, slots=True)
class _Checked:
    """A text, what lint says of it, and its plan when it may run."""

    text: str
    result: LintResult
    plan: Plan | None


def _reason(diagnostics: tuple[Diagnostic, ...]) -> str:
    errors = sum(problem.severity == "error" for problem in diagnostics)
    if errors:
        return f"{errors} error{'s' if errors > 1 else ''}"
    return "not applied yet"


def _log_difference(path: Path, before: str, after: str) -> None:
    changes = changed_values(before, after)
    shown = "; ".join(
        f"{change.path}: {change.before} -> {change.after}" for change in changes[:_LOGGED_CHANGES]
    )
    more = f"; and {len(changes) - _LOGGED_CHANGES} more" if len(changes) > _LOGGED_CHANGES else ""
    logger.info("applied %s, saved outside: %s%s", path, sanitise(shown, 1_000) or "no value changed", more)
