"""A vendor that repeats keys wherever it can, clients with keys of their own: no file and no answer has them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from e2e_support import Running
from loopback import served

from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

OWN, CLIENT, PASSED, WRONG = "sk-canary-ours", "kt-canary-client", "sk-canary-passed", "canary-wrong"
PROMPT = "canary-of-the-prompt"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": PROMPT}]}


async def repeat(request: web.Request) -> web.StreamResponse:
    """What came in the headers, in an error: whole, or inside a stream."""
    body = await request.json()
    keys = " ".join(value for name, value in request.headers.items() if "canary" in value)
    error = {"error": {"message": f"refused: {keys}", "type": "api_error", "code": "no"}}
    if not body.get("stream"):
        return web.json_response(error, status=401, headers={"x-request-id": "r"})
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n')
    await answer.write(b"data: " + json.dumps(error).encode() + b"\n\n")
    return answer


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    app = web.Application()
    app.router.add_post("/{path:.*}", repeat)
    async with served(app) as url, running(tmp_path, url) as found:
        yield found


@asynccontextmanager
async def running(tmp_path: Path, url: str) -> AsyncIterator[Running]:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"""\
gateway:
  client_keys:
    - {{name: web, secret_key_ref: {{env: WEB_KEY}}}}
providers:
  targets:
    - {{id: openai, base_url: '{url}', models: [gpt-4o]}}
    - {{id: theirs, provider: openai, auth: passthrough, base_url: '{url}', models: [gpt-4.1]}}
""")
    service = GatewayService(
        ServiceOptions(
            policy_path=policy,
            listen="127.0.0.1:0",
            api_listen="127.0.0.1:0",
            state_dir=tmp_path / "state",
            env={"OPENAI_API_KEY": OWN, "WEB_KEY": CLIENT},
        )
    )
    addresses = await service.start()
    try:
        yield Running(
            service, f"http://{addresses.listen}", f"http://{addresses.api}", service.token.reveal(), policy
        )
    finally:
        await service.stop(drain_s=1)


async def test_no_key_is_in_a_file_or_an_answer(
    gateway: Running, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    requests = [
        ({"x-kt-key": CLIENT}, {"model": "gpt-4o"}),
        ({"x-kt-key": CLIENT}, {"model": "gpt-4o", "stream": True}),
        ({"authorization": f"Bearer {CLIENT}"}, {"model": "gpt-4o", "user": "someone"}),
        ({"x-kt-key": CLIENT, "authorization": f"Bearer {PASSED}"}, {"model": "gpt-4.1"}),
        ({"x-kt-key": CLIENT, "authorization": f"Bearer {PASSED}"}, {"model": "gpt-4.1", "stream": True}),
        ({"authorization": f"Bearer {WRONG}"}, {"model": "gpt-4o"}),
        ({"x-kt-key": CLIENT, "cookie": f"s={WRONG}"}, {"model": "unknown"}),
    ]
    async with httpx.AsyncClient(base_url=gateway.data, trust_env=False) as client:
        for headers, more in requests:
            reply = await client.post("/v1/chat/completions", json=ASK | more, headers=headers)
            told = reply.text + repr(reply.headers)
            assert OWN not in told
            assert CLIENT not in told
    async with gateway.control() as control:
        for path in ("/v1/status", "/v1/events?limit=50", "/v1/config", "/v1/targets"):
            assert "canary" not in (await control.get(path)).text, path
    await gateway.service.stop(drain_s=1)
    files = [path for path in gateway.policy.parent.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" or "events" in path.name for path in files), "the events are among them"
    for path in files:
        assert b"canary" not in path.read_bytes(), path
    out, err = capfd.readouterr()
    assert "canary" not in out + err + caplog.text
