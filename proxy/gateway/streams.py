"""What a stream looks like on its way: each upstream chunk in, the client's bytes out."""

from __future__ import annotations

from proxy.wire.errors import ReportedError
from proxy.wire.json_values import is_cut
from proxy.wire.native_taps import NativeTap
from proxy.wire.sse import Frame, SseReader
from proxy.wire.stream_tap import StreamTap
from proxy.wire.translation import TruncatedError
from proxy.wire.usage import Usage


class ChatStream:
    """Chat or completions to a client of the same dialect: every byte as it came, but for hidden usage."""

    def __init__(self, *, hides_usage: bool) -> None:
        """`hides_usage`: leave out the usage frame, which the client did not ask for."""
        self._hides_usage = hides_usage
        self._reader = SseReader()
        self._tap = StreamTap()

    @property
    def usage(self) -> Usage | None:
        """See StreamTranscoder."""
        return self._tap.usage

    @property
    def finish_reason(self) -> str | None:
        """See StreamTranscoder."""
        return self._tap.finish_reason

    @property
    def upstream_model(self) -> str | None:
        """See StreamTranscoder."""
        return self._tap.model

    @property
    def first_token(self) -> bool:
        """See StreamTranscoder."""
        return self._tap.content

    @property
    def done(self) -> bool:
        """See StreamTranscoder."""
        return self._tap.done

    @property
    def error(self) -> ReportedError | None:
        """See StreamTranscoder."""
        return self._tap.error

    def feed(self, chunk: bytes) -> bytes:
        """See StreamTranscoder."""
        return self._kept(self._reader.feed(chunk))

    def finish(self) -> bytes:
        """See StreamTranscoder."""
        rest = self._reader.finish()
        if rest is not None and is_cut(rest.data):
            raise TruncatedError
        tail = b"" if rest is None else self._kept([rest])
        if self._tap.error is None and not self._tap.complete and not self._reader.gave_up:
            raise TruncatedError
        return tail

    def _kept(self, frames: list[Frame]) -> bytes:
        see, hides = self._tap.see, self._hides_usage
        kept = [frame.raw for frame in frames if not (see(frame) and hides)]
        return kept[0] if len(kept) == 1 else b"".join(kept)


class OpaqueStream:
    """A stream that nothing is read from: every byte as it came, and its end is its end."""

    usage: Usage | None = None
    finish_reason: str | None = None
    upstream_model: str | None = None
    done = False
    error: ReportedError | None = None

    def __init__(self) -> None:
        self.first_token = False

    def feed(self, chunk: bytes) -> bytes:
        """See StreamTranscoder."""
        self.first_token = True
        return chunk

    def finish(self) -> bytes:
        """See StreamTranscoder."""
        return b""


class NativeStream:
    """Messages or responses to a client of the same dialect: every byte as it came."""

    def __init__(self, tap: NativeTap) -> None:
        self._reader = SseReader()
        self._tap = tap

    @property
    def usage(self) -> Usage | None:
        """See StreamTranscoder."""
        return self._tap.usage

    @property
    def finish_reason(self) -> str | None:
        """See StreamTranscoder."""
        return self._tap.finish_reason

    @property
    def upstream_model(self) -> str | None:
        """See StreamTranscoder."""
        return self._tap.model

    @property
    def first_token(self) -> bool:
        """See StreamTranscoder."""
        return self._tap.content

    @property
    def done(self) -> bool:
        """See StreamTranscoder."""
        return self._tap.done

    @property
    def error(self) -> ReportedError | None:
        """See StreamTranscoder."""
        return self._tap.error

    def feed(self, chunk: bytes) -> bytes:
        """See StreamTranscoder."""
        frames = self._reader.feed(chunk)
        for frame in frames:
            self._tap.see(frame)
        return b"".join(frame.raw for frame in frames)

    def finish(self) -> bytes:
        """See StreamTranscoder."""
        rest = self._reader.finish()
        if rest is not None:
            self._tap.see(rest)
        if self._tap.error is None and not self._tap.done and not self._reader.gave_up:
            raise TruncatedError
        return b"" if rest is None else rest.raw
