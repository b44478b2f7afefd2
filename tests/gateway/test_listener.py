"""The listener on real sockets: attacks on framing, slow clients, limits, start and stop."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gateway_support import (
    QUESTION,
    STREAM_HEAD,
    CutError,
    Gateway,
    RawUpstream,
    Reply,
    Seen,
    chunked,
    delta,
    reply_and_wait,
    request,
    two_vendors,
)

from proxy.gateway.guard import Limits
from proxy.gateway.server import Listener, ListenError

BODY = json.dumps({"model": "gpt-4o", "messages": QUESTION}).encode()
START = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: 127.0.0.1\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (START + LENGTH, 400),
        (START + HOST + HOST + LENGTH, 400),
        (START + b"Host: a/b?c\r\n" + LENGTH, 400),
        (START + HOST + LENGTH + b"Transfer-Encoding: chunked\r\n", 400),
        (START + HOST + b"Transfer-Encoding: chunked\r\n" + LENGTH, 400),
        (START + HOST + b"Transfer-Encoding: xchunked\r\n", 400),
        (START + HOST + b"Transfer-Encoding: gzip, chunked\r\n", 400),
        (START + HOST + b"Content-Length: +5\r\n", 400),
        (START + HOST + b"Content-Length: 5, 5\r\n", 400),
        (START + HOST + LENGTH + LENGTH, 400),
        (START + HOST + LENGTH + b"X Y: 1\r\n", 400),
        (START + HOST + LENGTH + b"x : 1\r\n", 400),
        (START + HOST + LENGTH + b"x: a\x00b\r\n", 400),
        (START + HOST + LENGTH + b" folded: 1\r\n", 400),
        (b"POST http://evil.test/v1/chat/completions HTTP/1.1\r\n" + HOST + LENGTH, 400),
        (b"CONNECT evil.test:443 HTTP/1.1\r\n" + HOST, 405),
        (b"TRACE / HTTP/1.1\r\n" + HOST, 405),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST, 400),
        (b"PRI * HTTP/2.0\r\n", 400),
        (b"GET /\r\n", 400),
        (b"POST /v1/chat/completions HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n", 400),
        (START + HOST + LENGTH + b"Content-Encoding: br\r\n", 415),
        (START + HOST + b"Content-Length: 99999999\r\n", 413),
        (START + HOST + b"Expect: magic\r\n" + LENGTH, 417),
        (
            b"GET /v1/chat/completions HTTP/1.1\r\n"
            + HOST
            + b"Connection: upgrade\r\nUpgrade: websocket\r\n",
            501,
        ),
        (START + HOST + LENGTH + b"x: y\r\n" * 200, 431),
        (START + HOST + LENGTH + b"x: " + b"y" * 70_000 + b"\r\n", 431),
        (b"POST /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST, 414),
    ],
)
async def test_what_is_not_plain_http_is_refused_and_the_connection_closed(
    gateway: Gateway, upstream: RawUpstream, head: bytes, status: int
) -> None:
    smuggled = START + HOST + LENGTH + b"\r\n" + BODY
    data = await gateway.raw(head + b"\r\n" + BODY + smuggled)
    reply = Reply.parse(data)
    assert reply.status == status, data
    assert reply.headers["connection"] == "close" and "message" in reply.error
    assert data.count(b"x-kt-request-id: ") == 1, "what follows a refused request is not read as one"
    assert not upstream.seen


@pytest.mark.parametrize("size", [b"0x5", b"+5", b"5 ", b"FFFFFFFFFFFFFFFFF"])
async def test_broken_chunks(gateway: Gateway, upstream: RawUpstream, size: bytes) -> None:
    data = START + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0\r\n\r\n"
    answer = await gateway.raw(data)
    assert answer == b"" or Reply.parse(answer).status == 400
    assert not upstream.seen and gateway.runtime.in_flight == 0


async def test_a_chunked_body_is_taken(gateway: Gateway, upstream: RawUpstream) -> None:
    body = chunked(BODY[:7]) + chunked(BODY[7:]) + b"0\r\n\r\n"
    data = await gateway.raw(START + HOST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert Reply.parse(data).status == 200 and upstream.seen[0].body == BODY


async def test_a_chunked_body_without_end_is_cut_at_the_limit(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway = await start_gateway(two_vendors(upstream.url), max_body=100_000)
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(START + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 150_000))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_bad_key_gets_no_100_continue(start_gateway: Any, upstream: RawUpstream) -> None:
    text = "gateway: {client_keys: [{name: a, secret_key_ref: {env: KEY_A}}]}\n" + two_vendors(upstream.url)
    gateway = await start_gateway(text, {"KEY_A": "k", "OPENAI_API_KEY": "o"})
    expecting = START + HOST + LENGTH + b"Expect: 100-continue\r\n"
    data = await gateway.raw(expecting + b"\r\n")
    assert data.startswith(b"HTTP/1.1 401 ") and b"100 Continue" not in data
    data = await gateway.raw(expecting + b"Authorization: Bearer k\r\nConnection: close\r\n\r\n" + BODY)
    assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")


async def test_pipelined_requests_are_answered_in_order(gateway: Gateway, upstream: RawUpstream) -> None:
    bad = START + HOST + b"Content-Length: 2\r\n\r\n{]"
    last = request(BODY)
    data = await gateway.raw(bad + START + HOST + LENGTH + b"\r\n" + BODY + last)
    assert [part[:3] for part in data.split(b"HTTP/1.1 ")[1:]] == [b"400", b"200", b"200"]


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1", START + HOST + b"x: "], ids=["silent", "half a line", "half a head"]
)
async def test_a_head_that_does_not_come_is_not_waited_for(start_gateway: Any, sent: bytes) -> None:
    gateway = await start_gateway(None, limits=Limits(header_s=0.1))
    data = await gateway.raw(sent, within_s=2)
    assert data == b"" if not sent else Reply.parse(data).status == 408


async def test_a_dripped_head_is_not_waited_for(start_gateway: Any) -> None:
    gateway = await start_gateway(None, limits=Limits(header_s=0.3))
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(START)

    async def drip() -> None:
        while True:
            writer.write(b"x: y\r\n")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    data = await asyncio.wait_for(reader.read(), 2)
    dripping.cancel()
    assert Reply.parse(data).status == 408
    writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(two_vendors(upstream.url), body_s=0.1)
    reply = Reply.parse(await gateway.raw(START + HOST + LENGTH + b"\r\n{"))
    assert (reply.status, reply.error["code"]) == (408, "body_timeout")
    assert gateway.events.events[0].status == 408


async def test_a_keep_alive_connection_outlives_the_head_deadline(start_gateway: Any) -> None:
    gateway = await start_gateway(None, limits=Limits(header_s=0.1))
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    for pause in (0.3, 0.0):
        writer.write(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(pause)
    writer.close()


async def test_a_client_that_takes_nothing_is_cut_off(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(two_vendors(upstream.url), limits=Limits(write_stall_s=0.3))
    piece = chunked(delta("x" * 60_000))

    async def flood(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while not reader.at_eof():
            writer.write(piece)
            await writer.drain()
        raise CutError

    upstream.script = flood
    _, writer = await asyncio.open_connection(gateway.host, gateway.port, limit=1024)
    writer.write(request(json.dumps({"model": "gpt-4o", "messages": QUESTION, "stream": True}).encode()))
    await upstream.until(lambda: len(upstream.seen) == 1)
    await upstream.until(lambda: upstream.open == 0)
    assert (await gateway.events.until(1))[0].outcome == "client_cancelled"
    writer.transport.abort()


async def test_more_connections_than_the_limit_are_cut_off(start_gateway: Any) -> None:
    gateway = await start_gateway(None, limits=Limits(connections=2))
    held = [await asyncio.open_connection(gateway.host, gateway.port) for _ in range(2)]
    held[0][1].write(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    await held[0][0].readuntil(b"}")
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        writer.write(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.wait_for(reader.readexactly(1), 2)
    for _, writer in held:
        writer.close()


async def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}: the port is taken"):
            await Listener(None, "127.0.0.1", port).start()


@pytest.mark.parametrize(
    ("host", "port", "words"), [("no-such-host.invalid", 0, "not known"), ("192.0.2.1", 0, "not one")]
)
async def test_addresses_that_cannot_be_used(host: str, port: int, words: str) -> None:
    with pytest.raises(ListenError, match=words):
        await Listener(None, host, port).start()


async def test_stopping_lets_a_request_finish(gateway: Gateway, upstream: RawUpstream) -> None:
    asked = asyncio.Event()

    async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

    upstream.script = slow
    task = asyncio.create_task(gateway.ask(BODY))
    await upstream.until(lambda: len(upstream.seen) == 1)
    stopping = asyncio.create_task(gateway.listener.stop(5))
    await asyncio.sleep(0.05)
    with pytest.raises(OSError, match=r".*"):
        await asyncio.open_connection(gateway.host, gateway.port)
    asked.set()
    assert (await task).status == 200
    await asyncio.wait_for(stopping, 2)
    await gateway.listener.stop(5)


@pytest.mark.parametrize("stream", [True, False])
async def test_stopping_ends_what_does_not_finish_and_says_so(
    gateway: Gateway, upstream: RawUpstream, stream: bool
) -> None:
    upstream.script = reply_and_wait(STREAM_HEAD + chunked(delta("Hi")) if stream else b"")
    body = json.dumps({"model": "gpt-4o", "messages": QUESTION, "stream": stream}).encode()
    task = asyncio.create_task(gateway.ask(body))
    await upstream.until(lambda: len(upstream.seen) == 1)
    async with asyncio.timeout(3):
        await gateway.listener.stop(0.2)
    reply = await task
    assert b"gateway_stopped" in reply.body and b"[DONE]" not in reply.body
    assert reply.status == (200 if stream else 503) and reply.ended
    (event,) = gateway.events.events
    assert (event.outcome, event.error) == ("truncated" if stream else "error", "gateway_stopped")
    assert gateway.runtime.in_flight == 0
    await upstream.until(lambda: upstream.open == 0, 1)


async def test_tls(tmp_path: Path, gateway: Gateway) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-days",
        "2",
    ]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    listener = Listener(gateway.plane, tls_cert=cert, tls_key=key)
    host, port = await listener.start()
    context = ssl.create_default_context(cafile=str(cert))
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost")
    writer.write(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert Reply.parse(await reader.read()).status == 200
    writer.close()
    await listener.stop(1)
    with pytest.raises(ListenError, match="TLS certificate"):
        await Listener(gateway.plane, tls_cert=tmp_path / "none.pem", tls_key=key).start()


async def test_nothing_is_written_to_the_terminal(
    gateway: Gateway, capfd: pytest.CaptureFixture[str]
) -> None:
    await gateway.raw(b"nonsense\r\n\r\n")
    await gateway.raw(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", eof=True)
    assert capfd.readouterr() == ("", "")
