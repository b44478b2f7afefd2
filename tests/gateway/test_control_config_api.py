"""Reading and changing the policy over the control API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import SPLIT, Running, gateway, split_policy, until, vendor

from proxy.config.state import text_hash
from proxy.service.gateway_service import GatewayService, StartError
from proxy.service.options import ServiceOptions

BROKEN = "policies:\n  - name: a\n    type: no_such_type\n"
PHASES = """\
    rollout:
      phase: canary
      phases:
        - {name: canary, weights: {variant-a: 95, variant-b: 5}, duration: 3d}
        - {name: expand, weights: {variant-a: 70, variant-b: 30}}
"""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as found:
        yield found


@pytest.fixture
async def control(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with running.control() as client:
        yield client


def match(digest: str) -> dict[str, str]:
    return {"If-Match": f'"{digest}"'}


async def weigh(
    control: httpx.AsyncClient, body: Any, digest: str = "*", split: str = SPLIT
) -> httpx.Response:
    return await control.put(f"/v1/splits/{split}/weights", json=body, headers=match(digest))


async def test_the_config_is_the_text_its_hash_and_the_file(
    running: Running, control: httpx.AsyncClient
) -> None:
    answer = await control.get("/v1/config")
    body = answer.json()
    text = running.policy.read_text()
    assert (body["number"], body["text"], body["hash"]) == (1, text, text_hash(text))
    assert answer.headers["etag"] == f'"{text_hash(text)}"'
    assert (body["path"], body["name"]) == (str(running.policy), "policy.yaml")
    assert body["file"]["state"] == "same" and body["file"]["text"] == text


async def test_a_put_writes_the_file_and_runs_it(running: Running, control: httpx.AsyncClient) -> None:
    before, text = running.policy.read_text(), split_policy(running.vendor, 70, 30)
    body = {"text": text, "why": "expand", "through": "editor"}
    answer = await control.put("/v1/config", json=body, headers=match(text_hash(before)))
    assert answer.status_code == 200
    assert {k: answer.json()[k] for k in ("number", "hash", "changed")} == {
        "number": 2, "hash": text_hash(text), "changed": True,
    }  # fmt: skip
    assert 0 < answer.json()["applied_ms"] < 1_000
    assert running.policy.read_text() == text
    split = (await control.get("/v1/splits")).json()["splits"][0]
    assert [arm["share"] for arm in split["arms"]] == [70.0, 30.0]


async def test_another_hash_is_a_conflict_with_the_present_text(
    running: Running, control: httpx.AsyncClient
) -> None:
    before = running.policy.read_text()
    running.policy.write_text(split_policy(running.vendor, 80, 20))
    body = {"text": split_policy(running.vendor, 70, 30)}
    answer = await control.put("/v1/config", json=body, headers=match(text_hash(before)))
    present = running.policy.read_text()
    assert answer.status_code == 409 and answer.json()["error"]["code"] == "conflict"
    assert answer.json()["current"] == {"hash": text_hash(present), "text": present}
    assert present == split_policy(running.vendor, 80, 20)


async def test_errors_are_422_with_their_places_and_nothing_changes(
    running: Running, control: httpx.AsyncClient
) -> None:
    before = running.policy.read_text()
    answer = await control.put("/v1/config", json={"text": BROKEN}, headers=match("*"))
    body = answer.json()
    assert answer.status_code == 422 and body["error"]["code"] == "lint"
    assert (body["diagnostics"][0]["line"], body["diagnostics"][0]["severity"]) == (3, "error")
    assert running.policy.read_text() == before and running.service.config.running.number == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/config", {"text": "policies: []"}),
        ("POST", "/v1/config/restore", {"hash": "0" * 64}),
        ("PUT", f"/v1/splits/{SPLIT}/weights", {"weights": {"variant-a": 1}}),
    ],
)
async def test_a_write_says_what_it_was_made_on(
    running: Running, control: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    before = running.policy.read_text()
    answer = await control.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["where"]) == (428, "if-match")
    assert running.policy.read_text() == before


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"text": "a: 1"}', "text/plain", 415),
        (b'{"text": "a: 1"}', "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"text": 5}', "application/json", 400),
        (b'{"why": "x"}', "application/json", 400),
        (b'{"text": "\\ud800"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"text": "a", "through": "elsewhere"}', "application/json", 400),
        (b'{"text": "' + b"#" * (5 << 20) + b'"}', "application/json", 413),
    ],
)
async def test_a_bad_body_is_one_sentence(
    running: Running, control: httpx.AsyncClient, content: bytes, kind: str, status: int
) -> None:
    before = running.policy.read_text()
    headers = {"Content-Type": kind, "If-Match": "*"}
    answer = await control.put("/v1/config", content=content, headers=headers)
    error = answer.json()["error"]
    assert answer.status_code == status
    assert error["message"] and "Traceback" not in answer.text and "\n" not in error["message"]
    assert running.policy.read_text() == before


async def test_versions_are_listed_read_and_restored(running: Running, control: httpx.AsyncClient) -> None:
    first = running.policy.read_text()
    await weigh(control, {"weights": {"variant-a": 60, "variant-b": 40}})
    listed = (await control.get("/v1/config/versions")).json()["versions"]
    assert [(item["number"], item["through"]) for item in listed] == [(2, "slider"), (1, "start")]
    assert "text" not in listed[0]
    old = (await control.get(f"/v1/config/versions/{text_hash(first)}")).json()
    assert old["text"] == first
    present = text_hash(running.policy.read_text())
    answer = await control.post(
        "/v1/config/restore", json={"hash": old["hash"], "why": "back"}, headers=match(present)
    )
    assert (answer.status_code, answer.json()["number"]) == (200, 3)
    assert running.policy.read_text() == first
    unknown = await control.post("/v1/config/restore", json={"hash": "f" * 64}, headers=match("*"))
    assert unknown.status_code == 404
    assert (await control.get(f"/v1/config/versions/{'f' * 64}")).status_code == 404


async def test_weights_change_only_their_own_bytes(running: Running, control: httpx.AsyncClient) -> None:
    answer = await weigh(control, {"weights": {"variant-a": 66.6, "variant-b": 33.4}})
    assert answer.status_code == 200, answer.text
    assert running.policy.read_text() == split_policy(running.vendor, 66.6, 33.4)
    assert answer.json()["text"] == running.policy.read_text()
    assert "+      - {model: gpt-4o, weight: 66.6, tag: variant-a}" in answer.json()["diff"]


async def test_a_dry_run_writes_nothing(running: Running, control: httpx.AsyncClient) -> None:
    before = running.policy.read_text()
    answer = await weigh(control, {"weights": {"variant-a": 60, "variant-b": 40}, "dry_run": True})
    assert answer.status_code == 200 and answer.json()["changed"]
    assert answer.json()["text"] == split_policy(running.vendor, 60, 40)
    assert running.policy.read_text() == before and running.service.config.running.number == 1


async def test_naming_the_next_phase_makes_its_weights_the_live_ones(tmp_path: Path) -> None:
    async with vendor() as url:
        text = split_policy(url, more=PHASES)
        async with gateway(tmp_path, text) as running, running.control() as control:
            assert (await control.get("/v1/splits")).json()["splits"][0]["phase"] == "canary"
            answer = await weigh(control, {"phase": "expand"}, text_hash(text))
            assert answer.status_code == 200, answer.text
            split = (await control.get("/v1/splits")).json()["splits"][0]
            assert (split["phase"], split["off_plan"]) == ("expand", False)
            assert [arm["share"] for arm in split["arms"]] == [70.0, 30.0]
            assert [phase["duration_s"] for phase in split["phases"]] == [259_200, None]
            wanted = split_policy(url, 70, 30, PHASES).replace("phase: canary", "phase: expand")
            assert running.policy.read_text() == wanted
            await weigh(control, {"phases": {"canary": {"variant-a": 90, "variant-b": 10}}})
            assert "{variant-a: 90, variant-b: 10}" in running.policy.read_text()
            await weigh(control, {"weights": {"variant-a": 50, "variant-b": 50}})
            assert (await control.get("/v1/splits")).json()["splits"][0]["off_plan"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"weights": {"variant-a": -1}},
        {"weights": {"variant-a": "NaN"}},
        {"weights": {"variant-a": True}},
        {"weights": {"variant-a": 1e308}},
        {"weights": {"variant-a": 0.0001}},
        {"weights": {"no-such-arm": 1}},
        {"weights": [1, 2]},
        {"phases": {"canary": {"variant-a": 1}}},
        {"phase": "no-such-phase"},
        {"phase": 5},
        {"wieghts": {}},
    ],
)
async def test_weights_that_mean_nothing_are_400(
    running: Running, control: httpx.AsyncClient, body: Any
) -> None:
    before = running.policy.read_text()
    answer = await weigh(control, body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]
    assert running.policy.read_text() == before


async def test_weights_on_another_text_are_a_conflict(running: Running, control: httpx.AsyncClient) -> None:
    before = running.policy.read_text()
    answer = await weigh(control, {"weights": {"variant-a": 60, "variant-b": 40}}, "0" * 64)
    assert answer.status_code == 409 and answer.json()["current"]["text"] == before
    assert running.policy.read_text() == before


async def test_a_file_with_errors_is_not_edited_by_a_slider(
    running: Running, control: httpx.AsyncClient
) -> None:
    running.policy.write_text(BROKEN)
    await until(lambda: running.service.config.file.condition == "differs")
    answer = await weigh(control, {"weights": {"variant-a": 60, "variant-b": 40}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "file_broken")
    assert running.policy.read_text() == BROKEN


async def test_lint_and_diff_write_nothing(running: Running, control: httpx.AsyncClient) -> None:
    bad = (await control.post("/v1/policy/lint", json={"text": BROKEN})).json()
    assert bad["valid"] is False and bad["diagnostics"][0]["message"]
    text = "policies:\n  - {name: budget, type: cost_limit, limit_usd: 50, window: day, action: block}\n"
    good = (await control.post("/v1/policy/lint", json={"text": text})).json()
    assert good["valid"] is True
    assert good["not_enforced"] == [{"policy": "budget", "type": "cost_limit", "line": 2}]
    a, b = split_policy("http://x", 95, 5), split_policy("http://x", 70, 30)
    diff = (await control.post("/v1/policy/diff", json={"a": a, "b": b})).json()
    assert "-      - {model: gpt-4o, weight: 95, tag: variant-a}" in diff["unified"]
    assert {(item["before"], item["after"]) for item in diff["values"]} == {("95", "70"), ("5", "30")}
    assert diff["meaning"] == ["ab-test-models: variant-b 5 % → 30 %, variant-a 95 % → 70 %"]
    unread = (await control.post("/v1/policy/diff", json={"a": a, "b": "policies: ["})).json()
    assert len(unread["meaning"]) == 1 and "the second text cannot be read" in unread["meaning"][0]
    assert running.service.config.running.number == 1


async def test_the_status_says_why_the_file_differs(running: Running, control: httpx.AsyncClient) -> None:
    running.policy.write_text(BROKEN)
    await until(lambda: running.service.config.file.condition == "differs")
    status = (await control.get("/v1/status")).json()
    assert status["gateway"]["state"] == "serving"
    file = status["config"]["file"]
    assert (file["state"], file["reason"]) == ("differs", "1 error")
    assert file["diagnostics"][0]["line"] == 3
    assert (await running.ask())[0].status_code == 200


async def test_a_gateway_started_on_a_broken_file_says_so_and_heals(tmp_path: Path) -> None:
    async with gateway(tmp_path, BROKEN, allow_broken_start=True) as running, running.control() as control:
        status = (await control.get("/v1/status")).json()
        assert status["gateway"]["state"] == "not_ready" and "1 error" in status["gateway"]["reason"]
        assert status["config"] is None and status["splits"] == []
        config = (await control.get("/v1/config")).json()
        assert (config["number"], config["text"]) == (0, "")
        assert config["file"]["text"] == BROKEN and config["file"]["diagnostics"]
        async with httpx.AsyncClient() as client:
            for base in (running.api, running.data):
                assert (await client.get(f"{base}/readyz")).status_code == 503
                assert (await client.get(f"{base}/healthz")).status_code == 200
        text = split_policy(running.vendor)
        answer = await control.put("/v1/config", json={"text": text}, headers=match(text_hash(BROKEN)))
        assert answer.status_code == 200, answer.text
        assert (await control.get("/readyz")).status_code == 200
        assert (await running.ask())[0].status_code == 200


async def test_a_broken_file_without_an_earlier_version_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(BROKEN)
    options = ServiceOptions(path, tmp_path / "state", "127.0.0.1:0", "127.0.0.1:0")
    service = GatewayService(options)
    with pytest.raises(StartError, match="cannot run: 1 error") as raised:
        await service.start()
    assert raised.value.diagnostics[0].line == 3
    assert list((tmp_path / "state" / "run").glob("*")) == []


async def test_errors_of_routing_are_json_too(control: httpx.AsyncClient) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("GET", "/%1b[2J", 404),
        ("DELETE", "/v1/config", 405),
        ("POST", "/v1/status", 405),
    ):
        answer = await control.request(method, path)
        assert answer.status_code == status and answer.json()["error"]["code"]
        assert "\x1b" not in answer.json()["error"]["message"]
