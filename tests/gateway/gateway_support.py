"""What the tests of the data plane share: a scriptable upstream on a raw socket, a gateway in front of it, a raw client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from proxy.events.event import Event
from proxy.gateway.app import DataPlane
from proxy.gateway.runtime import Runtime, Snapshot, build_snapshot
from proxy.gateway.server import Listener
from proxy.policy.lint import Surroundings, lint
from proxy.policy.plan import compile_plan

ENV = {"OPENAI_API_KEY": "sk-canary-openai", "ANTHROPIC_API_KEY": "sk-canary-anthropic"}
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
QUESTION: list[Any] = [{"role": "user", "content": "Hello"}]
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
DONE = b"data: [DONE]\n\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Seen:
    """One request as the upstream got it."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


Script = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class CutError(Exception):
    """A script that ends the connection."""


class RawUpstream:
    """An HTTP/1.1 server that says exactly the bytes it is told. `script` is run for every request."""

    def __init__(self) -> None:
        self.script: Script = reply_json(WHOLE)
        self.seen: list[Seen] = []
        self.connections = 0
        self.open = 0
        self.changed = asyncio.Condition()
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0, limit=2**22)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def until(self, holds: Callable[[], bool], within_s: float = 5.0) -> None:
        """Wait until `holds`, looked at whenever a connection or a request comes or goes."""
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(holds)

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                seen = await _read_request(reader)
                self.seen.append(seen)
                await self._notify()
                await self.script(seen, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, CutError):
            pass
        finally:
            writer.close()
            self.open -= 1
            await self._notify()


async def _read_request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.rstrip("\r\n").split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (text.partition(":") for text in rest)]
    length = int(dict(headers).get("content-length", "0"))
    return Seen(line, headers, await reader.readexactly(length))


def reply_raw(data: bytes, *, cut: bool = False) -> Script:
    """Say `data`; with `cut`, end the connection then."""

    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if cut:
            raise CutError

    return script


def reply_json(value: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Script:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers)
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{lines}content-length: {len(body)}\r\n\r\n"
    )
    return reply_raw(head.encode() + body)


def chunked(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    inner = {} if content is None else {"content": content}
    choices = [{"index": 0, "delta": inner, "finish_reason": finish}]
    return frame({"id": "c", "object": "chat.completion.chunk", "model": "up", "choices": choices, **more})


def usage_frame() -> bytes:
    return frame({"id": "c", "object": "chat.completion.chunk", "model": "up", "choices": [], "usage": USAGE})


def reply_stream(chunks: Sequence[bytes], *, end: bool = True, cut: bool = False) -> Script:
    """Say `chunks`, each as one HTTP chunk. `end`: finish the body. `cut`: end the connection."""

    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for chunk in chunks:
            writer.write(chunked(chunk))
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if cut:
            raise CutError

    return script


def reply_and_wait(data: bytes) -> Script:
    """Say `data` and then nothing until the other side leaves."""

    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        await reader.read()
        raise CutError

    return script


class Events:
    """A recorder in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.came = asyncio.Event()

    def append(self, event: Event) -> None:
        self.events.append(event)
        self.came.set()

    async def until(self, count: int, within_s: float = 5.0) -> list[Event]:
        async with asyncio.timeout(within_s):
            while len(self.events) < count:
                self.came.clear()
                await self.came.wait()
        return self.events


@dataclass
class Gateway:
    """A running data plane."""

    host: str
    port: int
    runtime: Runtime
    events: Events
    listener: Listener
    plane: DataPlane
    env: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def base(self) -> str:
        return f"{self.url}/v1"

    async def raw(self, data: bytes, *, eof: bool = False, within_s: float = 5.0) -> bytes:
        """Send bytes; everything that comes back until the connection ends."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(data)
            if eof:
                writer.write_eof()
            async with asyncio.timeout(within_s):
                return await reader.read()
        finally:
            writer.close()

    async def ask(
        self,
        body: Any,
        path: str = "/v1/chat/completions",
        headers: Sequence[tuple[str, str]] = (),
        method: str = "POST",
    ) -> Reply:
        """One request on a connection of its own."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Reply.parse(await self.raw(request(data, path, headers, method)))


def request(
    body: bytes,
    path: str = "/v1/chat/completions",
    headers: Sequence[tuple[str, str]] = (),
    method: str = "POST",
) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


@dataclass
class Reply:
    """An answer, taken apart by hand so that its bytes can be looked at."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: bool = True
    """Whether a chunked body came to its end."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found

    @staticmethod
    def parse(data: bytes) -> Reply:
        head, _, body = data.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest)}
        ended = True
        if headers.get("transfer-encoding") == "chunked":
            body, ended = _unchunked(body)
        return Reply(int(line.split()[1]), headers, body, ended)


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    parts = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return b"".join(parts), True
        parts.append(data[:length])
        data = data[length + 2 :]
    return b"".join(parts), False


def snapshot_of(text: str, env: dict[str, str] | None = None, number: int = 1) -> Snapshot:
    """The snapshot of a policy text."""
    surroundings = Surroundings(env=ENV if env is None else env, today=date(2026, 6, 1))
    result = lint(text, surroundings)
    assert result.policy_file is not None, result.diagnostics
    return build_snapshot(
        result.policy_file, compile_plan(result.policy_file, f"hash-{number}"), surroundings.env, number
    )


def two_vendors(openai: str, anthropic: str | None = None) -> str:
    """Targets of both vendors, without a policy."""
    return f"""\
providers:
  targets:
    - {{id: openai, base_url: {openai}, secret_key_ref: {{env: OPENAI_API_KEY}}}}
    - {{id: anthropic, base_url: {anthropic or openai}, secret_key_ref: {{env: ANTHROPIC_API_KEY}}}}
"""
