"""Streams that are unusual, hostile or endless, on every way between the dialects."""

from __future__ import annotations

import asyncio
import json
import resource
from pathlib import Path
from typing import Any

import pytest
from gateway_support import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    WHOLE,
    CutError,
    Gateway,
    RawUpstream,
    Reply,
    Script,
    Seen,
    chunked,
    delta,
    frame,
    reply_json,
    reply_raw,
    reply_stream,
    request,
)
from test_cut_everywhere import CHAT, MESSAGE, RESPONSE, WAYS, Way, event

CHAT_ERROR = frame({"error": {"message": "no more", "type": "server_error", "code": "server_error"}})
MESSAGE_ERROR = event("error", error={"type": "overloaded_error", "message": "no more"})
RESPONSE_ERROR = event("error", code="server_error", message="no more", param=None, sequence_number=1)
ERRORS = {CHAT: CHAT_ERROR, MESSAGE: MESSAGE_ERROR, RESPONSE: RESPONSE_ERROR}


def body_of(way: Way) -> dict[str, Any]:
    body = {"model": way.model, "max_tokens": 9, "stream": True}
    return body | ({"input": "Hello"} if way.path == "/v1/responses" else {"messages": QUESTION})


def frames_of(stream: bytes) -> list[bytes]:
    return [part + b"\n\n" for part in stream.split(b"\n\n") if part]


def say_and_stay(data: bytes) -> Script:
    """A stream that says `data` and is never ended by its upstream."""

    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(data))
        await writer.drain()
        await reader.read()
        raise CutError

    return script


PLACES = [(name, at) for name, way in WAYS.items() for at in range(len(frames_of(way.stream)))]


@pytest.mark.parametrize(("name", "at"), PLACES)
async def test_an_error_at_any_place_ends_the_stream_as_an_error(
    gateway: Gateway, upstream: RawUpstream, name: str, at: int
) -> None:
    way = WAYS[name]
    frames = frames_of(way.stream)
    upstream.script = say_and_stay(b"".join(frames[:at]) + ERRORS[way.stream])
    reply = await gateway.ask(body_of(way), way.path)
    (found,) = await gateway.events.until(1)
    assert found.outcome == "error"
    assert "no more" in (found.error_message or "")
    assert b"no more" in reply.body
    assert way.last not in reply.body, "no made-up ending"
    if reply.status == 200:
        assert way.error in reply.body
        assert reply.body.count(b"no more") == 1
    else:
        assert reply.error["message"] == "no more"
    await upstream.until(lambda: upstream.open == 0, within_s=2)


SHAPES = {
    "crlf": lambda stream: [stream.replace(b"\n", b"\r\n")],
    "cr": lambda stream: [stream.replace(b"\n", b"\r")],
    "bom": lambda stream: [b"\xef\xbb\xbf" + stream],
    "no blanks behind colons": lambda stream: [
        stream.replace(b"data: ", b"data:").replace(b"event: ", b"event:")
    ],
    "comments": lambda stream: [stream.replace(b"data: ", b": OPENROUTER PROCESSING\n\n: x\ndata: ", 1)],
    "byte by byte": lambda stream: [stream[at : at + 1] for at in range(len(stream))],
    "several lines of data": lambda stream: [stream.replace(b'data: {"', b'data: {\ndata: "')],
}


def text_of(way: Way, reply: Reply) -> str:
    """What the client was told, in its dialect."""
    said = []
    for line in (
        reply.body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    ):
        data = b"\n".join(part[5:].strip() for part in line.split(b"\n") if part.startswith(b"data:"))
        if not data or data == b"[DONE]":
            continue
        value = json.loads(data)
        if way.path == "/v1/chat/completions":
            said += [choice["delta"].get("content") or "" for choice in value["choices"]]
        elif way.path == "/v1/messages":
            said.append((value.get("delta") or {}).get("text") or "")
        else:
            said.append(value.get("delta") or "")
    return "".join(said)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", WAYS)
async def test_the_shape_of_a_stream_changes_nothing(
    gateway: Gateway, upstream: RawUpstream, name: str, shape: str
) -> None:
    way = WAYS[name]
    upstream.script = reply_stream(SHAPES[shape](way.stream))
    reply = await gateway.ask(body_of(way), way.path)
    (found,) = await gateway.events.until(1)
    assert (found.outcome, found.usage_status) == ("ok", "reported")
    assert found.finish_reason in ("stop", "end_turn", "completed")
    assert text_of(way, reply) == "Züri"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_report_of_nothing_is_no_report(
    gateway: Gateway, upstream: RawUpstream, streamed: bool
) -> None:
    """An answer with words whose usage is all zeros was not counted, and is not free (wire case 27)."""
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    upstream.script = (
        reply_stream([delta("Hi"), delta(finish="stop"), frame({"choices": [], "usage": zeros}), DONE])
        if streamed
        else reply_json({**WHOLE, "usage": zeros})
    )
    await gateway.ask({**body_of(WAYS["chat"]), "stream": streamed})
    (found,) = await gateway.events.until(1)
    assert (found.outcome, found.usage_status, found.cost_status) == ("ok", "unknown", "unpriced")
    assert (found.input_tokens, found.output_tokens) == (None, None)


async def test_a_choice_that_never_ended_is_not_whole(gateway: Gateway, upstream: RawUpstream) -> None:
    """Of two choices one says why it ended; then the connection is gone."""
    other = frame({"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": None}]})
    first = frame({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]})
    upstream.script = reply_stream([other, first])
    reply = await gateway.ask(body_of(WAYS["chat"]) | {"n": 2})
    assert b'"code":"stream_truncated"' in reply.body
    assert (await gateway.events.until(1))[0].outcome == "truncated"


async def test_a_filter_s_late_word_does_not_open_a_choice_again(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    """Azure tells what its filter found behind the finish reason, without a delta and without a reason."""
    late = frame({"choices": [{"index": 0, "content_filter_offsets": {}, "finish_reason": None}]})
    upstream.script = reply_stream([delta("Hi"), delta(finish="stop"), late])
    await gateway.ask(body_of(WAYS["chat"]))
    assert (await gateway.events.until(1))[0].outcome == "ok"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nx\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x00" * 100,
    ],
)
async def test_an_upstream_that_is_no_clean_http_is_a_502(
    gateway: Gateway, upstream: RawUpstream, head: bytes
) -> None:
    upstream.script = reply_raw(head, cut=True)
    reply = await gateway.ask(body_of(WAYS["chat"]) | {"stream": False})
    assert (reply.status, reply.error["type"]) == (502, "upstream_error")
    upstream.script = reply_stream([CHAT])
    assert (await gateway.ask(body_of(WAYS["chat"]))).status == 200, "and the next request is served"


@pytest.mark.parametrize("value", ["x\r\nset-cookie: a=b", "\x1b]0;t\x07", "a" * 9000])
async def test_no_header_of_an_upstream_is_handed_on_unclean(
    gateway: Gateway, upstream: RawUpstream, value: str
) -> None:
    body = b'{"error":{"message":"m"}}'
    head = (
        f"HTTP/1.1 400 X\r\nx-request-id: {value}\r\nset-cookie: c=d\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    upstream.script = reply_raw(head.encode() + body)
    reply = await gateway.ask(body_of(WAYS["chat"]))
    assert "set-cookie" not in reply.headers
    assert all(text.isprintable() for text in reply.headers.values())


def resident() -> int:
    """Bytes of memory this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", ["chat", "chat at anthropic"])
async def test_memory_stays_flat_while_a_stream_goes_on(
    gateway: Gateway, upstream: RawUpstream, name: str
) -> None:
    way, size, count = WAYS[name], 60_000, 1000
    frames = frames_of(way.stream)
    at = 2 if way.stream is MESSAGE else 0
    piece = chunked(frames[at].replace("Zü".encode() if at else b"Z\\u00fc", b"x" * size))
    assert len(piece) > size

    async def long(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(chunked(one) for one in frames[:at]))
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
        writer.write(b"".join(chunked(one) for one in frames[at + 1 :]) + b"0\r\n\r\n")

    upstream.script = long
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(request(json.dumps(body_of(way)).encode(), way.path))
    read = early = 0
    async with asyncio.timeout(60):
        while chunk := await reader.read(2**16):
            read += len(chunk)
            if not early and read > size * count // 10:
                early = resident()
    writer.close()
    assert read > size * count
    assert (await gateway.events.until(1))[0].outcome == "ok"
    assert resident() - early < 16 * 2**20, "50 MB passed, and none of it stayed"
