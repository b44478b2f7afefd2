"""How far an export is, on one line of stderr, when that is a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from proxy.events.export import Manifest, Record

REDRAW_S = 0.2


def size_text(count: int) -> str:
    """`count` bytes, in words."""
    if count < 1_000:
        return f"{count} B"
    for unit, scale in (("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)):
        if count < scale * 1_000 or unit == "GB":
            return f"{count / scale:.1f} {unit}"
    raise AssertionError


def amount(manifest: Manifest) -> str:
    """Rows and size."""
    word = "row" if manifest.rows == 1 else "rows"
    return f"{manifest.rows:,} {word}, {size_text(manifest.size)}"


class Meter:
    """Draws the line, and ends it."""

    def __init__(self, manifest: Manifest) -> None:
        self._is_shown = sys.stderr.isatty()
        self._last = manifest
        self._drawn_at = float("-inf")

    def show(self, manifest: Manifest, record: Record | None) -> None:
        """The state so far; `record` is the last one written, None while the rows become Parquet."""
        self._last = manifest
        now = time.monotonic()
        if not self._is_shown or now - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = now
        where = "now written as Parquet" if record is None else f"back to {record['timestamp'][:19]}Z"
        sys.stderr.write(f"\r{amount(manifest)}, {where}\x1b[K")
        sys.stderr.flush()

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown and self._drawn_at > 0:
            sys.stderr.write("\r\x1b[K")
        if kind is KeyboardInterrupt:
            sys.stderr.write(
                f"kt: stopped after {self._last.rows:,} rows; the same command goes on from there\n"
            )
        sys.stderr.flush()
