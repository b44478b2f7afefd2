"""llmock plays a hostile vendor and judges how its client, this gateway, behaves.

The application behind the gateway is the official client without retries of its own; after an error in a
stream it asks once more, as a careful application would. What the gateway hides from it, it cannot repair.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

EXECUTABLE = os.environ.get("KT_LLMOCK", "")
pytestmark = [
    pytest.mark.skipif(not EXECUTABLE, reason="KT_LLMOCK does not name the llmock executable"),
    pytest.mark.timeout(120),
]
POLICY = """\
providers:
  targets:
    - {{id: openai, base_url: "{url}", secret_key_ref: {{env: KEY}}}}
    - {{id: anthropic, base_url: "{url}/anthropic", secret_key_ref: {{env: KEY}}}}
"""
MESSAGES: Any = [{"role": "user", "content": "Say something about rivers."}]
VERDICTS = {
    "truncated_stream_accepted",
    "retry_after_ignored",
    "no_backoff",
    "retry_storm",
    "retried_non_retryable",
}


class Bench:
    """llmock, and this gateway in front of it."""

    def __init__(self, llmock: httpx.AsyncClient, gateway: str) -> None:
        self._llmock = llmock
        self.openai = openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key="unused", max_retries=0)
        self.anthropic = anthropic.AsyncAnthropic(base_url=gateway, api_key="unused", max_retries=0)

    async def plan(self, *behaviours: dict[str, Any]) -> None:
        """What goes wrong next."""
        (await self._llmock.post("/_llmock/reset")).raise_for_status()
        answer = await self._llmock.post("/_llmock/scenario", json={"behaviors": list(behaviours)})
        answer.raise_for_status()

    async def attempts(self) -> int:
        """Requests the vendor saw."""
        return len((await self._llmock.get("/_llmock/requests")).json()["requests"])

    async def findings(self) -> list[str]:
        """What llmock has to say against its client."""
        verdict = (await self._llmock.get("/_llmock/verdict")).json()
        assert verdict["calls"] > 0
        return [finding["code"] for finding in verdict["findings"]]

    async def chat(self, stream: bool) -> str:
        """One answer of an OpenAI client."""
        if not stream:
            whole = await self.openai.chat.completions.create(model="gpt-4o", messages=MESSAGES)
            return whole.choices[0].message.content or ""
        parts = await self.openai.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        return "".join([part.choices[0].delta.content or "" async for part in parts if part.choices])

    async def message(self, stream: bool) -> str:
        """One answer of an Anthropic client."""
        asked: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 200, "messages": MESSAGES}
        if not stream:
            whole = await self.anthropic.messages.create(**asked)
            return "".join(block.text for block in whole.content if block.type == "text")
        async with self.anthropic.messages.stream(**asked) as parts:
            return await parts.get_final_text()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with llmock_server() as url:
        policy = tmp_path / "policy.yaml"
        policy.write_text(POLICY.format(url=url))
        service = GatewayService(
            ServiceOptions(
                policy_path=policy, listen="127.0.0.1:0", api_listen="127.0.0.1:0", state_dir=tmp_path / "state",
                env={"KEY": "sk-test"},
            )
        )  # fmt: skip
        addresses = await service.start()
        try:
            async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as llmock:
                yield Bench(llmock, f"http://{addresses.listen}")
        finally:
            await service.stop(drain_s=1)


@asynccontextmanager
async def llmock_server() -> AsyncIterator[str]:
    """Its address; it cannot tell the port it took, so one is chosen for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        EXECUTABLE, "serve", "-p", str(port), "--log-level", "error",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{url}/_llmock/requests")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
        yield url
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["chat", "message"])
@pytest.mark.parametrize(
    "fault",
    [
        {"type": "fail", "status": 429, "retry_after": 0.5, "times": 2},
        {"type": "fail", "status": 503, "times": 2},
        {"type": "fail", "status": 529, "times": 1},
    ],
)
async def test_what_passes_by_itself_is_absorbed(
    bench: Bench, dialect: str, stream: bool, fault: dict[str, Any]
) -> None:
    await bench.plan(fault)
    assert await getattr(bench, dialect)(stream)
    assert await bench.attempts() == fault["times"] + 1
    assert not VERDICTS & set(await bench.findings())


@pytest.mark.parametrize("dialect", ["chat", "message"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_no_retry_can_mend_is_asked_once(bench: Bench, dialect: str, status: int) -> None:
    await bench.plan({"type": "fail", "status": status, "times": 1})
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
        await getattr(bench, dialect)(False)
    assert raised.value.status_code == status
    assert await bench.attempts() == 1
    assert not VERDICTS & set(await bench.findings())


@pytest.mark.parametrize("dialect", ["chat", "message"])
async def test_a_vendor_that_is_down_is_asked_three_times(bench: Bench, dialect: str) -> None:
    await bench.plan({"type": "fail", "status": 503, "times": None})
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
        await getattr(bench, dialect)(False)
    assert raised.value.status_code == 503
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert await bench.attempts() == 3
    assert not VERDICTS & set(await bench.findings())


@pytest.mark.parametrize("dialect", ["chat", "message"])
@pytest.mark.parametrize("kind", ["truncate", "disconnect"])
async def test_half_a_stream_is_an_error_the_application_sees(bench: Bench, dialect: str, kind: str) -> None:
    await bench.plan({"type": "stream_fault", "kind": kind, "after_chunks": 2, "times": 1})
    with pytest.raises((openai.APIError, anthropic.APIError, httpx.HTTPError)):
        await getattr(bench, dialect)(True)
    assert await getattr(bench, dialect)(True)
    assert not VERDICTS & set(await bench.findings())
