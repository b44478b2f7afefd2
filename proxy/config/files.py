"""Reading and writing the policy file so that nobody ever sees half of it."""

from __future__ import annotations

import os
import stat
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 4 << 20
"""Beyond this nothing is read; lint refuses far smaller texts."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells that a file changed; two equal ones mean it was not touched in between."""

    inode: int
    size: int
    mtime_ns: int
    checksum: int
    """Of the content: some tools write without a trace in size and time."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it was read, or why it could not be (`missing` or half a sentence)."""

    text: str | None
    problem: str | None = None
    missing: bool = False


def fingerprint(path: Path) -> Fingerprint | None:
    """Of the file behind all symlinks; None when there is none."""
    try:
        info = path.stat()
    except OSError:
        return None
    return Fingerprint(info.st_ino, info.st_size, info.st_mtime_ns, _checksum(path))


def _checksum(path: Path) -> int:
    try:
        with _opened(path) as file:
            return zlib.crc32(file.read(MAX_BYTES))
    except OSError:
        return 0


class _NoFileError(OSError):
    """What stands at the path is no regular file."""


def _opened(path: Path) -> BinaryIO:
    """`path`, if it is a regular file. A pipe or a device must neither block who reads nor be read without end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
            raise _NoFileError(f"it is {kind}, not a file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read(path: Path) -> Reading:
    """The text of `path`: UTF-8, line endings and BOM kept."""
    try:
        with _opened(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Reading(None, "the file is gone", missing=True)
    except _NoFileError as error:
        return Reading(None, str(error))
    except OSError as error:
        return Reading(None, f"could not read the file: {os.strerror(error.errno or 0)}")
    return decoded(data)


def decoded(data: bytes) -> Reading:
    """The text of bytes that were read, at most one more than MAX_BYTES of them."""
    if len(data) > MAX_BYTES:
        return Reading(None, "the file is larger than 4 MiB")
    try:
        return Reading(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Reading(None, f"the file is not UTF-8 (byte {error.start}); save it as UTF-8")


def write(path: Path, text: str) -> None:
    """Replace the text of `path`: temporary file beside it, fsync, rename; same mode and owner.

    Symlinks are followed, so that the link stays one. Where the directory does not allow the rename the file is
    written in place. Raises OSError when neither is possible.
    """
    target = path.resolve()
    data = text.encode("utf-8")
    try:
        _replace(target, data)
    except OSError:
        with target.open("r+b" if target.exists() else "wb") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())


def _replace(target: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            _copy_rights(target, file.fileno())
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)


def _copy_rights(target: Path, descriptor: int) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        # Raises where it is not allowed: the file is then written in place and keeps its owner.
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
