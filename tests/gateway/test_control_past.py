"""Questions about an earlier moment: answered as they would have been then, and nothing can be changed in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control_support import SPLIT, Running, gateway, until

from proxy.base.times import now_ms, rfc3339


async def _two_versions(running: Running) -> str:
    """Four requests under 95 to 5, then three under 10 to 90; the moment between them."""
    await running.ask(4)
    await until(lambda: now_ms() > (running.service.hub.store.last_timestamp_ms or 0))
    between = rfc3339(now_ms())
    await until(lambda: rfc3339(now_ms()) > between)
    async with running.control() as control:
        weights = {"variant-a": 10, "variant-b": 90}
        answer = await control.put(
            f"/v1/splits/{SPLIT}/weights", json={"weights": weights}, headers={"If-Match": "*"}
        )
        assert answer.status_code == 200, answer.text
    await running.ask(3, user="later")
    return between


def _weights(splits: list[dict[str, Any]]) -> list[float]:
    return [arm["weight"] for arm in splits[0]["arms"]]


async def test_the_status_of_an_earlier_moment(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        between = await _two_versions(running)
        now = (await control.get("/v1/status")).json()
        then = (await control.get("/v1/status", headers={"x-kt-at": between})).json()
        assert (now["config"]["number"], then["config"]["number"], then["at"]) == (2, 1, between)
        assert (now["traffic"]["requests"], then["traffic"]["requests"]) == (7, 4)
        assert (_weights(now["splits"]), _weights(then["splits"])) == ([10, 90], [95, 5])
        assert sum(arm["requests"] for arm in then["splits"][0]["arms"]) == 4
        assert then.keys() - {"at"} == now.keys() and then["config"].keys() == now["config"].keys()
        splits = (await control.get("/v1/splits", headers={"x-kt-at": between})).json()["splits"]
        assert splits == then["splits"]


async def test_the_version_that_ran_then(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        between = await _two_versions(running)
        then = await control.get("/v1/config", headers={"x-kt-at": between})
        now = (await control.get("/v1/config")).json()
        assert "weight: 95" in then.json()["text"] and "weight: 10" in now["text"]
        assert then.headers["etag"] == f'"{then.json()["hash"]}"' and then.json().keys() == now.keys()
        listed = (await control.get("/v1/config/versions", headers={"x-kt-at": between})).json()["versions"]
        assert [item["number"] for item in listed] == [1]
        before = (await control.get("/v1/config", headers={"x-kt-at": "400d"})).json()
        assert (before["number"], before["text"]) == (0, "")
        assert (await control.get("/v1/status", headers={"x-kt-at": "400d"})).json()["config"] is None


async def test_nothing_is_changed_in_the_past(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        text = running.policy.read_text()
        headers = {"x-kt-at": "1m", "If-Match": "*"}
        refused = await control.put("/v1/config", json={"text": text + "# more\n"}, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "earlier_moment")
        assert running.policy.read_text() == text
        linted = await control.post("/v1/policy/lint", json={"text": text}, headers={"x-kt-at": "1m"})
        assert linted.status_code == 200


@pytest.mark.parametrize("given", ["soon", "", "2026-13-40", "9" * 400 + "d"])
async def test_what_is_no_moment_is_said(tmp_path: Path, given: str) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        for path in ("/v1/status", "/v1/config", "/v1/splits"):
            answer = await control.get(path, headers={"x-kt-at": given})
            assert (answer.status_code, answer.json()["error"]["where"]) == (400, "x-kt-at"), path
