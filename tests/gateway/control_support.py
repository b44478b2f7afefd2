"""A whole gateway over real sockets in front of a vendor on loopback, and requests that no client library would send."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from loopback import served

from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

ENV = {"OPENAI_API_KEY": "sk-canary-openai", "ANTHROPIC_API_KEY": "sk-canary-anthropic"}
SPLIT = "ab-test-models"


def split_policy(url: str, a: float = 95, b: float = 5, more: str = "") -> str:
    """The guide's A/B test with both vendors at `url`."""
    return (
        "providers:\n"
        "  targets:\n"
        f"    - {{id: openai, base_url: {url}, secret_key_ref: {{env: OPENAI_API_KEY}}}}\n"
        f"    - {{id: anthropic, base_url: {url}, secret_key_ref: {{env: ANTHROPIC_API_KEY}}}}\n"
        "policies:\n"
        f"  - name: {SPLIT}   # owner: search team\n"
        "    type: traffic_split\n"
        "    variants:\n"
        f"      - {{model: gpt-4o, weight: {a:g}, tag: variant-a}}\n"
        f"      - {{model: claude-sonnet-4-20250514, weight: {b:g}, tag: variant-b}}\n"
        f"{more}"
    )


async def chat(request: web.Request) -> web.Response:
    """Answers any chat request, with usage."""
    body = await request.json()
    message = {"role": "assistant", "content": "Hello there."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    answer = {"id": "c-1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return web.json_response({**answer, "choices": [choice], "usage": usage})


async def anthropic_message(request: web.Request) -> web.Response:
    """Answers any messages request, with the same usage."""
    body = await request.json()
    content = [{"type": "text", "text": "Hello there."}]
    answer = {"id": "m-1", "type": "message", "role": "assistant", "model": body["model"]}
    usage = {"input_tokens": 12, "output_tokens": 5}
    return web.json_response({**answer, "content": content, "stop_reason": "end_turn", "usage": usage})


@asynccontextmanager
async def vendor() -> AsyncIterator[str]:
    """The address of a vendor."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/v1/messages", anthropic_message)
    async with served(app) as url:
        yield url


@dataclass
class Running:
    """A started gateway."""

    service: GatewayService
    policy: Path
    state: Path
    data: str
    api: str
    token: str
    vendor: str

    def control(self, token: str | None = None) -> httpx.AsyncClient:
        """A client of the control API."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.AsyncClient(base_url=self.api, headers=headers, timeout=20)

    async def ask(self, count: int = 1, model: str = "gpt-4o", user: str = "u") -> list[httpx.Response]:
        """`count` chat requests, each of a user of its own; back when their events are stored."""
        stored = self.service.hub.store.counters().stored
        async with httpx.AsyncClient(base_url=self.data, timeout=20) as client:
            messages = [{"role": "user", "content": "hi"}]
            answers = [
                await client.post(
                    "/v1/chat/completions",
                    json={"model": model, "user": f"{user}-{number}", "messages": messages},
                )
                for number in range(count)
            ]
        await until(lambda: self.service.hub.store.counters().stored >= stored + count)
        return answers


@asynccontextmanager
async def gateway(tmp_path: Path, text: str | None = None, **options: Any) -> AsyncIterator[Running]:
    """A gateway over `text` (the split, when left out)."""
    policy = tmp_path / "etc" / "policy.yaml"
    policy.parent.mkdir(exist_ok=True)
    async with vendor() as url:
        policy.write_text(split_policy(url) if text is None else text)
        # A file written just now might be half saved: the gateway would wait for it.
        os.utime(policy, (0, 0))
        chosen: dict[str, Any] = {
            "policy_path": policy, "listen": "127.0.0.1:0", "api_listen": "127.0.0.1:0",
            "state_dir": tmp_path / "state", "env": ENV, **options,
        }  # fmt: skip
        service = GatewayService(ServiceOptions(**chosen))
        addresses = await service.start()
        try:
            yield Running(
                service, policy, chosen["state_dir"], f"http://{addresses.listen}", f"http://{addresses.api}",
                service.token.reveal(), url,
            )  # fmt: skip
        finally:
            await service.stop(drain_s=1)


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


async def until_answer(ask: Callable[[], Awaitable[Any]], within_s: float = 5.0) -> Any:
    """The first true answer of `ask`."""
    deadline = time.monotonic() + within_s
    while not (answer := await ask()):
        assert time.monotonic() < deadline, "no such answer came in time"
        await asyncio.sleep(0.02)
    return answer


async def raw(url: str, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of a request written by hand; `head` lacks only the last empty line."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.replace("\n", "\r\n").encode("utf-8") + b"\r\n\r\n" + body)
        async with asyncio.timeout(5):
            answer = await reader.read()
    finally:
        writer.close()
    top, _, rest = answer.partition(b"\r\n\r\n")
    return int(top.split(b" ")[1]), rest


@dataclass(frozen=True)
class Message:
    """One server-sent event."""

    kind: str
    number: int | None
    data: Any


async def messages(response: httpx.Response) -> AsyncIterator[Message]:
    """The events of an open stream; comments are passed over."""
    kind, number, data = "message", None, ""
    async for line in response.aiter_lines():
        if not line:
            if data:
                yield Message(kind, number, json.loads(data))
            kind, number, data = "message", None, ""
        elif line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            data += line[6:]
