"""Every official client at every kind of upstream, streamed and whole: text, tools, images, structured answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from matrix_support import Recorded, data_plane, serving
from openai import AsyncAzureOpenAI, AsyncOpenAI, BadRequestError
from pydantic import BaseModel
from vendor_stubs import STRUCTURED, TEXT, Stub

UPSTREAMS = ["openai", "azure", "compatible", "anthropic"]
MODELS = {"openai": "gpt-4o", "azure": "az-gpt-4o", "compatible": "local", "anthropic": "claude-haiku-4-5"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
CHAT_TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "description": "d", "parameters": PARAMETERS}}
]
MESSAGE_TOOLS: list[Any] = [{"name": "weather", "description": "d", "input_schema": PARAMETERS}]
QUESTION: list[Any] = [{"role": "user", "content": "Hello"}]


@dataclass
class Place:
    """A gateway in front of one stub of each kind."""

    url: str
    recorded: Recorded
    stubs: dict[str, Stub]

    def openai(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key="unused", max_retries=0)

    def anthropic(self) -> AsyncAnthropic:
        return AsyncAnthropic(base_url=self.url, api_key="unused", max_retries=0)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        stubs = {name: await stack.enter_async_context(serving(Stub(name))) for name in UPSTREAMS}
        text = f"""\
providers:
  targets:
    - {{id: openai, base_url: '{stubs["openai"].url}'}}
    - {{id: anthropic, base_url: '{stubs["anthropic"].url}'}}
    - id: azure-openai
      base_url: {stubs["azure"].url}
      api_version: 2024-10-21
      deployments: {{az-gpt-4o: prod}}
      price_as: gpt-4o
    - {{id: mine, provider: openai-compatible, base_url: '{stubs["compatible"].url}', models: [local]}}
"""
        url, recorded = await stack.enter_async_context(data_plane(text))
        yield Place(url, recorded, stubs)


def check_event(place: Place, upstream: str, finish: set[str | None]) -> None:
    (event,) = place.recorded.events
    assert (event.outcome, event.model) == ("ok", MODELS[upstream])
    assert (event.input_tokens, event.cached_tokens, event.output_tokens) == (20, 8, 10)
    assert event.usage_status == "reported"
    assert event.cost_status == ("unpriced" if upstream == "compatible" else "priced")
    assert event.finish_reason in finish


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_chat_text(place: Place, upstream: str, streamed: bool) -> None:
    async with place.openai() as client:
        if streamed:
            stream = await client.chat.completions.create(
                model=MODELS[upstream], messages=QUESTION, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            finish = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
            usage = chunks[-1].usage
            assert chunks[-1].choices == []
        else:
            answer = await client.chat.completions.create(model=MODELS[upstream], messages=QUESTION)
            text, finish = answer.choices[0].message.content or "", [answer.choices[0].finish_reason]
            usage = answer.usage
    assert (text, finish) == (TEXT, ["stop"])
    assert usage is not None and (usage.prompt_tokens, usage.completion_tokens) == (20, 10)
    assert usage.prompt_tokens_details is not None and usage.prompt_tokens_details.cached_tokens == 8
    check_event(place, upstream, {"stop", "end_turn"})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_chat_tools_there_and_back(place: Place, upstream: str, streamed: bool) -> None:
    ask: dict[str, Any] = {"model": MODELS[upstream], "tools": CHAT_TOOLS}
    async with place.openai() as client:
        if streamed:
            async with client.chat.completions.stream(**ask, messages=QUESTION) as stream:
                message: Any = (await stream.get_final_completion()).choices[0].message
        else:
            answer = await client.chat.completions.create(**ask, messages=QUESTION)
            assert answer.choices[0].finish_reason == "tool_calls"
            message = answer.choices[0].message
        (call,) = message.tool_calls
        assert call.function.name == "weather"
        assert json.loads(call.function.arguments) == {"city": "Zürich", "days": [1, 2]}
        history = [
            *QUESTION,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.function.name, "arguments": call.function.arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ]
        final = await client.chat.completions.create(**ask, messages=history)
    assert final.choices[0].message.content == TEXT
    assert [event.outcome for event in place.recorded.events] == ["ok", "ok"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_chat_images_reach_the_vendor(place: Place, upstream: str) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    async with place.openai() as client:
        messages: list[Any] = [
            {"role": "system", "content": "be short"},
            {"role": "user", "content": content},
        ]
        answer = await client.chat.completions.create(model=MODELS[upstream], messages=messages)
    assert answer.choices[0].message.content == TEXT
    assert PIXEL in json.dumps(place.stubs[upstream].seen[0])
    assert place.recorded.events[0].facts["has_images"] is True


class Weather(BaseModel):
    city: str
    degrees: int


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_chat_structured_answers(place: Place, upstream: str) -> None:
    async with place.openai() as client:
        answer = await client.chat.completions.parse(
            model=MODELS[upstream], messages=QUESTION, response_format=Weather
        )
    assert answer.choices[0].message.parsed == Weather(**json.loads(STRUCTURED))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_messages_text(place: Place, upstream: str, streamed: bool) -> None:
    ask: dict[str, Any] = {"model": MODELS[upstream], "max_tokens": 50, "messages": QUESTION}
    async with place.anthropic() as client:
        if streamed:
            async with client.messages.stream(**ask, system="be short") as stream:
                text = "".join([piece async for piece in stream.text_stream])
                answer = await stream.get_final_message()
        else:
            answer = await client.messages.create(**ask, system="be short")
            text = "".join(block.text for block in answer.content if block.type == "text")
    assert (text, answer.stop_reason) == (TEXT, "end_turn")
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (12, 8)
    assert answer.usage.output_tokens == 10
    check_event(place, upstream, {"stop", "end_turn"})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_messages_tools_there_and_back(place: Place, upstream: str, streamed: bool) -> None:
    ask: dict[str, Any] = {"model": MODELS[upstream], "max_tokens": 50, "tools": MESSAGE_TOOLS}
    async with place.anthropic() as client:
        if streamed:
            async with client.messages.stream(**ask, messages=QUESTION) as stream:
                answer = await stream.get_final_message()
        else:
            answer = await client.messages.create(**ask, messages=QUESTION)
        assert answer.stop_reason == "tool_use"
        (called,) = answer.content
        assert called.type == "tool_use" and called.input == {"city": "Zürich", "days": [1, 2]}
        call = {"type": "tool_use", "id": called.id, "name": called.name, "input": called.input}
        history: list[Any] = [
            *QUESTION,
            {"role": "assistant", "content": [call]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": called.id, "content": "sunny"}],
            },
        ]
        final = await client.messages.create(**ask, messages=history)
    assert [block.text for block in final.content if block.type == "text"] == [TEXT]


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_messages_images_reach_the_vendor(place: Place, upstream: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "?"}]}
    ]
    async with place.anthropic() as client:
        await client.messages.create(model=MODELS[upstream], max_tokens=50, messages=messages)
    assert PIXEL in json.dumps(place.stubs[upstream].seen[0])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", ["openai", "azure", "compatible"])
async def test_responses(place: Place, upstream: str, streamed: bool) -> None:
    async with place.openai() as client:
        if streamed:
            async with client.responses.stream(model=MODELS[upstream], input="Hello") as stream:
                async for _ in stream:
                    pass
                answer: Any = await stream.get_final_response()
        else:
            answer = await client.responses.create(model=MODELS[upstream], input="Hello")
    assert answer.output_text == TEXT
    (event,) = place.recorded.events
    assert (event.endpoint, event.outcome, event.finish_reason) == ("responses", "ok", "completed")
    assert (event.input_tokens, event.output_tokens) == (20, 10)


async def test_responses_are_not_for_anthropic(place: Place) -> None:
    async with place.openai() as client:
        with pytest.raises(BadRequestError, match="responses"):
            await client.responses.create(model=MODELS["anthropic"], input="Hello")


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_the_azure_client_at_every_upstream(place: Place, upstream: str) -> None:
    async with AsyncAzureOpenAI(
        azure_endpoint=place.url, api_key="unused", api_version="2024-10-21", max_retries=0
    ) as client:
        answer = await client.chat.completions.create(model=MODELS[upstream], messages=QUESTION)
    assert answer.choices[0].message.content == TEXT


async def test_one_unchanged_client_over_both_arms(place: Place) -> None:
    """What cannot be carried over is dropped and named; everything else is the same to the client."""
    async with place.openai() as client:
        for upstream in ("openai", "anthropic"):
            raw = await client.chat.completions.with_raw_response.create(
                model=MODELS[upstream], messages=QUESTION, seed=7, temperature=0.5
            )
            assert raw.parse().choices[0].message.content == TEXT
            assert raw.headers.get("x-kt-dropped-params", "") == ("seed" if upstream == "anthropic" else "")
    assert [event.dropped_params for event in place.recorded.events] == [[], ["seed"]]
    assert "seed" not in place.stubs["anthropic"].seen[0]
