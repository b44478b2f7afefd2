"""The official Anthropic client, unchanged but for its address, at a gateway in front of Anthropic's shapes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from anthropic import Anthropic, APIStatusError, AsyncAnthropic, NotFoundError
from matrix_support import Recorded, data_plane, serving
from vendor_stubs import TEXT, Stub

MODEL = "claude-haiku-4-5"
ASK: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
TOOLS: list[Any] = [{"name": "weather", "description": "d", "input_schema": {"type": "object"}}]


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with serving(Stub("anthropic")) as stub:
        yield stub


@pytest.fixture
async def served(stub: Stub) -> AsyncIterator[tuple[str, Recorded]]:
    """The gateway's address and what it recorded."""
    text = f"providers: {{targets: [{{id: anthropic, base_url: '{stub.url}'}}]}}\n"
    async with data_plane(text) as plane:
        yield plane


async def test_whole_and_streamed(served: tuple[str, Recorded], stub: Stub) -> None:
    url, recorded = served
    async with AsyncAnthropic(base_url=url, api_key="unused", max_retries=0) as client:
        answer = await client.messages.create(**ASK)
        async with client.messages.stream(**ASK) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
    assert answer.content[0].text == text == final.content[0].text == TEXT  # type: ignore[union-attr]
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 10)
    assert stub.headers[0]["x-api-key"] == "sk-canary" and "authorization" not in stub.headers[0]
    for event in recorded.events:
        assert (event.endpoint, event.outcome, event.finish_reason) == ("messages", "ok", "end_turn")
        assert (event.input_tokens, event.cached_tokens, event.output_tokens) == (20, 8, 10)
        assert event.cost_status == "priced" and event.upstream_model == MODEL
    assert recorded.events[1].ttft_ms is not None


async def test_a_tool_round_trip_streamed(served: tuple[str, Recorded], stub: Stub) -> None:
    url, _ = served
    async with AsyncAnthropic(base_url=url, api_key="unused", max_retries=0) as client:
        async with client.messages.stream(**ASK, tools=TOOLS) as stream:
            called = (await stream.get_final_message()).content[0]
        assert called.type == "tool_use" and called.input == {"city": "Zürich", "days": [1, 2]}
        result = {"type": "tool_result", "tool_use_id": called.id, "content": "sunny"}
        history = [
            *ASK["messages"],
            {"role": "assistant", "content": [called.model_dump(exclude_none=True)]},
            {"role": "user", "content": [result]},
        ]
        answer = await client.messages.create(**{**ASK, "messages": history}, tools=TOOLS)
    assert answer.content[0].text == TEXT  # type: ignore[union-attr]


async def test_without_async(served: tuple[str, Recorded]) -> None:
    url, _ = served

    def talk() -> str:
        with Anthropic(base_url=url, api_key="unused", max_retries=0) as client:
            return client.messages.create(**ASK).content[0].text  # type: ignore[union-attr]

    assert await asyncio.to_thread(talk) == TEXT


async def test_counting_tokens_and_models(served: tuple[str, Recorded]) -> None:
    url, recorded = served
    async with AsyncAnthropic(base_url=url, api_key="unused", max_retries=0) as client:
        counted = await client.messages.count_tokens(model=MODEL, messages=ASK["messages"])
    assert counted.input_tokens == 14 and not recorded.events


async def test_errors_are_in_the_client_s_dialect(served: tuple[str, Recorded]) -> None:
    url, recorded = served
    async with AsyncAnthropic(base_url=url, api_key="unused", max_retries=0) as client:
        with pytest.raises(NotFoundError, match="no target of this gateway serves") as refused:
            await client.messages.create(**{**ASK, "model": "nobody-serves-this"})
    body: Any = refused.value.body
    assert body["type"] == "error" and body["error"]["type"] == "not_found_error"
    assert body["request_id"] == recorded.events[0].id


async def test_a_stream_that_breaks_off_raises(served: tuple[str, Recorded], stub: Stub) -> None:
    url, recorded = served

    async def cut(request: web.Request, body: Any, whole: Any, stream: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(stream[: len(stream) // 2])
        await answer.write_eof()
        return answer

    stub._send = cut  # type: ignore[method-assign]
    async with AsyncAnthropic(base_url=url, api_key="unused", max_retries=0) as client:
        with pytest.raises(APIStatusError, match="broke off"):
            async with client.messages.stream(**ASK) as stream:
                await stream.get_final_message()
    assert (recorded.events[0].outcome, recorded.events[0].error) == ("truncated", "stream_truncated")
