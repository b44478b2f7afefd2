"""Requests that are odd or meant to harm: what crosses the gateway, what does not, and what stays responsive."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
from typing import Any

import pytest
from gateway_support import (
    QUESTION,
    WHOLE,
    CutError,
    Gateway,
    RawUpstream,
    Reply,
    Seen,
    frame,
    reply_json,
    reply_stream,
    request,
    two_vendors,
)

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION}
CLAUDE: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": QUESTION}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
KEYS = "gateway:\n  client_keys:\n    - {name: web, secret_key_ref: {env: WEB_KEY}}\n"
WEB_KEY = "kt-canary-of-the-client"
ENV = {"OPENAI_API_KEY": "sk-canary-openai", "ANTHROPIC_API_KEY": "sk-canary-anthropic", "WEB_KEY": WEB_KEY}


async def answer_either(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each vendor answers in its own dialect."""
    await reply_json(MESSAGE if "/messages" in seen.line else WHOLE)(seen, reader, writer)


@pytest.mark.parametrize("asked", [ASK, CLAUDE], ids=["to openai", "to anthropic"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {WEB_KEY}"),
        ("authorization", f"bearer  {WEB_KEY}"),
        ("x-api-key", WEB_KEY),
        ("api-key", WEB_KEY),
        ("x-kt-key", WEB_KEY),
    ],
)
async def test_a_client_key_opens_the_gateway_in_every_form_and_goes_no_further(
    start_gateway: Any, upstream: RawUpstream, path: str, name: str, value: str, asked: dict[str, Any]
) -> None:
    gateway = await start_gateway(KEYS + two_vendors(upstream.url), ENV)
    upstream.script = answer_either
    reply = await gateway.ask(asked, path, [(name, value)])
    assert reply.status == 200
    (seen,) = upstream.seen
    assert WEB_KEY not in repr(seen.headers)
    shown = [header for header in seen.headers if header[0] in ("authorization", "x-api-key", "api-key")]
    own = (
        ("x-api-key", "sk-canary-anthropic")
        if asked is CLAUDE
        else ("authorization", "Bearer sk-canary-openai")
    )
    assert shown == [own], "exactly one credential, ours"
    (found,) = await gateway.events.until(1)
    assert found.key == "web"
    assert WEB_KEY not in repr(found)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", f"Basic {WEB_KEY}")],
        [("x-api-key", "é")],
        [("Authorization", "Bearer " + "x" * 9000)],
    ],
)
async def test_no_key_or_a_wrong_one_is_one_and_the_same_401(
    start_gateway: Any, upstream: RawUpstream, path: str, headers: list[tuple[str, str]]
) -> None:
    gateway = await start_gateway(KEYS + two_vendors(upstream.url), ENV)
    reply = await gateway.ask(ASK, path, headers)
    assert (reply.status, reply.error["type"]) == (401, "authentication_error")
    assert reply.error["message"].startswith("this gateway wants a client key")
    assert upstream.seen == []


HARMFUL = ["x\r\nset-cookie: a=b", "gpt-4o\x00", "\x1b]52;c;YQ==\x07", "a/../../b", "../x", "é" * 80, "‮gpt"]


@pytest.mark.parametrize("model", HARMFUL)
async def test_a_model_name_is_never_more_than_a_name(
    start_gateway: Any, upstream: RawUpstream, model: str
) -> None:
    """Not in the head of the answer, not in the address at the vendor."""
    gateway = await start_gateway(
        "providers:\n  targets:\n"
        f"    - {{id: mine, provider: openai-compatible, base_url: '{upstream.url}', models: ['*']}}\n"
    )
    raw = await gateway.raw(request(json.dumps({**ASK, "model": model}).encode()))
    head = raw.partition(b"\r\n\r\n")[0]
    assert b"set-cookie" not in head.lower().replace(b"x-kt-model: ", b"").split(b"\r\n")
    assert all(0x20 <= byte < 0x7F or byte in b"\r\n" for byte in head)
    for seen in upstream.seen:
        assert seen.line == "POST /v1/chat/completions HTTP/1.1"


HOSTS = [
    "api_base",
    "base_url",
    "api_key",
    "host",
    "endpoint",
    "azure_endpoint",
    "target",
    "headers",
    "extra_body",
]


@pytest.mark.parametrize("key", HOSTS)
async def test_nothing_in_a_request_chooses_where_it_goes(
    gateway: Gateway, upstream: RawUpstream, key: str
) -> None:
    elsewhere = RawUpstream()
    await elsewhere.start()
    nested = {key: elsewhere.url, "metadata": {key: elsewhere.url}, "extra_body": {key: {key: elsewhere.url}}}
    headers = [
        (f"x-{key.replace('_', '-')}", elsewhere.url),
        ("x-portkey-custom-host", elsewhere.url),
        ("openai-base-url", elsewhere.url),
        ("x-forwarded-host", elsewhere.url.removeprefix("http://")),
    ]
    reply = await gateway.ask({**nested, **ASK}, headers=headers)
    await elsewhere.stop()
    assert (reply.status, elsewhere.connections, len(upstream.seen)) == (200, 0, 1)


async def test_a_redirect_is_not_followed_and_not_handed_on(gateway: Gateway, upstream: RawUpstream) -> None:
    elsewhere = RawUpstream()
    await elsewhere.start()
    for status in (301, 302, 307, 308):
        upstream.script = reply_json({}, status, [("location", f"{elsewhere.url}/v1/chat/completions")])
        reply = await gateway.ask(ASK)
        assert reply.status == 502
        assert "location" not in reply.headers
    await elsewhere.stop()
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "path",
    [
        "//v1//chat/completions",
        "/v1/chat/completions/",
        "/v1/chat//completions//",
        "/openai/v1/chat/completions/",
    ],
)
async def test_doubled_and_trailing_slashes(gateway: Gateway, upstream: RawUpstream, path: str) -> None:
    assert (await gateway.ask(ASK, path)).status == 200
    assert upstream.seen[0].line == "POST /v1/chat/completions HTTP/1.1"


@pytest.mark.parametrize("path", ["/", "/health", "/healthz", "/readyz", "/v1/models"])
async def test_a_head_request_has_no_body(gateway: Gateway, path: str) -> None:
    for method, has_body in (("GET", True), ("HEAD", False)):
        reply = await gateway.ask(b"", path, method=method)
        assert reply.status == 200
        assert bool(reply.body) == has_body


async def test_a_client_that_waits_for_100_gets_it(gateway: Gateway, upstream: RawUpstream) -> None:
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    body = json.dumps(ASK).encode()
    head, _, _ = request(body, headers=[("Expect", "100-continue")]).partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(body)
        assert Reply.parse(await reader.read()).status == 200
    writer.close()


async def test_one_that_is_too_large_gets_no_100(gateway: Gateway) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    raw = await gateway.raw(head)
    assert raw.startswith(b"HTTP/1.1 413 ")
    assert b" 100 " not in raw


@pytest.mark.parametrize("model", ["gpt-4o", "claude-haiku-4-5"])
async def test_a_picture_of_20_mb_does_not_hold_the_others_up(
    gateway: Gateway, upstream: RawUpstream, model: str
) -> None:
    picture = base64.b64encode(bytes(15_000_000)).decode()
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": content}]}).encode()
    data = request(body)
    upstream.script = answer_either
    longest = 0.0
    stop = asyncio.Event()

    async def beat() -> None:
        nonlocal longest
        while not stop.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0.002)
            longest = max(longest, time.perf_counter() - before)

    beating = asyncio.create_task(beat())
    reply = Reply.parse(await gateway.raw(data, within_s=30))
    stop.set()
    await beating
    assert reply.status == 200
    assert picture in upstream.seen[0].body.decode()
    assert longest < 0.5, "client and upstream of this test ran on the same loop"


GZIP = [("Content-Encoding", "gzip")]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_body_may_come_compressed(gateway: Gateway, upstream: RawUpstream, path: str) -> None:
    plain = json.dumps({**ASK, "max_tokens": 9}).encode()
    assert (await gateway.ask(gzip.compress(plain), path, GZIP)).status == 200
    (seen,) = upstream.seen
    assert seen.header("content-encoding") is None
    assert seen.json["messages"] == QUESTION
    (found,) = await gateway.events.until(1)
    assert found.facts["prompt_chars"] == len("Hello"), "a policy sees what it says"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (gzip.compress(b'{"a":"' + b"x" * 40_000_000 + b'"}'), 413, "body_too_large"),
        (gzip.compress(b"{}")[:-3], 400, "invalid_encoding"),
        (gzip.compress(b"{}") * 2, 400, "invalid_encoding"),
        (b"{}", 400, "invalid_encoding"),
        (b"", 400, "invalid_encoding"),
        (gzip.compress(b"{"), 400, "invalid_json"),
    ],
    ids=["bomb", "cut", "two", "plain", "empty", "not json"],
)
async def test_a_compressed_body_that_is_none_or_too_much(
    gateway: Gateway, upstream: RawUpstream, body: bytes, status: int, code: str
) -> None:
    reply = await gateway.ask(body, headers=GZIP)
    assert (reply.status, reply.error["code"], upstream.seen) == (status, code, [])


ECHOES = ["whole error", "whole answer", "stream begins with it", "stream goes on with it"]


@pytest.mark.parametrize("model", ["gpt-4o", "claude-haiku-4-5"])
@pytest.mark.parametrize("where", ECHOES)
async def test_our_own_key_never_comes_back(
    gateway: Gateway, upstream: RawUpstream, where: str, model: str
) -> None:
    """A vendor that repeats the key it was sent: neither the client nor the event gets it."""
    key = "sk-canary-openai" if model == "gpt-4o" else "sk-canary-anthropic"
    error = {"type": "error", "error": {"message": f"bad key {key}", "type": "api_error", "code": f"x-{key}"}}
    ok = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]}
    if model != "gpt-4o":
        ok = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
    upstream.script = {
        "whole error": reply_json(error, 401),
        "whole answer": reply_json(error),
        "stream begins with it": reply_stream([frame(error)]),
        "stream goes on with it": reply_stream([frame(ok), frame(error)]),
    }[where]
    reply = await gateway.ask({**ASK, "model": model, "stream": where.startswith("stream")})
    (found,) = await gateway.events.until(1)
    assert found.outcome == "error"
    assert key.encode() not in reply.body
    assert key not in repr(reply.headers)
    assert key not in repr(found)


async def test_an_answer_that_never_ends_its_head_is_bounded(gateway: Gateway, upstream: RawUpstream) -> None:
    async def endless(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            writer.write(b"x-%d: %s\r\n" % (number, b"y" * 1000))
            await writer.drain()
        raise CutError

    upstream.script = endless
    assert (await gateway.ask(ASK)).status == 502
