"""The pieces of a streamed chat answer, put into one order of whole blocks.

Anthropic's blocks come one behind the other, while a chat stream may mix the pieces of several tool calls. A
block is let out piece by piece as it comes; the next one only once it is complete. Whether a call's arguments
are complete can be told from the text: they are one JSON object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from proxy.wire.chat_to_message import ToolCall, arguments_of, is_object

BlockKind = Literal["text", "thinking", "tool_use"]


class OrderError(ValueError):
    """Pieces that belong to no block: its argument is a sentence."""


@dataclass(slots=True)
class Segment:
    """One block: pieces that came and are not let out yet."""

    kind: BlockKind
    id: str = ""
    name: str = ""
    waiting: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    """All pieces of a call's arguments so far."""

    def add(self, piece: str) -> None:
        """Put a piece behind the others."""
        self.waiting.append(piece)
        if self.kind == "tool_use":
            self.whole.append(piece)

    @property
    def complete(self) -> bool:
        """Whether nothing more can belong to it, now that another block has begun."""
        if self.kind != "tool_use":
            return True
        return bool(self.whole) and self.whole[-1].rstrip().endswith("}") and is_object("".join(self.whole))


@dataclass(frozen=True, slots=True)
class Opened:
    """A block begins."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Piece:
    """Something of the open block."""

    kind: BlockKind
    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The open block ends."""


Step = Opened | Piece | Closed


class Segments:
    """Takes pieces as they come, gives the steps of blocks in order."""

    def __init__(self) -> None:
        self._queue: list[Segment] = []  # the first may be open; the others wait
        self._is_open = False
        self._calls: dict[int, Segment] = {}  # by their index in the stream, the latest of each
        self._latest: Segment | None = None
        self.tools = 0
        """Tool calls so far."""

    def say(self, kind: Literal["text", "thinking"], text: str) -> None:
        """A piece of text or of thinking."""
        if not self._queue or self._queue[-1].kind != kind:
            self._queue.append(Segment(kind))
        self._queue[-1].add(text)

    def call(self, call: ToolCall, made_by: str) -> None:
        """A piece of a tool call. Raises OrderError for one of a call that never began or has ended."""
        segment = self._segment_of(call)
        name = call.function.name if call.function is not None else None
        new_id = call.id if isinstance(call.id, str) and call.id else None
        if segment is None or (new_id is not None and name and segment.id != new_id):
            # Some servers give every call of an answer the same index, and only the id tells them apart.
            segment = Segment("tool_use", id=new_id or f"call_{made_by}_{self.tools}")
            self.tools += 1
            self._queue.append(segment)
        self._latest = segment
        if isinstance(call.index, int):
            self._calls[call.index] = segment
        if isinstance(name, str) and not segment.name:
            segment.name = name
        piece = arguments_of(call.function) if call.function is not None else ""
        if not piece:
            return
        if not any(one is segment for one in self._queue):
            if piece.strip():
                raise OrderError("a tool call went on after its arguments were complete")
            return
        segment.add(piece)

    def _segment_of(self, call: ToolCall) -> Segment | None:
        return self._calls.get(call.index) if isinstance(call.index, int) else self._latest

    def steps(self, *, end: bool = False) -> Iterator[Step]:
        """What can be let out now; with `end` all of it. Raises OrderError for a call without a name."""
        while self._queue:
            head = self._queue[0]
            if not self._is_open:
                if head.kind == "tool_use" and not head.name:
                    if end:
                        raise OrderError("a tool call has no name")
                    return
                self._is_open = True
                yield Opened(head)
            for piece in head.waiting:
                yield Piece(head.kind, piece)
            head.waiting.clear()
            if not end and (len(self._queue) == 1 or not head.complete):
                return
            self._queue.pop(0)
            self._is_open = False
            yield Closed()
