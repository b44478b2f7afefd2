"""The SSE reader: every byte kept, the same frames however the bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire import sse
from proxy.wire.sse import Frame, SseReader

LINES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"data:  c",
        b": ping",
        b"event: x",
        b"id: 1",
        b"",
        b"",
        "data: 漢😀".encode(),
    ]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=14)


def read(chunks: list[bytes]) -> tuple[list[Frame], Frame | None]:
    reader = SseReader()
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)]
    return frames, reader.finish()


@settings(max_examples=400)
@given(STREAMS, st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_frames_do_not_depend_on_how_the_bytes_are_cut(
    lines: list[tuple[bytes, bytes]], cuts: list[int], bom: bool
) -> None:
    text = (b"\xef\xbb\xbf" if bom else b"") + b"".join(line + end for line, end in lines)
    whole, rest = read([text])
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert read(pieces) == (whole, rest)
    assert read([text[i : i + 1] for i in range(len(text))]) == (whole, rest)
    assert b"".join(frame.raw for frame in whole) + (rest.raw if rest else b"") == text


@settings(max_examples=300)
@given(st.lists(LINES, max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_data_is_that_of_a_plain_reading_of_the_standard(lines: list[bytes], end: bytes) -> None:
    expected, data = [], []
    for line in lines:
        if not line:
            if data:
                expected.append(b"\n".join(data))
            data = []
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
    frames, _ = read([end.join([*lines, b""])])
    assert [frame.data for frame in frames if frame.data is not None] == expected


def test_a_frame_is_given_as_soon_as_it_is_complete() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        reader = SseReader()
        assert reader.feed(b"data: 1" + end) == []
        assert [frame.data for frame in reader.feed(end)] == [b"1"], end


def test_events_and_comments_are_told_apart() -> None:
    frames, rest = read([b": keepalive\n\nevent: error\ndata: {}\n\ndata: [DONE]"])
    assert [(frame.data, frame.event) for frame in frames] == [(None, None), (b"{}", b"error")]
    assert rest is not None and rest.data == b"[DONE]"


def test_a_frame_without_end_is_passed_on_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "FRAME_LIMIT", 1000)
    reader = SseReader()
    frames = [frame for _ in range(30) for frame in reader.feed(b"x" * 100)]
    assert reader.gave_up
    assert b"".join(frame.raw for frame in frames) == b"x" * 3000
    assert all(frame.data is None for frame in frames)
    assert reader.feed(b"data: 1\n\n") == [Frame(b"data: 1\n\n", None)]
