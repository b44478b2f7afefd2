"""The official clients at every kind of upstream: several calls, thinking, documents, errors, without async."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest
from test_matrix_clients import (
    CHAT_TOOLS,
    MESSAGE_TOOLS,
    MODELS,
    PIXEL,
    QUESTION,
    UPSTREAMS,
    Place,
    Weather,
    place,
)
from vendor_stubs import ARGUMENTS, SIGNATURE, STRUCTURED, TEXT, THOUGHT

__all__ = ["place"]

GIVEN = json.loads(ARGUMENTS)
TWO_CHAT_TOOLS: list[Any] = [
    *CHAT_TOOLS,
    {**CHAT_TOOLS[0], "function": {**CHAT_TOOLS[0]["function"], "name": "tides"}},
]
TWO_MESSAGE_TOOLS: list[Any] = [*MESSAGE_TOOLS, {**MESSAGE_TOOLS[0], "name": "tides"}]
PDF = "JVBERi0xLjQK"
BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
ALL = pytest.mark.parametrize("upstream", UPSTREAMS)


@BOTH
@ALL
async def test_chat_several_calls_at_once(place: Place, upstream: str, streamed: bool) -> None:
    ask: dict[str, Any] = {"model": MODELS[upstream], "tools": TWO_CHAT_TOOLS, "messages": QUESTION}
    async with place.openai() as client:
        if streamed:
            async with client.chat.completions.stream(**ask) as stream:
                message: Any = (await stream.get_final_completion()).choices[0].message
        else:
            message = (await client.chat.completions.create(**ask)).choices[0].message
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
        assert calls == [("weather", GIVEN), ("tides", GIVEN)]
        results: list[Any] = [
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls
        ]
        history = [*QUESTION, message.model_dump(exclude_none=True, exclude={"parsed"}), *results]
        final = await client.chat.completions.create(**ask | {"messages": history})
    assert final.choices[0].message.content == TEXT
    if upstream == "anthropic":
        last = place.stubs[upstream].seen[-1]["messages"][-1]
        assert [block["type"] for block in last["content"]] == ["tool_result"] * 2, "one turn for both"


@BOTH
@ALL
async def test_messages_several_calls_at_once(place: Place, upstream: str, streamed: bool) -> None:
    ask: dict[str, Any] = {"model": MODELS[upstream], "max_tokens": 50, "tools": TWO_MESSAGE_TOOLS}
    async with place.anthropic() as client:
        if streamed:
            async with client.messages.stream(**ask, messages=QUESTION) as stream:
                answer = await stream.get_final_message()
        else:
            answer = await client.messages.create(**ask, messages=QUESTION)
        uses: list[Any] = [block for block in answer.content if block.type == "tool_use"]
        assert [(use.name, use.input) for use in uses] == [("weather", GIVEN), ("tides", GIVEN)]
        results = [{"type": "tool_result", "tool_use_id": use.id, "content": "sunny"} for use in uses]
        history: list[Any] = [
            *QUESTION,
            {"role": "assistant", "content": [use.model_dump(exclude_none=True) for use in uses]},
            {"role": "user", "content": results},
        ]
        final = await client.messages.create(**ask, messages=history)
    assert [block.text for block in final.content if block.type == "text"] == [TEXT]


@BOTH
async def test_thinking_is_byte_exact_for_its_own_client(place: Place, streamed: bool) -> None:
    ask: dict[str, Any] = {
        "model": MODELS["anthropic"],
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    async with place.anthropic() as client:
        if streamed:
            async with client.messages.stream(**ask, messages=QUESTION) as stream:
                answer = await stream.get_final_message()
        else:
            answer = await client.messages.create(**ask, messages=QUESTION)
        thought, hidden, said = answer.content
        assert thought.type == "thinking" and (thought.thinking, thought.signature) == (THOUGHT, SIGNATURE)
        assert hidden.type == "redacted_thinking" and hidden.data == "c2VjcmV0"
        assert said.type == "text" and said.text == TEXT
        turn: Any = {
            "role": "assistant",
            "content": [block.model_dump(exclude_none=True) for block in answer.content],
        }
        await client.messages.create(**ask, messages=[*QUESTION, turn, *QUESTION])
    given = place.stubs["anthropic"].seen[-1]["messages"][1]["content"]
    assert given[0] == {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}


@BOTH
async def test_thinking_comes_to_a_chat_client_and_goes_back_signed(place: Place, streamed: bool) -> None:
    ask: dict[str, Any] = {"model": MODELS["anthropic"], "max_tokens": 4000, "reasoning_effort": "low"}
    async with place.openai() as client:
        if streamed:
            async with client.chat.completions.stream(**ask, messages=QUESTION) as stream:
                message: Any = (await stream.get_final_completion()).choices[0].message
        else:
            message = (await client.chat.completions.create(**ask, messages=QUESTION)).choices[0].message
        assert (message.content, message.reasoning_content) == (TEXT, THOUGHT)
        turn: Any = {"role": "assistant", "content": TEXT, "thinking_blocks": message.thinking_blocks}
        await client.chat.completions.create(**ask, messages=[*QUESTION, turn, *QUESTION])
    given = place.stubs["anthropic"].seen[-1]["messages"][1]["content"]
    assert given[:2] == [
        {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]


@ALL
async def test_a_structured_answer_streamed(place: Place, upstream: str) -> None:
    async with (
        place.openai() as client,
        client.chat.completions.stream(
            model=MODELS[upstream], messages=QUESTION, response_format=Weather
        ) as stream,
    ):
        final = await stream.get_final_completion()
    assert final.choices[0].message.parsed == Weather(**json.loads(STRUCTURED))
    assert final.choices[0].finish_reason == "stop"


@BOTH
async def test_a_structured_answer_of_a_model_without_them(place: Place, streamed: bool) -> None:
    """An older Claude model is made to call a tool of ours; the client sees plain content."""
    ask: dict[str, Any] = {
        "model": "claude-sonnet-4-20250514",
        "messages": QUESTION,
        "response_format": Weather,
    }
    async with place.openai() as client:
        if streamed:
            async with client.chat.completions.stream(**ask) as stream:
                choice: Any = (await stream.get_final_completion()).choices[0]
        else:
            choice = (await client.chat.completions.parse(**ask)).choices[0]
    assert "tool_choice" in place.stubs["anthropic"].seen[0]
    assert (choice.message.parsed, choice.finish_reason) == (Weather(city="Bern", degrees=21), "stop")
    assert not choice.message.tool_calls


@ALL
async def test_documents_and_addresses_of_images_from_chat(place: Place, upstream: str) -> None:
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    messages: list[Any] = [{"role": "user", "content": [file, image, {"type": "text", "text": "?"}]}]
    async with place.openai() as client:
        await client.chat.completions.create(model=MODELS[upstream], messages=messages)
    sent = place.stubs[upstream].seen[0]["messages"][0]["content"]
    if upstream != "anthropic":
        assert sent == messages[0]["content"]
        return
    document, picture, _ = sent
    assert document["source"] == {"type": "base64", "media_type": "application/pdf", "data": PDF}
    assert picture["source"] == {"type": "url", "url": "https://example.com/a.png"}


@ALL
async def test_documents_and_addresses_of_images_from_messages(place: Place, upstream: str) -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    messages: list[Any] = [{"role": "user", "content": [{"type": "document", "source": source}, image]}]
    async with place.anthropic() as client:
        await client.messages.create(model=MODELS[upstream], max_tokens=50, messages=messages)
    sent = place.stubs[upstream].seen[0]["messages"][0]["content"]
    if upstream == "anthropic":
        assert sent == messages[0]["content"]
        return
    assert sent[0]["file"]["file_data"] == f"data:application/pdf;base64,{PDF}"
    assert sent[1] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


CHAT_ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
    529: openai.InternalServerError,
}


@ALL
@pytest.mark.parametrize("status", CHAT_ERRORS)
async def test_errors_keep_their_status_for_chat(place: Place, upstream: str, status: int) -> None:
    place.stubs[upstream].status = status
    async with place.openai() as client:
        with pytest.raises(CHAT_ERRORS[status]) as caught:
            await client.chat.completions.create(model=MODELS[upstream], messages=QUESTION)
    error = caught.value
    shown = 503 if status == 529 and upstream == "anthropic" else status
    assert (error.status_code, f"it is {status}" in error.message) == (shown, True)
    headers = error.response.headers
    assert headers["retry-after"] == "99"
    assert {headers.get("x-request-id"), headers.get("request-id")} == {"req-1", None}
    assert "7" in (
        headers.get("x-ratelimit-limit-requests"),
        headers.get("anthropic-ratelimit-requests-limit"),
    )


@ALL
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 503, 529])
async def test_errors_keep_their_status_for_messages(place: Place, upstream: str, status: int) -> None:
    place.stubs[upstream].status = status
    async with place.anthropic() as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(model=MODELS[upstream], max_tokens=50, messages=QUESTION)
    error = caught.value
    assert (error.status_code, f"it is {status}" in error.message) == (status, True)
    body: Any = error.body
    kind = {529: "overloaded_error", 429: "rate_limit_error", 404: "not_found_error"}.get(status)
    assert body["type"] == "error"
    assert kind is None or body["error"]["type"] == kind
    assert error.response.headers["retry-after"] == "99"


@ALL
async def test_both_clients_without_async(place: Place, upstream: str) -> None:
    """As most scripts use them: the client blocks its thread."""
    asked: dict[str, Any] = {"model": MODELS[upstream], "messages": QUESTION}

    def chat() -> list[str | None]:
        with openai.OpenAI(base_url=f"{place.url}/v1", api_key="unused", max_retries=0) as client:
            whole = client.chat.completions.create(**asked).choices[0].message.content
            with client.chat.completions.stream(**asked) as stream:
                return [whole, stream.get_final_completion().choices[0].message.content]

    def messages() -> list[str]:
        with anthropic.Anthropic(base_url=place.url, api_key="unused", max_retries=0) as client:
            whole: Any = client.messages.create(**asked, max_tokens=50).content[0]
            with client.messages.stream(**asked, max_tokens=50) as stream:
                return [whole.text, "".join(stream.text_stream)]

    assert await asyncio.to_thread(chat) == [TEXT, TEXT]
    assert await asyncio.to_thread(messages) == [TEXT, TEXT]
    assert [event.outcome for event in place.recorded.events] == ["ok"] * 4


async def test_tokens_are_counted_by_the_vendor_that_can(place: Place) -> None:
    async with place.anthropic() as client:
        counted = await client.messages.count_tokens(model=MODELS["anthropic"], messages=QUESTION)
        assert counted.input_tokens == 14
        for upstream in ("openai", "azure", "compatible"):
            with pytest.raises(anthropic.BadRequestError):
                await client.messages.count_tokens(model=MODELS[upstream], messages=QUESTION)
    assert place.recorded.events == []


async def test_azure_s_own_client_streams_from_azure(place: Place) -> None:
    """Its first chunk has no choices; its paths name the deployment."""
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=place.url, api_key="unused", api_version="2024-10-21", max_retries=0
    ) as client:
        stream = await client.chat.completions.create(model="prod", messages=QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices == []
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
    assert place.stubs["azure"].paths == ["/openai/deployments/prod/chat/completions?api-version=2024-10-21"]
    (event,) = place.recorded.events
    assert (event.model, event.outcome, event.cost_status) == ("az-gpt-4o", "ok", "priced")
    assert PIXEL not in repr(event)
