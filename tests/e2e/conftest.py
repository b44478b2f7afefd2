"""A whole gateway (service, store, control API) over real sockets, in front of a vendor on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from e2e_support import Running, Vendor, split_policy
from loopback import served

from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", vendor.chat)
    app.router.add_post("/v1/messages", vendor.messages)
    async with served(app) as vendor.url:
        yield vendor


@pytest.fixture
async def gateway(tmp_path: Path, vendor: Vendor) -> AsyncIterator[Running]:
    policy = tmp_path / "policy.yaml"
    policy.write_text(split_policy(vendor.url))
    service = GatewayService(
        ServiceOptions(
            policy_path=policy,
            listen="127.0.0.1:0",
            api_listen="127.0.0.1:0",
            state_dir=tmp_path / "state",
            env={"OPENAI_API_KEY": "sk-canary-openai", "ANTHROPIC_API_KEY": "sk-canary-anthropic"},
        )
    )
    addresses = await service.start()
    try:
        yield Running(
            service, f"http://{addresses.listen}", f"http://{addresses.api}", service.token.reveal(), policy
        )
    finally:
        await service.stop(drain_s=2)
