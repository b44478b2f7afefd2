"""A vendor that answers at once, so that what is measured is what stands before it.

    python -m benchmarks.upstream

Writes its port as the first line, serves until its stdin closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import httptools

from benchmarks.machine import new_loop

_WORDS = "The order index says that the parcel left the region on time and the latency budget holds. "
FRAMES = 50
"""Content frames of a stream."""


def _whole() -> bytes:
    message = {"role": "assistant", "content": _WORDS * 6}
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_747_200_000,
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 160, "completion_tokens": 102, "total_tokens": 262},
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _streamed() -> bytes:
    """All frames of a stream, each as a chunk of its own."""
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_747_200_000,
        "model": "gpt-4o",
    }
    words = {"delta": {"content": _WORDS[:24]}, "index": 0, "finish_reason": None}
    end = {"delta": {}, "index": 0, "finish_reason": "stop"}
    usage = {"prompt_tokens": 160, "completion_tokens": 102, "total_tokens": 262}
    frames = [{**base, "choices": [words]}] * FRAMES
    frames += [{**base, "choices": [end]}, {**base, "choices": [], "usage": usage}]
    lines = [b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames] + [b"data: [DONE]\n\n"]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines) + b"0\r\n\r\n"
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head.encode() + chunks


def _message() -> bytes:
    """A whole answer in the Anthropic dialect."""
    body = json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": _WORDS * 6}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 160, "output_tokens": 102},
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _message_events() -> bytes:
    """The same as a stream."""
    start = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 160, "output_tokens": 1},
    }
    text = {"type": "text_delta", "text": _WORDS[:24]}
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[{"type": "content_block_delta", "index": 0, "delta": text}] * FRAMES,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 102},
        },
        {"type": "message_stop"},
    ]
    lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines) + b"0\r\n\r\n"
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head.encode() + chunks


WHOLE, STREAMED = _whole(), _streamed()
MESSAGE, MESSAGE_EVENTS = _message(), _message_events()


class Connection(asyncio.Protocol):
    """Answers by path: the Anthropic dialect below `/v1/messages`, the OpenAI one everywhere else."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        assert self._transport is not None
        body, path = b"".join(self._body), self._path
        self._body, self._path = [], b""
        streamed = b'"stream":true' in body or b'"stream": true' in body
        if path.endswith(b"/messages"):
            self._transport.write(MESSAGE_EVENTS if streamed else MESSAGE)
        else:
            self._transport.write(STREAMED if streamed else WHOLE)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve())
