"""Every sample config serves as it is, on a machine without a single key."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

SAMPLES = sorted((Path(__file__).parents[2] / "sample_configs").glob("*.yaml"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
async def test_a_sample_serves(tmp_path: Path, path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    service = GatewayService(ServiceOptions(copy, tmp_path / "state", "127.0.0.1:0", "127.0.0.1:0", env={}))
    addresses = await service.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{addresses.listen}") as client:
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/v1/models")).status_code == 200
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
            answer = await client.post("/v1/chat/completions", json=body)
        # Without a key the target cannot be used: a clear error in the client's dialect, never a crash.
        assert answer.status_code in (403, 404, 503)
        error = answer.json()["error"]
        assert error["message"]
        assert (answer.status_code != 503) or "_KEY" in error["message"] or "AZURE" in error["message"]
    finally:
        await service.stop(drain_s=0)


def test_all_of_the_guide_s_configs_are_there() -> None:
    text = "".join(path.read_text() for path in SAMPLES)
    for kind in ("model_filter", "traffic_split", "quality-scorer", "cost_limit", "type: log"):
        assert kind in text
    assert len(SAMPLES) >= 10
