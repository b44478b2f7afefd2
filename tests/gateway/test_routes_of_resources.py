"""Routes beside chat: stored responses, Azure's paths, what a target passes through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_support import (
    ENV,
    QUESTION,
    WHOLE,
    Gateway,
    RawUpstream,
    Seen,
    frame,
    reply_json,
    reply_raw,
    reply_stream,
    request,
    two_vendors,
)
from openai import AsyncAzureOpenAI, AsyncOpenAI

ASK: dict[str, Any] = {"model": "m", "messages": QUESTION}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "m-1",
    "status": "completed",
    "output": [],
    "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
}


@pytest.fixture
async def other() -> Any:
    upstream = RawUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


def pair(first: RawUpstream, second: RawUpstream, extra: str = "") -> str:
    return (
        "providers:\n  targets:\n"
        f"    - {{id: a, provider: openai-compatible, base_url: '{first.url}', models: [m]{extra}}}\n"
        f"    - {{id: b, provider: openai-compatible, base_url: '{second.url}', models: [n, m]}}\n"
    )


# Stored responses.


async def test_a_stored_response_is_asked_for_where_it_was_made(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    gateway = await start_gateway(pair(upstream, other))
    other.script = reply_json(RESPONSE)
    assert (await gateway.ask({"model": "n", "input": "x"}, "/v1/responses")).json == RESPONSE
    for method, path in (("GET", "resp_1?include=a"), ("POST", "resp_1/cancel"), ("DELETE", "resp_1")):
        assert (await gateway.ask(b"", f"/v1/responses/{path}", method=method)).status == 200
    assert [seen.line for seen in other.seen] == [
        "POST /v1/responses HTTP/1.1",
        "GET /v1/responses/resp_1?include=a HTTP/1.1",
        "POST /v1/responses/resp_1/cancel HTTP/1.1",
        "DELETE /v1/responses/resp_1 HTTP/1.1",
    ]
    assert not upstream.seen and len(gateway.events.events) == 1
    event = gateway.events.events[0]
    assert (event.endpoint, event.input_tokens, event.output_tokens) == ("responses", 3, 4)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_goes_on_from_a_response_goes_to_its_maker(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream, stream: bool
) -> None:
    gateway = await start_gateway(pair(upstream, other))
    started = frame({"type": "response.created", "response": RESPONSE})
    ended = frame({"type": "response.completed", "response": RESPONSE})
    other.script = reply_stream([started, ended]) if stream else reply_json(RESPONSE)
    await gateway.ask({"model": "n", "input": "x", "stream": stream}, "/v1/responses")
    upstream.script = reply_json({**RESPONSE, "id": "resp_2"})
    await gateway.ask({"model": "m", "input": "x"}, "/v1/responses")
    assert len(upstream.seen) == 1, "without it the first target of the model answers"
    body = {"model": "m", "input": "x", "previous_response_id": "resp_1"}
    await gateway.ask(body, "/v1/responses")
    assert (len(upstream.seen), len(other.seen)) == (1, 2) and other.seen[1].json == body


async def test_an_unknown_response_is_asked_for_where_there_is_one_place(
    start_gateway: Any, gateway: Gateway, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_json({"error": {"message": "no such response"}}, 404)
    assert (await gateway.ask(b"", "/v1/responses/resp_9", method="GET")).status == 404
    assert len(upstream.seen) == 1
    two = await start_gateway(pair(upstream, other))
    reply = await two.ask(b"", "/v1/responses/resp_9", method="GET")
    assert (reply.status, reply.error["code"], len(upstream.seen)) == (404, "unknown_route", 1)


async def test_the_official_client_on_responses(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_json(RESPONSE)
    async with AsyncOpenAI(base_url=gateway.base, api_key="x", max_retries=0) as client:
        made = await client.responses.create(model="gpt-4o", input="x")
        again = await client.responses.retrieve(made.id)
    assert made.id == again.id == "resp_1"


# Azure's own paths.


def azure(url: str) -> str:
    return f"""\
providers:
  targets:
    - id: azure-openai
      base_url: {url}
      api_version: 2024-10-21
      secret_key_ref: {{env: OPENAI_API_KEY}}
      deployments: {{gpt-4o: prod-4o}}
"""


async def test_the_azure_client_asks_for_a_deployment(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(azure(upstream.url))
    async with AsyncAzureOpenAI(
        azure_endpoint=gateway.url, api_key="x", api_version="2024-02-01", max_retries=0
    ) as client:
        answer = await client.chat.completions.create(model="prod-4o", messages=QUESTION)
    assert answer.choices[0].message.content == "Hi"
    path = "/openai/deployments/prod-4o/chat/completions?api-version=2024-10-21"
    assert upstream.seen[0].line == f"POST {path} HTTP/1.1"
    assert upstream.seen[0].header("api-key") == ENV["OPENAI_API_KEY"]
    (event,) = gateway.events.events
    assert (event.requested_model, event.model) == ("gpt-4o", "gpt-4o")


@pytest.mark.parametrize("body", [b'{"messages":[]}', b'{"model":"else","messages":[]}', b"{}"])
async def test_the_path_names_the_model_whatever_the_body_says(
    gateway: Gateway, upstream: RawUpstream, body: bytes
) -> None:
    reply = await gateway.ask(body, "/openai/deployments/gpt-4o/chat/completions?api-version=2024-02-01")
    assert reply.status == 200
    assert upstream.seen[0].line == "POST /v1/chat/completions HTTP/1.1"
    assert upstream.seen[0].json["model"] == "gpt-4o"


@pytest.mark.parametrize("root", ["/openai/v1", "/openai", "/v1"])
async def test_the_same_resource_under_every_root(gateway: Gateway, upstream: RawUpstream, root: str) -> None:
    assert (await gateway.ask({**ASK, "model": "gpt-4o"}, f"{root}/chat/completions")).json == WHOLE
    assert (await gateway.ask(b"", f"{root}/models", method="GET")).json["object"] == "list"


async def test_responses_on_azure_stand_beside_its_deployments(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway = await start_gateway(azure(upstream.url))
    upstream.script = reply_json(RESPONSE)
    await gateway.ask({"model": "gpt-4o", "input": "x"}, "/v1/responses")
    assert upstream.seen[0].line == "POST /openai/responses?api-version=2024-10-21 HTTP/1.1"
    assert upstream.seen[0].json["model"] == "prod-4o"


# What a target passes through.

PASSING = ", passthrough: [files, models, chat/completions]"


async def test_passing_on_keeps_method_query_and_body(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    gateway: Gateway = await start_gateway(pair(upstream, other, PASSING))
    upstream.script = reply_json({"ok": 1}, 200, [("x-request-id", "r1"), ("set-cookie", "a=1")])
    reply = await gateway.ask(b"--x binary", "/v1/files?purpose=a%20b&x=1", [("x-api-key", "canary")])
    assert reply.json == {"ok": 1} and reply.headers["x-request-id"] == "r1"
    assert "set-cookie" not in reply.headers and reply.ended
    seen = upstream.seen[0]
    assert (seen.line, seen.body) == ("POST /v1/files?purpose=a%20b&x=1 HTTP/1.1", b"--x binary")
    assert seen.header("x-api-key") is None and seen.header("content-type") == "application/json"
    for method, path in (("DELETE", "/v1/models/m"), ("GET", "/v1/chat/completions?limit=1")):
        assert (await gateway.ask(b"", path, method=method)).status == 200
    assert [seen.line for seen in upstream.seen[1:]] == [
        "DELETE /v1/models/m HTTP/1.1",
        "GET /v1/chat/completions?limit=1 HTTP/1.1",
    ]
    assert upstream.seen[1].header("content-type") is None
    assert not gateway.events.events and gateway.runtime.in_flight == 0


async def test_what_the_gateway_does_itself_is_not_passed_on(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    gateway = await start_gateway(pair(upstream, other, PASSING))
    assert (await gateway.ask(b"", "/v1/models", method="GET")).json["data"][0]["id"] == "m"
    assert not upstream.seen
    assert (await gateway.ask({"model": "nope"}, "/v1/chat/completions")).status == 404
    for path in ("/v1/filesystem", "/v1/files/../keys", "/v1/files/%2e%2e/keys"):
        assert (await gateway.ask(b"", path, method="GET")).status == 404, path
    assert not upstream.seen


async def test_an_error_passed_on_is_the_vendor_s_and_a_redirect_is_not_followed(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    gateway = await start_gateway(pair(upstream, other, PASSING))
    upstream.script = reply_json({"error": {"message": "no such file"}}, 404)
    reply = await gateway.ask(b"", "/v1/files/f", method="GET")
    assert (reply.status, reply.error["message"]) == (404, "no such file")
    upstream.script = reply_raw(
        b"HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    )
    assert (await gateway.ask(b"", "/v1/files/f", method="GET")).status == 502


async def test_a_client_that_leaves_ends_what_is_passed_on(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    gateway = await start_gateway(pair(upstream, other, PASSING))

    async def silent(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    upstream.script = silent
    task = asyncio.create_task(gateway.ask(b"", "/v1/files/f", method="GET"))
    await upstream.until(lambda: len(upstream.seen) == 1)
    task.cancel()
    await upstream.until(lambda: upstream.open == 0, 1)
    async with asyncio.timeout(2):
        while gateway.runtime.in_flight:
            await asyncio.sleep(0.005)


# Anthropic's own endpoint.


async def test_messages_go_to_anthropic_as_they_are(gateway: Gateway, upstream: RawUpstream) -> None:
    answer = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-x"}
    upstream.script = reply_json(answer)
    body = b'{"model": "claude-sonnet-4-20250514", "max_tokens": 5, "messages": [ ]}'
    reply = await gateway.ask(body, "/v1/messages", [("anthropic-beta", "b"), ("x-api-key", "sk-caller")])
    assert (reply.status, reply.json) == (200, answer)
    seen = upstream.seen[0]
    assert (seen.line, seen.body) == ("POST /v1/messages HTTP/1.1", body)
    assert seen.header("x-api-key") == ENV["ANTHROPIC_API_KEY"] and seen.header("authorization") is None
    assert (seen.header("anthropic-version"), seen.header("anthropic-beta")) == ("2023-06-01", "b")


async def test_tokens_are_counted_where_the_model_is_and_no_event_is_made(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway = await start_gateway(two_vendors(upstream.url))
    upstream.script = reply_json({"input_tokens": 14})
    body = {"model": "claude-sonnet-4-20250514", "messages": QUESTION}
    reply = await gateway.ask(body, "/v1/messages/count_tokens")
    assert reply.json == {"input_tokens": 14}
    assert upstream.seen[0].line == "POST /v1/messages/count_tokens HTTP/1.1"
    assert not gateway.events.events


async def test_counting_tokens_is_not_split(start_gateway: Any, upstream: RawUpstream) -> None:
    split = """
policies:
  - name: all-to-gpt
    type: traffic_split
    variants:
      - {model: claude-sonnet-4-20250514, weight: 0}
      - {model: gpt-4o, weight: 100}
"""
    gateway = await start_gateway(two_vendors(upstream.url) + split)
    upstream.script = reply_json({"input_tokens": 14})
    body = {"model": "claude-sonnet-4-20250514", "messages": QUESTION}
    reply = await gateway.ask(body, "/v1/messages/count_tokens")
    assert reply.json == {"input_tokens": 14}


async def test_a_response_from_a_template_needs_a_target_that_passes_it(
    start_gateway: Any, gateway: Gateway, upstream: RawUpstream, other: RawUpstream
) -> None:
    body = {"prompt": {"id": "pmpt_1"}, "stream": True}
    reply = await gateway.ask(body, "/v1/responses")
    assert (reply.status, reply.error["code"], len(upstream.seen)) == (400, "missing_model", 0)
    passing = await start_gateway(pair(upstream, other, ", passthrough: [responses]"))
    ended = frame({"type": "response.completed", "response": RESPONSE})
    upstream.script = reply_stream([ended])
    reply = await passing.ask(body, "/v1/responses")
    assert (reply.status, reply.body, upstream.seen[0].json) == (200, ended, body)
    assert (await passing.ask({"model": "nope"}, "/v1/responses")).status == 404


@pytest.mark.parametrize(
    ("path", "model", "given", "expected"),
    [
        ("/v1/chat/completions", "gpt-4o", ("Authorization", "Bearer k"), ("authorization", "Bearer k")),
        ("/v1/chat/completions", "gpt-4o", ("api-key", "k"), ("authorization", "Bearer k")),
        ("/v1/chat/completions", "claude-x", ("Authorization", "Bearer k"), ("x-api-key", "k")),
        ("/v1/messages", "claude-x", ("x-api-key", "k"), ("x-api-key", "k")),
        ("/v1/messages", "claude-x", ("Authorization", "Bearer k"), ("authorization", "Bearer k")),
        ("/v1/messages", "gpt-4o", ("x-api-key", "k"), ("authorization", "Bearer k")),
    ],
)
async def test_the_caller_s_key_arrives_in_the_header_the_vendor_reads(
    start_gateway: Any,
    upstream: RawUpstream,
    path: str,
    model: str,
    given: tuple[str, str],
    expected: tuple[str, str],
) -> None:
    text = (
        "providers:\n  targets:\n"
        f"    - {{id: openai, base_url: {upstream.url}, auth: passthrough}}\n"
        f"    - {{id: anthropic, base_url: {upstream.url}, auth: passthrough}}\n"
    )
    gateway = await start_gateway(text)
    await gateway.ask({"model": model, "max_tokens": 5, "messages": QUESTION}, path, [given])
    shown = {name: upstream.seen[0].header(name) for name in ("authorization", "x-api-key", "api-key")}
    assert {name: value for name, value in shown.items() if value is not None} == dict([expected])


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/messages/x"])
async def test_unknown_routes_of_anthropic_are_refused_in_its_dialect(gateway: Gateway, path: str) -> None:
    reply = await gateway.ask({}, path)
    assert (reply.status, reply.json["type"]) == (404, "error")
    assert reply.json["error"]["type"] == "not_found_error"


# Other endpoints that name a model.


@pytest.mark.parametrize("path", ["moderations", "images/generations", "audio/speech", "completions"])
async def test_every_endpoint_with_a_model_goes_through_the_policy(
    start_gateway: Any, upstream: RawUpstream, path: str
) -> None:
    text = (
        two_vendors(upstream.url)
        + "policies: [{name: no, type: model_filter, blocked_models: [gpt-image-*]}]\n"
    )
    gateway = await start_gateway(text)
    answer = {"created": 1, "usage": {"input_tokens": 3, "output_tokens": 4}}
    upstream.script = reply_json(answer)
    assert (await gateway.ask({"model": "gpt-4o", "input": "x", "prompt": "x"}, f"/v1/{path}")).json == answer
    assert upstream.seen[0].line == f"POST /v1/{path} HTTP/1.1"
    assert (await gateway.ask({"model": "gpt-image-1", "prompt": "x"}, f"/v1/{path}")).status == 403
    assert [event.status for event in gateway.events.events] == [200, 403]
    assert gateway.events.events[0].endpoint == path.partition("/")[0]


async def test_speech_is_played_while_it_comes(gateway: Gateway, upstream: RawUpstream) -> None:
    heard = asyncio.Event()

    async def speak(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 6\r\n\r\nabc")
        await writer.drain()
        await heard.wait()
        writer.write(b"def")

    upstream.script = speak
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(request(b'{"model":"tts-1","input":"x"}', "/v1/audio/speech"))
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"abc")
        heard.set()
        rest = await reader.read()
    assert b"content-type: audio/mpeg" in head and b"def" in rest
    writer.close()


async def test_tokens_cannot_be_counted_for_another_vendor(gateway: Gateway, upstream: RawUpstream) -> None:
    reply = await gateway.ask({"model": "gpt-4o", "messages": QUESTION}, "/v1/messages/count_tokens")
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert "count_tokens" in reply.json["error"]["message"] and not upstream.seen


# Forms.

AUDIO = bytes(range(256)) * 20


async def test_the_official_client_sends_a_form(start_gateway: Any, upstream: RawUpstream) -> None:
    text = (
        "providers: {targets: [{id: t, provider: openai-compatible, "
        f"base_url: '{upstream.url}', models: {{ears: whisper-large}}}}]}}\n"
    )
    gateway = await start_gateway(text)
    upstream.script = reply_json({"text": "hello", "usage": {"input_tokens": 3, "output_tokens": 4}})
    async with AsyncOpenAI(base_url=gateway.base, api_key="x", max_retries=0) as client:
        heard = await client.audio.transcriptions.create(model="ears", file=("a.mp3", AUDIO))
    assert heard.text == "hello"
    seen = upstream.seen[0]
    assert seen.line == "POST /v1/audio/transcriptions HTTP/1.1" and AUDIO in seen.body
    assert b"whisper-large" in seen.body and b"ears" not in seen.body
    assert (seen.header("content-type") or "").startswith("multipart/form-data; boundary=")
    (event,) = gateway.events.events
    assert (event.endpoint, event.requested_model, event.outcome) == ("audio", "ears", "ok")


async def test_a_form_at_an_azure_path_gets_the_model_of_the_path(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway = await start_gateway(azure(upstream.url) + "# nothing else\n")
    upstream.script = reply_json({"text": "hello"})
    async with AsyncAzureOpenAI(
        azure_endpoint=gateway.url, api_key="x", api_version="2024-10-21", max_retries=0
    ) as client:
        await client.audio.transcriptions.create(model="prod-4o", file=("a.mp3", AUDIO))
    line = upstream.seen[0].line
    assert (
        line.startswith("POST /openai/deployments/prod-4o/audio/transcriptions?")
        and AUDIO in upstream.seen[0].body
    )
    assert gateway.events.events[0].requested_model == "gpt-4o"


async def test_a_form_where_none_is_taken_and_one_that_is_cut_off(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    head = b"Host: x.localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 3\r\nConnection: close\r\n"
    for path, status in ((b"/v1/chat/completions", b"415"), (b"/v1/audio/transcriptions", b"400")):
        answer = await gateway.raw(b"POST " + path + b" HTTP/1.1\r\n" + head + b"\r\n--b")
        assert answer.startswith(b"HTTP/1.1 " + status)
    assert not upstream.seen
