"""Upstreams that take only one of the two names of `max_tokens`: asked once more, and remembered (wire case 29)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateway_support import QUESTION, WHOLE, Gateway, RawUpstream, Script, Seen, reply_json

from proxy.wire.limit_names import refused_name, with_limit_name

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION}
NEWER = {
    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "type": "invalid_request_error",
    "param": "max_tokens",
    "code": "unsupported_parameter",
}
OLDER = {
    "message": "Unrecognized request argument supplied: max_completion_tokens",
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}


def takes_only(name: str, error: dict[str, Any]) -> Script:
    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other = {"max_tokens", "max_completion_tokens"} - {name}
        answer = reply_json({"error": error}, 400) if other & set(seen.json) else reply_json(WHOLE)
        await answer(seen, reader, writer)

    return script


@pytest.mark.parametrize(
    ("given", "taken", "error"),
    [("max_tokens", "max_completion_tokens", NEWER), ("max_completion_tokens", "max_tokens", OLDER)],
)
async def test_the_other_name_is_tried_once_and_then_used_from_the_start(
    gateway: Gateway, upstream: RawUpstream, given: str, taken: str, error: dict[str, Any]
) -> None:
    upstream.script = takes_only(taken, error)
    for asked in (2, 3):
        assert (await gateway.ask({**ASK, given: 7})).status == 200
        assert len(upstream.seen) == asked
    assert [sorted(seen.json) for seen in upstream.seen[1:]] == [sorted(["messages", "model", taken])] * 2
    assert upstream.seen[-1].json[taken] == 7
    first, second = await gateway.events.until(2)
    assert [entry["reason"] for entry in first.attempt_log] == ["limit_renamed", None]
    assert (first.outcome, first.attempts, second.attempts) == ("ok", 2, 1)
    assert first.facts["max_tokens"] == 7


async def test_a_messages_client_gets_by_too(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = takes_only("max_completion_tokens", NEWER)
    reply = await gateway.ask({**ASK, "max_tokens": 7}, "/v1/messages")
    assert (reply.status, upstream.seen[-1].json["max_completion_tokens"]) == (200, 7)


async def test_it_is_learned_once_and_for_one_model(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_json({"error": NEWER}, 400)
    reply = await gateway.ask({**ASK, "max_tokens": 7})
    assert (reply.status, reply.error["code"], len(upstream.seen)) == (400, "unsupported_parameter", 2)
    await gateway.ask({**ASK, "max_tokens": 7})
    assert len(upstream.seen) == 3, "the renamed one was refused as well, and it is not turned back"
    await gateway.ask({**ASK, "model": "gpt-4o-mini", "max_tokens": 7})
    assert "max_tokens" in upstream.seen[3].json


@pytest.mark.parametrize(
    "error",
    [
        {**NEWER, "param": "logprobs", "message": "Unsupported parameter: 'logprobs'"},
        {**NEWER, "code": "invalid_value", "message": "max_tokens is too large: 99999"},
    ],
)
async def test_another_refusal_passes_as_it_is(
    gateway: Gateway, upstream: RawUpstream, error: dict[str, Any]
) -> None:
    upstream.script = reply_json({"error": error}, 400)
    reply = await gateway.ask({**ASK, "max_tokens": 7})
    assert (reply.json, len(upstream.seen)) == ({"error": error}, 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"max_tokens" :  5,"a":1}', b'{"max_completion_tokens" :  5,"a":1}'),
        (b'{"max\\u005ftokens":5}', b'{"max_completion_tokens":5}'),
        (b'{"a":"max_tokens","max_tokens":5}', b'{"a":"max_tokens","max_completion_tokens":5}'),
        (b'{"max_tokens":5,"max_completion_tokens":6}', b'{"max_tokens":5,"max_completion_tokens":6}'),
        (b'{"a":{"max_tokens":5}}', b'{"a":{"max_tokens":5}}'),
        (b"no json", b"no json"),
    ],
)
def test_no_other_byte_changes(body: bytes, expected: bytes) -> None:
    assert with_limit_name(body, "max_completion_tokens") == expected


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b'{"error":"no"}', b"\xff", json.dumps({"error": {}}).encode()]
)
def test_odd_errors_refuse_no_name(answer: bytes) -> None:
    assert refused_name(answer) is None
