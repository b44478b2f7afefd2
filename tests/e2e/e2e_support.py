"""What the tests of a whole gateway share: a vendor on loopback, a policy, a handle on what runs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from proxy.service.gateway_service import GatewayService


@dataclass
class Vendor:
    """Speaks OpenAI chat; echoes the model it was asked for, with usage. Remembers what it saw."""

    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    delay_s: float = 0.0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(body)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
        base = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "Hello there."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response(
                {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
            )
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        deltas: list[dict[str, Any]] = [
            {"role": "assistant", "content": ""},
            {"content": "Hello"},
            {"content": " there."},
        ]
        frames: list[dict[str, Any]] = [
            {
                **base,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": d, "finish_reason": None}],
            }
            for d in deltas
        ]
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        frames.append({**base, "object": "chat.completion.chunk", "choices": [end]})
        if (body.get("stream_options") or {}).get("include_usage"):
            frames.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        for frame in frames:
            await answer.write(b"data: " + json.dumps(frame).encode() + b"\n\n")
        await answer.write(b"data: [DONE]\n\n")
        return answer

    async def messages(self, request: web.Request) -> web.Response:
        """Anthropic's own endpoint, whole answers only."""
        body = await request.json()
        self.seen.append(body)
        content = [{"type": "text", "text": "Hello there."}]
        usage = {"input_tokens": 12, "output_tokens": 5}
        base = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        return web.json_response({**base, "content": content, **end, "usage": usage})


def split_policy(url: str, a: float = 95, b: float = 5) -> str:
    """The guide's A/B test, with both vendors at `url`."""
    return f"""\
providers:
  targets:
    - {{id: openai, base_url: {url}, secret_key_ref: {{env: OPENAI_API_KEY}}}}
    - {{id: anthropic, base_url: {url}, secret_key_ref: {{env: ANTHROPIC_API_KEY}}}}

policies:
  - name: ab-test-models   # owner: search team
    type: traffic_split
    variants:
      - {{model: gpt-4o, weight: {a}, tag: variant-a}}
      - {{model: claude-sonnet-4-20250514, weight: {b}, tag: variant-b}}
"""


@dataclass
class Running:
    """A started gateway and what a client needs of it."""

    service: GatewayService
    data: str
    api: str
    token: str
    policy: Path

    def control(self) -> httpx.AsyncClient:
        """A client of the control API."""
        return httpx.AsyncClient(
            base_url=self.api, headers={"Authorization": f"Bearer {self.token}"}, timeout=30
        )
