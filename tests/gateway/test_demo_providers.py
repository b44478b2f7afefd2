"""The simulated vendors over real sockets, with the official client and by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import openai
import pytest

from ktui.demo.providers import SimulatedVendor
from ktui.demo.traffic import Traffic
from ktui.demo.vendors import ANTHROPIC, OPENAI, Fault, VendorProfile
from ktui.demo.words import count_tokens, prompt_tokens
from proxy.base.secret import Secret

KEY = "demo-key"
MESSAGES = [{"role": "user", "content": "How long does a parcel take?"}]


async def started(profile: VendorProfile, pace: float = 0.0, fault_rate: float = 0.0) -> SimulatedVendor:
    vendor = SimulatedVendor(profile, key=Secret(KEY), seed=1, pace=pace, fault_rate=fault_rate)
    await vendor.start()
    return vendor


@pytest.fixture
async def vendor() -> AsyncIterator[SimulatedVendor]:
    vendor = await started(OPENAI)
    yield vendor
    await vendor.stop()


@pytest.fixture
async def client(vendor: SimulatedVendor) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{vendor.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def test_a_whole_answer_has_usage_that_agrees_with_its_text(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)  # type: ignore[arg-type]
    text = answer.choices[0].message.content
    assert text and answer.usage is not None
    assert answer.usage.completion_tokens == count_tokens(text) > 20
    assert answer.usage.prompt_tokens == prompt_tokens(MESSAGES)
    assert answer.usage.total_tokens == answer.usage.completion_tokens + answer.usage.prompt_tokens
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "gpt-4o" and answer.id.startswith("chatcmpl-")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_cuts_the_answer_and_says_so(client: openai.AsyncOpenAI, name: str) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=MESSAGES,  # type: ignore[arg-type]
        extra_body={name: 7},
    )
    assert answer.usage is not None and answer.usage.completion_tokens == 7
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("asked", [True, False])
async def test_a_stream_ends_with_reason_and_usage_when_asked(
    client: openai.AsyncOpenAI, asked: bool
) -> None:
    extra = {"stream_options": {"include_usage": True}} if asked else {}
    stream = await client.chat.completions.create(
        model="gpt-4o",
        messages=MESSAGES,  # type: ignore[arg-type]
        stream=True,
        **extra,  # type: ignore[call-overload]
    )
    text, reasons, usages, first = "", [], [], None
    async for chunk in stream:
        if chunk.usage is not None:
            assert chunk.choices == []
            usages.append(chunk.usage)
        for choice in chunk.choices:
            first = first or choice.delta.role
            text += choice.delta.content or ""
            if choice.finish_reason:
                reasons.append(choice.finish_reason)
    assert first == "assistant" and reasons == ["stop"] and count_tokens(text) > 20
    assert [usage.completion_tokens for usage in usages] == ([count_tokens(text)] if asked else [])


async def test_responses_whole_and_streamed(client: openai.AsyncOpenAI) -> None:
    whole = await client.responses.create(model="gpt-4o", input="a parcel is late", max_output_tokens=9)
    assert whole.status == "incomplete" and whole.usage is not None
    assert whole.usage.output_tokens == count_tokens(whole.output_text) == 9
    text, last = "", None
    async with client.responses.stream(model="gpt-4o", input=MESSAGES) as stream:  # type: ignore[arg-type]
        async for event in stream:
            text += event.delta if event.type == "response.output_text.delta" else ""
            last = event.type
        final = await stream.get_final_response()
    assert last == "response.completed" and final.output_text == text and count_tokens(text) > 20


async def test_what_a_vendor_lacks_is_said_in_its_own_words(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="has no /v1/moderations"):
        await client.moderations.create(input="a parcel")


async def test_the_anthropic_vendor_speaks_the_same_wire() -> None:
    vendor = await started(ANTHROPIC)
    try:
        async with openai.AsyncOpenAI(base_url=f"{vendor.url}/v1", api_key=KEY, max_retries=0) as client:
            answer = await client.chat.completions.create(
                model="claude-sonnet-4-20250514",
                messages=MESSAGES,  # type: ignore[arg-type]
            )
            assert answer.model == "claude-sonnet-4-20250514" and answer.usage is not None
            with pytest.raises(openai.NotFoundError, match="gpt-4o"):
                await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)  # type: ignore[arg-type]
    finally:
        await vendor.stop()


async def test_models_and_embeddings(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names == ["gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "text-embedding-3-small"]
    for form in ("float", "base64"):
        answer = await client.embeddings.create(
            model="text-embedding-3-small",
            input=["a parcel", "two words here"],
            encoding_format=form,  # type: ignore[arg-type]
        )
        assert len(answer.data) == 2 and answer.usage.prompt_tokens == 5
    by_default = await client.embeddings.create(model="text-embedding-3-small", input="a parcel")
    assert len(by_default.data[0].embedding) == 1536
    assert sum(value * value for value in by_default.data[0].embedding) == pytest.approx(1, rel=0.1)


async def test_a_wrong_key_is_refused(vendor: SimulatedVendor) -> None:
    async with openai.AsyncOpenAI(base_url=f"{vendor.url}/v1", api_key="another", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model":"gpt-4o"}', b'{"model":"gpt-4o","messages":[]}'])
async def test_what_is_no_request_is_a_400(vendor: SimulatedVendor, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{vendor.url}/v1/chat/completions", data=body) as answer,
    ):
        assert answer.status == 400
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("status", [429, 500, 503, 529])
async def test_faults_come_as_errors_of_the_vendor(status: int) -> None:
    fault = Fault(status, "some_error", "It did not work.", 1.0)
    model = replace(OPENAI.models["gpt-4o"], faults=(fault,))
    vendor = await started(replace(OPENAI, models={"gpt-4o": model}), fault_rate=1.0)
    try:
        headers = {"Authorization": f"Bearer {KEY}"}
        body = {"model": "gpt-4o", "messages": MESSAGES, "stream": True}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{vendor.url}/v1/chat/completions", json=body) as answer,
        ):
            assert answer.status == status
            assert (await answer.json())["error"]["message"] == "It did not work."
            assert ("Retry-After" in answer.headers) == (status != 500)
    finally:
        await vendor.stop()


async def test_a_stream_arrives_in_pieces_over_time() -> None:
    steady = replace(
        OPENAI.models["gpt-4o"], ttft_s=0.1, ttft_sigma=0, gap_s=0.002, tokens=100, tokens_sigma=0
    )
    vendor = await started(replace(OPENAI, models={"gpt-4o": steady}), pace=1.0)
    try:
        async with openai.AsyncOpenAI(base_url=f"{vendor.url}/v1", api_key=KEY) as client:
            began = time.monotonic()
            stream = await client.chat.completions.create(
                model="gpt-4o",
                messages=MESSAGES,  # type: ignore[arg-type]
                stream=True,
            )
            times = [
                time.monotonic() - began
                async for chunk in stream
                if chunk.choices and chunk.choices[0].delta.content
            ]
        # The weather moves both times by at most 12 %.
        assert times[0] > 0.08
        assert times[-1] - times[0] > 0.1
        assert len(times) == 1 + -(-99 // 6)
    finally:
        await vendor.stop()


async def test_traffic_arrives_at_its_rate_whatever_the_answers_take(vendor: SimulatedVendor) -> None:
    traffic = Traffic(vendor.url, rate=300, seed=2)
    running = asyncio.create_task(traffic.run())
    await asyncio.sleep(1.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    # The vendor wants a key that the applications do not have: every answer is a 401, and counted as one.
    assert set(traffic.counts) == {"401"}
    assert 150 < traffic.counts["401"] < 400
