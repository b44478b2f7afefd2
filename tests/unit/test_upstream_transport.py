"""The transport over real sockets: what each failure is called, and that nothing stays open."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from yarl import URL

from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.transport import Call, UpstreamError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Upstream:
    """Reads one request after the other and gives each to `serve`."""

    def __init__(self) -> None:
        self.serve: Serve = self.ok
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = asyncio.Event()

    async def ok(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self.serve(reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, URL]]:
    script = Upstream()
    server = await asyncio.start_server(script.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield script, URL(f"http://127.0.0.1:{port}/v1/chat/completions")
    server.close()


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport()
    yield transport
    await transport.close()


def call(url: URL, **more: float) -> Call:
    return Call(url=url, headers=[("x-one", "1")], body=b"{}", **more)  # type: ignore[arg-type]


async def test_a_request_and_its_answer(upstream: tuple[Upstream, URL], transport: AiohttpTransport) -> None:
    script, url = upstream
    for _ in range(2):
        answer = await transport.send(call(url))
        assert (answer.status, await answer.chunk(), await answer.chunk()) == (200, b"ok", b"")
        answer.close()
    assert script.connections == 1, "an answer read to its end gives its connection back"
    head = script.requests[0].lower()
    assert head.startswith(b"post /v1/chat/completions http/1.1\r\n") and b"x-one: 1" in head
    assert b"user-agent" not in head and b"cookie" not in head and b"accept-encoding" not in head


async def test_an_answer_that_is_closed_early_is_cut_off(
    upstream: tuple[Upstream, URL], transport: AiohttpTransport
) -> None:
    script, url = upstream

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await reader.read()
        raise ConnectionError

    script.serve = endless
    answer = await transport.send(call(url))
    assert await answer.chunk() == b"data: 1\n\n"
    answer.close()
    await asyncio.wait_for(script.closed.wait(), 1)


async def test_a_cancelled_call_leaves_nothing_open(
    upstream: tuple[Upstream, URL], transport: AiohttpTransport
) -> None:
    script, url = upstream
    arrived = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        raise ConnectionError

    script.serve = silent
    task = asyncio.create_task(transport.send(call(url)))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(script.closed.wait(), 1)
    script.serve = script.ok
    answer = await asyncio.wait_for(transport.send(call(url)), 2)
    assert answer.status == 200
    answer.close()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"", "reset"),
        (b"nonsense\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "protocol"),
        (b"HTTP/1.1 200 OK\r\nx-one: a\x00b\r\n\r\n", "protocol"),
    ],
)
async def test_answers_that_are_none(
    upstream: tuple[Upstream, URL], transport: AiohttpTransport, reply: bytes, kind: str
) -> None:
    script, url = upstream

    async def reply_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        raise ConnectionError

    script.serve = reply_and_close
    with pytest.raises(UpstreamError) as caught:
        await transport.send(call(url))
    assert caught.value.kind == kind


async def test_a_connection_that_died_while_idle_is_stale(
    upstream: tuple[Upstream, URL], transport: AiohttpTransport
) -> None:
    script, url = upstream
    first = await transport.send(call(url))
    assert await first.chunk() == b"ok" and await first.chunk() == b""
    first.close()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise ConnectionError

    script.serve = hang_up
    with pytest.raises(UpstreamError) as caught:
        await transport.send(call(url))
    assert caught.value.kind == "stale"
    with pytest.raises(UpstreamError) as caught:
        await transport.send(call(url))
    assert caught.value.kind == "reset", "a fresh connection is not stale"


async def test_a_redirect_is_not_followed(
    upstream: tuple[Upstream, URL], transport: AiohttpTransport
) -> None:
    script, url = upstream

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")

    script.serve = redirect
    answer = await transport.send(call(url))
    assert answer.status == 302
    answer.close()
    assert len(script.requests) == 1


async def test_time_limits_have_their_names(
    upstream: tuple[Upstream, URL], transport: AiohttpTransport
) -> None:
    script, url = upstream

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await reader.read()
        raise ConnectionError

    script.serve = half
    answer = await transport.send(call(url, first_byte_s=5, idle_s=0.05))
    assert await answer.chunk() == b"half"
    with pytest.raises(UpstreamError) as caught:
        await answer.chunk()
    assert caught.value.kind == "timeout"
    answer.close()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        raise ConnectionError

    script.serve = silent
    with pytest.raises(UpstreamError) as caught:
        await transport.send(call(url, first_byte_s=0.05))
    assert caught.value.kind == "timeout"


async def test_an_answer_that_breaks_off(upstream: tuple[Upstream, URL], transport: AiohttpTransport) -> None:
    script, url = upstream

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await writer.drain()
        raise ConnectionError

    script.serve = break_off
    answer = await transport.send(call(url))
    with pytest.raises(UpstreamError) as caught:
        while await answer.chunk():
            pass
    assert caught.value.kind == "reset"
    answer.close()


async def test_nobody_listens(transport: AiohttpTransport, unused_tcp_port: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        await transport.send(call(URL(f"http://127.0.0.1:{unused_tcp_port}/v1")))
    assert caught.value.kind == "connect"


async def test_metadata_addresses_are_refused_also_behind_a_name(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await transport.send(call(URL("http://169.254.169.254/latest")))
    assert caught.value.kind == "refused"
    loop = asyncio.get_running_loop()

    async def rebound(*args: object, **kwargs: object) -> list[object]:
        return [(2, 1, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(loop, "getaddrinfo", rebound)
    with pytest.raises(UpstreamError) as caught:
        await transport.send(call(URL("http://rebound.test/")))
    assert caught.value.kind == "refused"


async def test_nothing_is_taken_from_the_environment(
    upstream: tuple[Upstream, URL], monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    _, url = upstream
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_tcp_port}")
    transport = AiohttpTransport()
    answer = await transport.send(call(url))
    assert answer.status == 200
    answer.close()
    await transport.close()


async def test_tls_is_checked_against_the_certificates_it_is_told(
    transport: AiohttpTransport, tmp_path: Path
) -> None:
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
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    server = await asyncio.start_server(Upstream().handle, "localhost", 0, ssl=context)
    url = URL(f"https://localhost:{server.sockets[0].getsockname()[1]}/v1")
    with pytest.raises(UpstreamError, match="TLS") as caught:
        await transport.send(call(url))
    assert caught.value.kind == "connect"
    with pytest.raises(UpstreamError, match="ca_file"):
        await transport.send(call(url, ca_file=str(tmp_path / "none.pem")))  # type: ignore[arg-type]
    answer = await transport.send(call(url, ca_file=str(cert)))  # type: ignore[arg-type]
    assert answer.status == 200
    answer.close()
    server.close()
