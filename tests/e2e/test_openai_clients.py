"""The official client, unchanged but for its address."""

from __future__ import annotations

import asyncio

import pytest
from e2e_support import Running, Vendor
from openai import AsyncOpenAI, NotFoundError, OpenAI

QUESTION = [{"role": "user", "content": "Hello"}]


async def test_async_whole_and_streamed(gateway: Running, vendor: Vendor) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.data}/v1", api_key="unused", max_retries=0) as client:
        answer = await client.chat.completions.create(model="gpt-4o", user="u-1", messages=QUESTION)
        assert answer.choices[0].message.content == "Hello there."
        assert answer.usage is not None and answer.usage.total_tokens == 17
        stream = await client.chat.completions.create(
            model="gpt-4o", user="u-1", messages=QUESTION, stream=True
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Hello there."
    assert all(chunk.usage is None for chunk in chunks)
    assert vendor.seen[-1]["stream_options"] == {"include_usage": True}


async def test_sync_whole_and_streamed(gateway: Running) -> None:
    def talk() -> tuple[str, str]:
        with OpenAI(base_url=f"{gateway.data}/v1", api_key="unused", max_retries=0) as client:
            whole = client.chat.completions.create(model="gpt-4o", user="u-1", messages=QUESTION)
            options = {"include_usage": True}
            stream = client.chat.completions.create(
                model="gpt-4o", user="u-1", messages=QUESTION, stream=True, stream_options=options
            )
            chunks = list(stream)
            assert chunks[-1].choices == [] and chunks[-1].usage is not None
            text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            return whole.choices[0].message.content or "", text

    assert await asyncio.to_thread(talk) == ("Hello there.", "Hello there.")


async def test_unknown_model_is_the_client_s_own_error(gateway: Running) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.data}/v1", api_key="unused", max_retries=0) as client:
        with pytest.raises(NotFoundError, match="no-such-model"):
            await client.chat.completions.create(model="no-such-model", messages=QUESTION)


async def test_what_was_answered_is_an_event_with_tokens_and_cost(gateway: Running) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.data}/v1", api_key="unused", max_retries=0) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="gpt-4o", user="u-1", messages=QUESTION
        )
    request_id = raw.headers["x-kt-request-id"]
    async with gateway.control() as control, asyncio.timeout(5):
        while (answer := await control.get(f"/v1/events/{request_id}")).status_code == 404:
            await asyncio.sleep(0.05)
    event = answer.json()
    assert event["request_id"] == request_id
    assert (event["input_tokens"], event["output_tokens"]) == (12, 5)
    assert event["cost_status"] == "priced" and float(event["cost"]) > 0
    assert event["metadata"]["ab_tag"] == raw.headers["x-kt-variant"]


async def test_no_secret_anywhere_in_the_state(gateway: Running, tmp_path: object) -> None:
    async with AsyncOpenAI(
        base_url=f"{gateway.data}/v1", api_key="sk-canary-caller", max_retries=0
    ) as client:
        await client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    async with gateway.control() as control:
        for path in ("/v1/status", "/v1/events", "/v1/config", "/v1/targets"):
            assert "canary" not in (await control.get(path)).text
    await gateway.service.stop(drain_s=1)
    for file in gateway.policy.parent.rglob("*"):
        if file.is_file():
            assert b"sk-canary" not in file.read_bytes(), file
