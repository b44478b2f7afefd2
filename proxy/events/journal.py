"""The journal: what was answered, on disk before the client sees the end of its answer.

Append-only segments, one `write(2)` per event. A written line survives the death of the process (not of the
machine: nothing is fsynced). A segment goes away once every event in it is in the database.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from proxy.events.errors import StoreError

SEGMENT_BYTES = 4 * 1024 * 1024
JOURNAL_BYTES = 512 * 1024 * 1024
"""The journal as a whole; beyond it, it counts as full."""
_SUFFIX = ".journal"
_REOPEN_EVERY_S = 1.0
_PROBE = b" " * 4096
"""Written to see whether there is room, and taken back. Without an end of line a reader passes it over."""


class JournalError(Exception):
    """The journal did not take a line. `reason` is the short code that drops are counted under."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True, eq=False)
class Segment:
    """One file of the journal."""

    path: Path
    size: int = 0
    queued: int = 0
    """Lines whose events also wait in memory."""
    deferred: int = 0
    """Lines whose events are nowhere else."""
    recovered: bool = False
    """Left behind by an earlier process; how many of its events are new is not known."""

    @property
    def done(self) -> bool:
        """Whether nothing in it is needed any more."""
        return not (self.queued or self.deferred or self.recovered)


class Journal:
    """The segments in one directory. Used by one process at a time (a lock file sees to that)."""

    def __init__(
        self, directory: Path, segment_bytes: int = SEGMENT_BYTES, total_bytes: int = JOURNAL_BYTES
    ) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._total_bytes = total_bytes
        self._names = count(1)
        self._lock: int | None = None
        self._fd: int | None = None
        self._active: Segment | None = None
        self._sealed: list[Segment] = []
        self._not_made: OSError | None = None
        """Why the last segment could not be made."""
        self._retry_open_at = 0.0
        self.trouble: str | None = None
        """Why the last line was not taken; None while it works."""

    def open(self) -> None:
        """Lock the directory and list what an earlier process left. StoreError when another has it."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot use the journal directory {self._directory}: {error.strerror}"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise StoreError(
                f"another gateway writes to {self._directory}: stop it or give this one its own --state-dir"
            ) from None
        self._lock = lock
        left = sorted(self._directory.glob(f"*{_SUFFIX}"))
        self._sealed = [Segment(path, size=path.stat().st_size, recovered=True) for path in left]

    def append(self, payload: bytes) -> Segment:
        """Write one line; returns the segment it went to (counting is the caller's). Raises JournalError."""
        line = b"%08x %b\n" % (zlib.crc32(payload), payload)
        try:
            segment = self._room_for(len(line))
            self._write(segment, line)
        except OSError as error:
            reason = "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "disk-error"
            self.trouble = self._sentence(error)
            raise JournalError(reason, self.trouble) from None
        self.trouble = None
        return segment

    def _room_for(self, size: int) -> Segment:
        segment = self._active
        if segment is not None and segment.size + size > self._segment_bytes and segment.size:
            self.seal()
            segment = None
        if segment is not None:
            return segment
        if sum(sealed.size for sealed in self._sealed) + size > self._total_bytes:
            raise OSError(errno.ENOSPC, f"its {self._total_bytes // 2**20} MiB are used up")
        if self._not_made is not None and time.monotonic() < self._retry_open_at:
            raise OSError(self._not_made.errno, self._not_made.strerror)
        path = self._directory / f"{time.time_ns():020d}-{os.getpid()}-{next(self._names)}{_SUFFIX}"
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._not_made, self._retry_open_at = error, time.monotonic() + _REOPEN_EVERY_S
            raise
        self._not_made = None
        self._active = Segment(path)
        return self._active

    def _write(self, segment: Segment, line: bytes) -> None:
        assert self._fd is not None
        written = os.write(self._fd, line)
        if written == len(line):
            segment.size += written
            return
        # A short write means no room.
        self._take_back(segment, segment.size)
        raise OSError(errno.ENOSPC, "no space left on device")

    def try_again(self) -> None:
        """After a line was not taken, find out whether one would be now; `trouble` ends without waiting for an event."""
        if self.trouble is None:
            return
        try:
            segment = self._room_for(len(_PROBE))
            size = segment.size
            self._write(segment, _PROBE)
            self._take_back(segment, size)
        except OSError as error:
            self.trouble = self._sentence(error)
            return
        self.trouble = None

    def _take_back(self, segment: Segment, size: int) -> None:
        assert self._fd is not None
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            # A line after half a line would be lost with it: the next one goes to another segment.
            self.seal()
            raise
        segment.size = size

    def _sentence(self, error: OSError) -> str:
        return f"the journal in {self._directory} takes nothing: {error.strerror or error}"

    def seal(self) -> None:
        """End the active segment: later lines go to a new one."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._active is not None:
            self._sealed.append(self._active)
            self._active = None

    def tidy(self) -> None:
        """Remove what is no longer needed: finished segments, and the lines of a finished active one."""
        for segment in [segment for segment in self._sealed if segment.done]:
            segment.path.unlink(missing_ok=True)
            self._sealed.remove(segment)
        active = self._active
        if active is not None and active.size and active.done and self._fd is not None:
            try:
                os.ftruncate(self._fd, 0)
            except OSError:
                # It keeps its lines; they are ignored by id should they ever be replayed.
                return
            active.size = 0

    def waiting(self) -> Segment | None:
        """The oldest segment with events that are only there, or None. It takes no more lines.

        A segment some of whose events still wait in memory is left for later, or they would be found twice.
        """
        if self._active is not None and self._active.deferred:
            self.seal()
        ready = (
            segment
            for segment in self._sealed
            if segment.recovered or (segment.deferred and not segment.queued)
        )
        return next(ready, None)

    def close(self) -> None:
        """Remove what is not needed, keep the rest for the next start, give the directory free."""
        self.seal()
        self.tidy()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def read_segment(path: Path) -> Iterator[bytes | None]:
    """The payloads of a segment in order; None for a damaged line. A torn last line is passed over."""
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield _payload(line)


def _payload(line: bytes) -> bytes | None:
    payload = line[9:-1]
    try:
        sound = int(line[:8], 16) == zlib.crc32(payload)
    except ValueError:
        return None
    return payload if sound else None
