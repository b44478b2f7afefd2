"""An incremental reader of server-sent events that keeps every byte.

The frames it gives, put together, are exactly what was fed; which frames there are does not depend on how the
bytes were cut into chunks. Lines end in LF, CRLF or CR. A CR that ends a blank line is acted on at once when
the line before ended in a lone CR too (so that a stream with CR endings is not held up); a LF behind it then
belongs to the next frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

FRAME_LIMIT = 8 * 1024 * 1024
"""Bytes of one frame; a longer one is passed on unread."""
_BOM = b"\xef\xbb\xbf"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream."""

    raw: bytes
    """As it came, with the blank line that ends it."""
    data: bytes | None
    """Its `data` lines joined by LF; None when it has none (a comment, a lone `event:`, a blank line)."""
    event: bytes | None = None
    """Its `event` field."""


class SseReader:
    """Feed chunks, get frames. `finish()` gives what is left at the end of the stream."""

    __slots__ = ("_buffer", "_carriage", "_first", "_line", "_searched", "gave_up")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._line = 0  # where the first line that is not known to be inside the frame begins
        self._searched = 0  # no line break stands between it and here
        self._carriage = False  # the buffer holds a CR
        self._first = True
        self.gave_up = False
        """A frame was longer than FRAME_LIMIT.

        From there on everything comes unread, in frames without data.
        """

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that `chunk` completes."""
        return list(self.each(chunk))

    def each(self, chunk: bytes) -> Iterator[Frame]:
        """The same, one by one. Those that are not asked for are not read, and the reader is then of no further use."""
        if self.gave_up:
            if chunk:
                yield Frame(chunk, None)
            return
        buffer = self._buffer
        buffer += chunk
        self._carriage = self._carriage or b"\r" in chunk
        frame_end = _frame_end if self._carriage else _frame_end_without_cr
        start, line, searched = 0, self._line, self._searched
        while True:
            end, line, searched = frame_end(buffer, start, line, searched)
            if end is None:
                break
            yield self._frame(bytes(buffer[start:end]))
            start = line = searched = end
        if start:
            del buffer[:start]
            self._carriage = self._carriage and b"\r" in buffer
        self._line, self._searched = line - start, searched - start
        if len(buffer) > FRAME_LIMIT:
            self.gave_up = True
            yield Frame(bytes(buffer), None)
            buffer.clear()

    def finish(self) -> Frame | None:
        """What stands behind the last blank line, read as a frame; None when nothing does."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._line = self._searched = 0
        return self._frame(rest) if rest else None

    def _frame(self, raw: bytes) -> Frame:
        text = raw
        if self._first:
            self._first = False
            text = raw.removeprefix(_BOM)
        return parse_frame(raw, text)


def parse_frame(raw: bytes, text: bytes) -> Frame:
    """The frame whose lines are `text`."""
    if (
        text.startswith(b"data: ")
        and text.endswith(b"\n\n")
        and text.find(b"\n") == len(text) - 2
        and b"\r" not in text
    ):
        return Frame(raw, text[6:-2])
    data: list[bytes] = []
    event = None
    for line in text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
    return Frame(raw, b"\n".join(data) if data else None, event)


def _frame_end(buffer: bytearray, start: int, line: int, searched: int) -> tuple[int | None, int, int]:
    """End of the frame that begins at `start` (None: not complete), then where to go on.

    `line` is the beginning of a line at or behind `start`; the lines before it are known not to end the
    frame, and no line break stands between `line` and `searched`.
    """
    while True:
        at = _line_break(buffer, searched)
        if at < 0:
            return None, line, len(buffer)
        after = _break_end(buffer, at)
        if at == line:
            if buffer[at] == 0x0D and line > start and buffer[line - 1] == 0x0D:
                return at + 1, line, at  # lone CRs: the frame ends here, whatever follows
            return after, line, at
        if after is None:
            return None, line, at
        line = searched = after


def _frame_end_without_cr(
    buffer: bytearray, start: int, line: int, searched: int
) -> tuple[int | None, int, int]:
    """The same of a buffer in which every line ends in LF alone, as nearly all streams have it."""
    if buffer.startswith(b"\n", start):
        return start + 1, start, start
    blank = buffer.find(b"\n\n", max(start, line - 1))
    if blank >= 0:
        return blank + 2, blank + 1, blank + 1
    last = buffer.rfind(b"\n", searched)
    return None, (last + 1 if last >= 0 else line), len(buffer)


def _line_break(buffer: bytearray, start: int) -> int:
    """Offset of the first CR or LF; -1 when there is none."""
    feed = buffer.find(b"\n", start)
    if feed < 0:
        return buffer.find(b"\r", start)
    carriage = buffer.find(b"\r", start, feed)
    return feed if carriage < 0 else carriage


def _break_end(buffer: bytearray, at: int) -> int | None:
    """Where the line break at `at` ends; None when a CR is the last byte, for a LF may follow."""
    if buffer[at] == 0x0A:
        return at + 1
    if at + 1 == len(buffer):
        return None
    return at + 2 if buffer[at + 1] == 0x0A else at + 1
