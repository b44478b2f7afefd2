"""Whole answers: what goes upstream, what comes back, what is remembered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_support import (
    QUESTION,
    WHOLE,
    Gateway,
    RawUpstream,
    chunked,
    reply_json,
    reply_raw,
    request,
    two_vendors,
)
from openai import AsyncOpenAI, OpenAI


async def test_the_official_client(gateway: Gateway, upstream: RawUpstream) -> None:
    async with AsyncOpenAI(base_url=gateway.base, api_key="sk-canary-caller", max_retries=0) as client:
        raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hi" and answer.usage is not None
    assert raw.headers["x-kt-model"] == "gpt-4o" and raw.headers["x-kt-decision"] == "allow"
    assert int(raw.headers["x-kt-overhead-us"]) > 0
    (event,) = gateway.events.events
    assert event.id == raw.headers["x-kt-request-id"]
    assert (event.status, event.outcome, event.attempts, event.target) == (200, "ok", 1, "openai")
    assert (event.input_tokens, event.output_tokens, event.usage_status) == (12, 5, "reported")
    assert event.cost_status == "priced" and event.cost_nanos == 12 * 2500 + 5 * 10000
    assert (event.upstream_model, event.finish_reason) == ("gpt-4o-2024-08-06", "stop")
    assert event.overhead_us is not None and 0 < event.overhead_us / 1e3 <= event.latency_ms
    assert event.config_version == "hash-1" and event.facts["prompt_chars"] == 5


def test_the_official_client_without_async(gateway_in_thread: str) -> None:
    with OpenAI(base_url=gateway_in_thread, api_key="x", max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
        assert answer.choices[0].message.content == "Hi"
        parts = list(client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True))
    assert "".join(part.choices[0].delta.content or "" for part in parts) == "Hi there"
    assert all(part.usage is None for part in parts)


async def test_request_and_answer_pass_byte_for_byte(gateway: Gateway, upstream: RawUpstream) -> None:
    body = '{ "x_new":1.0,"model" :\t"gpt-4o", "messages":[{"role":"user","content":"h\\u00e9 é"}] , "seed":1e3 }'
    answer = b'{"id" : "1", "choices":[],\n "extra":1.0}'
    upstream.script = reply_json(answer, headers=[("x-request-id", "up-1"), ("openai-processing-ms", "7")])
    reply = await gateway.ask(body.encode())
    assert upstream.seen[0].body == body.encode()
    assert upstream.seen[0].line == "POST /v1/chat/completions HTTP/1.1"
    assert (reply.status, reply.body) == (200, answer)
    assert reply.headers["x-request-id"] == "up-1" and reply.headers["openai-processing-ms"] == "7"
    (event,) = gateway.events.events
    assert (event.usage_status, event.cost_status, event.cost_nanos) == ("unknown", "unpriced", None)
    assert event.input_tokens is None and event.output_tokens is None


async def test_only_the_model_is_replaced_when_a_policy_names_another(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    text = two_vendors(upstream.url) + (
        "policies:\n  - {name: to-mini, type: model_filter, blocked_models: [gpt-4o], preferred_model: gpt-4o-mini}\n"
    )
    gateway = await start_gateway(text)
    body = b'{"messages":[{"role":"user","content":"\\"model\\":\\"gpt-4o\\""}],"model" :"gpt-4o" ,"n":1}'
    reply = await gateway.ask(body)
    assert upstream.seen[0].body == body.replace(b':"gpt-4o" ', b':"gpt-4o-mini" ')
    assert reply.headers["x-kt-decision"] == "redirect" and reply.headers["x-kt-policy"] == "to-mini"
    assert reply.json["model"] == WHOLE["model"], "the answer's own model is not rewritten"
    (event,) = gateway.events.events
    assert (event.requested_model, event.model, event.decision) == ("gpt-4o", "gpt-4o-mini", "redirect")


async def test_public_names_become_upstream_names(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(
        "providers: {targets: [{id: local, provider: openai-compatible, "
        f"base_url: '{upstream.url}/v1', models: {{fast: org/fast-7b}}}}]}}\n"
    )
    reply = await gateway.ask({"model": "fast", "messages": QUESTION})
    assert upstream.seen[0].json["model"] == "org/fast-7b" and reply.headers["x-kt-model"] == "fast"
    assert upstream.seen[0].line.startswith("POST /v1/chat/completions ")
    assert upstream.seen[0].header("authorization") is None


async def test_only_named_headers_cross_the_gateway(gateway: Gateway, upstream: RawUpstream) -> None:
    canaries = [
        *(("Authorization", "Bearer sk-canary-caller"), ("api-key", "canary"), ("x-api-key", "canary")),
        *(
            ("Cookie", "canary=1"),
            ("X-Forwarded-For", "canary"),
            ("Forwarded", "canary"),
            ("x-any", "canary"),
        ),
        *(("Proxy-Authorization", "canary"), ("x-portkey-custom-host", "canary"), ("x-kt-key", "canary")),
        *(("traceparent", "00-1"), ("OpenAI-Beta", "v2"), ("anthropic-beta", "b")),
        ("Connection", "traceparent, authorization"),
    ]
    upstream.script = reply_json(
        WHOLE, headers=[("set-cookie", "a=1"), ("x-internal", "1"), ("x-ratelimit-remaining-tokens", "9")]
    )
    reply = await gateway.ask({"model": "gpt-4o", "messages": QUESTION}, headers=canaries)
    seen = dict(upstream.seen[0].headers)
    host = seen.pop("host")
    assert upstream.url.endswith(host)
    assert seen.pop("via").startswith("1.1 kt-")
    assert seen == {
        "authorization": "Bearer sk-canary-openai",
        "openai-beta": "v2",
        "anthropic-beta": "b",
        "content-type": "application/json",
        "content-length": str(len(upstream.seen[0].body)),
        "accept-encoding": "identity",
        "user-agent": "ktui",
    } | ({"accept": seen["accept"]} if "accept" in seen else {})
    assert "set-cookie" not in reply.headers and "x-internal" not in reply.headers
    assert reply.headers["x-ratelimit-remaining-tokens"] == "9"


async def test_chat_to_anthropic_goes_to_its_own_endpoint(gateway: Gateway, upstream: RawUpstream) -> None:
    content = [{"type": "text", "text": "Hi"}]
    usage = {"input_tokens": 3, "output_tokens": 2}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content}
    upstream.script = reply_json({**message, "stop_reason": "end_turn", "usage": usage})
    reply = await gateway.ask({"model": "claude-sonnet-4-20250514", "messages": QUESTION, "seed": 7})
    assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, "Hi")
    assert reply.headers["x-kt-dropped-params"] == "seed"
    seen = upstream.seen[0]
    assert seen.line == "POST /v1/messages HTTP/1.1" and "seed" not in seen.json
    assert seen.header("x-api-key") == "sk-canary-anthropic" and seen.header("authorization") is None
    (event,) = gateway.events.events
    assert (event.upstream_model, event.dropped_params) == ("claude-x", ["seed"])
    assert (event.input_tokens, event.output_tokens) == (3, 2)


async def test_an_anthropic_error_reaches_a_chat_client_in_its_own_dialect(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy sk-canary-anthropic"}}
    upstream.script = reply_json(error, 529)
    reply = await gateway.ask({"model": "claude-sonnet-4-20250514", "messages": QUESTION})
    assert (reply.status, reply.error["code"], len(upstream.seen)) == (503, "overloaded_error", 3)
    assert reply.error["message"] == "busy ***" and reply.headers["x-should-retry"] == "false"
    assert (gateway.events.events[0].status, gateway.events.events[0].error) == (503, "overloaded_error")


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
async def test_what_that_endpoint_cannot_carry_is_a_400(
    gateway: Gateway, upstream: RawUpstream, path: str
) -> None:
    reply = await gateway.ask({"model": "claude-sonnet-4-20250514", "input": "x", "prompt": "x"}, path)
    assert (reply.status, reply.error["code"]) == (400, "unsupported_endpoint")
    assert "served by anthropic, whose vendor has no" in reply.error["message"] and not upstream.seen


async def test_azure(start_gateway: Any, upstream: RawUpstream) -> None:
    text = f"""\
providers:
  targets:
    - id: azure-openai
      base_url: {upstream.url}
      api_version: 2024-10-21
      secret_key_ref: {{env: AZURE_KEY}}
      deployments: {{gpt-4o: prod-4o}}
"""
    gateway = await start_gateway(text, {"AZURE_KEY": "az-1"})
    reply = await gateway.ask({"model": "gpt-4o", "messages": QUESTION})
    assert reply.status == 200
    line = upstream.seen[0].line
    assert line == "POST /openai/deployments/prod-4o/chat/completions?api-version=2024-10-21 HTTP/1.1"
    assert upstream.seen[0].header("api-key") == "az-1" and upstream.seen[0].header("authorization") is None


async def test_embeddings_and_completions(gateway: Gateway, upstream: RawUpstream) -> None:
    embedded = {"object": "list", "data": [], "model": "e", "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    upstream.script = reply_json(embedded)
    reply = await gateway.ask({"model": "text-embedding-3-small", "input": "x"}, "/v1/embeddings")
    assert reply.json == embedded and upstream.seen[-1].line == "POST /v1/embeddings HTTP/1.1"
    upstream.script = reply_json(
        {"choices": [{"text": "x", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    )
    assert (
        await gateway.ask({"model": "gpt-3.5-turbo-instruct", "prompt": "x"}, "/v1/completions/")
    ).status == 200
    first, second = gateway.events.events
    assert (first.endpoint, first.input_tokens, first.output_tokens) == ("embeddings", 4, 0)
    assert first.cost_status == "priced"
    assert (second.endpoint, second.usage_status, second.cost_status) == (
        "completions",
        "unknown",
        "unpriced",
    )


async def test_upstream_errors_pass_with_status_body_and_advice(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    body = b'{"error": {"message":"slow down sk-canary-openai","type":"rate","code":"rate_limit_exceeded"}}'
    advice = [("retry-after", "77"), ("x-ratelimit-limit-requests", "5"), ("x-should-retry", "true")]
    upstream.script = reply_json(body, 429, advice)
    reply = await gateway.ask({"model": "gpt-4o", "messages": QUESTION})
    assert reply.status == 429 and reply.body == body.replace(b"sk-canary-openai", b"***")
    assert {name: reply.headers[name] for name, _ in advice} == dict(advice)
    assert reply.headers["x-kt-model"] == "gpt-4o" and len(upstream.seen) == 1
    (event,) = gateway.events.events
    assert (event.status, event.outcome, event.error) == (429, "error", "rate_limit_exceeded")
    assert (event.usage_status, event.cost_status) == ("none", "none")
    assert event.error_message is not None and "canary" not in event.error_message


async def test_a_chunked_and_a_compressed_answer(gateway: Gateway, upstream: RawUpstream) -> None:
    data = json.dumps(WHOLE).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    upstream.script = reply_raw(head + chunked(data[:9]) + chunked(data[9:]) + b"0\r\n\r\n")
    assert (await gateway.ask({"model": "gpt-4o", "messages": QUESTION})).body == data
    upstream.script = reply_json(b"\x1f\x8bnot-really", headers=[("content-encoding", "gzip")])
    reply = await gateway.ask({"model": "gpt-4o", "messages": QUESTION})
    assert reply.body == b"\x1f\x8bnot-really" and reply.headers["content-encoding"] == "gzip"
    assert [event.usage_status for event in gateway.events.events] == ["reported", "unknown"]


async def test_a_large_answer_is_passed_on_as_it_comes(gateway: Gateway, upstream: RawUpstream) -> None:
    data = b'{"x":"' + b"y" * (17 * 1024 * 1024) + b'"}'
    upstream.script = reply_json(data)
    reply = await gateway.ask({"model": "gpt-4o", "messages": QUESTION})
    assert reply.ended and reply.body == data
    assert gateway.events.events[0].usage_status == "unknown"


async def test_headers_we_mint_cannot_be_forged(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(
        f"providers: {{targets: [{{id: any, provider: openai-compatible, base_url: '{upstream.url}', models: ['*']}}]}}\n"
    )
    data = await gateway.raw(request_of("x\r\nSet-Cookie: a=1\r\n\r\n\x1b]0;"))
    assert b"\r\nset-cookie" not in data.lower()
    assert b"x-kt-model: x__Set-Cookie:_a=1" in data and b"\x1b" not in data.partition(b"\r\n\r\n")[0]


def request_of(model: str) -> bytes:
    return request(json.dumps({"model": model, "messages": QUESTION}).encode())
