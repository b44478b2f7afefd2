"""Upstreams that break off at every byte of a stream: no client ever takes a part for the whole."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from gateway_support import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    USAGE,
    CutError,
    Gateway,
    RawUpstream,
    Reply,
    Script,
    Seen,
    chunked,
    frame,
    two_vendors,
)

from proxy.upstream.retry import RetryRules

AT_ONCE = 8


def event(kind: str, **fields: Any) -> bytes:
    """A frame of Anthropic's or of the responses API."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    return frame({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


CHAT = (
    chunk(content="Zü") + chunk(content="ri") + chunk("stop") + frame({"choices": [], "usage": USAGE}) + DONE
)
MESSAGE = (
    event("message_start", message={"id": "m", "usage": {"input_tokens": 3, "output_tokens": 1}})
    + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Zü"})
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "ri"})
    + event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
    + event("message_stop")
)
RESPONSE = (
    event("response.created", response={"id": "r", "status": "in_progress"})
    + event("response.output_text.delta", delta="Zü")
    + event("response.output_text.delta", delta="ri")
    + event(
        "response.completed",
        response={"id": "r", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 2}},
    )
)


@dataclass(frozen=True)
class Way:
    """A client's route, the vendor that answers, and what stands in every whole answer."""

    path: str
    model: str
    stream: bytes
    ends: tuple[bytes, ...]
    """Words of the frame that ends the stream, and of one that will do at the end of a connection."""
    last: bytes
    """What the end of an answer looks like to the client."""
    error: bytes
    """How an error begins there."""


WAYS = {
    "chat": Way(
        "/v1/chat/completions", "gpt-4o", CHAT, (b"[DONE]", b'"stop"'), b"[DONE]", b'data: {"error":'
    ),
    "chat at anthropic": Way(
        "/v1/chat/completions",
        "claude-haiku-4-5",
        MESSAGE,
        (b"message_stop", b"end_turn"),
        b"[DONE]",
        b'data: {"error":',
    ),
    "messages": Way(
        "/v1/messages", "claude-haiku-4-5", MESSAGE, (b"message_stop",), b"message_stop", b"event: error"
    ),
    "messages at openai": Way(
        "/v1/messages", "gpt-4o", CHAT, (b"[DONE]", b'"stop"'), b"message_stop", b"event: error"
    ),
    "responses": Way(
        "/v1/responses", "gpt-4o", RESPONSE, (b"response.completed",), b"response.completed", b"event: error"
    ),
}


def cut_at(stream: bytes, *, clean: bool) -> Script:
    """Say as much of `stream` as the request's header asks for; `clean`: as if that were all of it."""

    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = stream[: int(seen.header("openai-cut") or 0)]
        writer.write(STREAM_HEAD + (chunked(said) if said else b""))
        if clean:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if not clean:
            raise CutError

    return script


async def replies(gateway: Gateway, way: Way) -> list[Reply]:
    """One answer for each place at which the stream can be cut."""
    body = {"model": way.model, "max_tokens": 9, "messages": QUESTION, "input": "Hello", "stream": True}
    if way.path == "/v1/chat/completions":
        del body["input"]
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(cut: int) -> Reply:
        async with gate:
            return await gateway.ask(body, way.path, [("openai-cut", str(cut))])

    return await asyncio.gather(*(ask(cut) for cut in range(len(way.stream) + 1)))


def is_whole(way: Way, said: bytes, *, clean: bool) -> bool:
    """Whether an answer that ends so is one: what the gateway should think of it."""
    if not clean:
        said = said[: said.rfind(b"\n\n") + 2]
    frames = [part.rpartition(b"data:")[2].strip() for part in said.split(b"\n\n") if b"data:" in part]
    if frames and not is_complete(frames[-1]):
        return False  # the last frame is cut
    ends = way.ends if clean else way.ends[:1]
    return any(words in data for data in frames for words in ends)


def is_complete(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return data in (b"", b"[DONE]")
    return True


def check_whole_or_error(way: Way, reply: Reply, outcome: str) -> None:
    """What the client sees and what is recorded agree, and a part is never taken for the whole."""
    if reply.status != 200:
        assert reply.status == 502
        assert reply.error["message"]
        assert outcome == "error"
        return
    assert reply.ended
    has_error, has_end = way.error in reply.body, way.last in reply.body
    if outcome == "ok":
        assert not has_error
        return
    assert outcome == "truncated"
    assert has_error
    assert not has_end
    assert reply.body[-2:] == b"\n\n", "the error is a whole frame"


@pytest.mark.parametrize("clean", [True, False], ids=["ended", "reset"])
@pytest.mark.parametrize("name", WAYS)
async def test_a_part_is_never_taken_for_the_whole(
    start_gateway: Any, upstream: RawUpstream, name: str, clean: bool
) -> None:
    way = WAYS[name]
    gateway = await start_gateway(two_vendors(upstream.url), retry_rules=RetryRules(max_attempts=1))
    upstream.script = cut_at(way.stream, clean=clean)
    answers = await replies(gateway, way)
    events = {event.id: event for event in await gateway.events.until(len(answers))}
    outcomes = [events[reply.headers["x-kt-request-id"]].outcome for reply in answers]
    for reply, outcome in zip(answers, outcomes, strict=True):
        check_whole_or_error(way, reply, outcome)
    for cut, outcome in enumerate(outcomes):
        assert (outcome == "ok") == is_whole(way, way.stream[:cut], clean=clean), way.stream[:cut]
    assert way.last in answers[-1].body
    # Usage of what broke off is an estimate, never a report.
    assert {e.usage_status for e in events.values() if e.outcome == "truncated"} <= {"estimated"}
    assert gateway.runtime.in_flight == 0
