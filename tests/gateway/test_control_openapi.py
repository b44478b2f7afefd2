"""The OpenAPI document is of the routes there are, and every answer is as it says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from control_support import Running, gateway
from jsonschema import Draft202012Validator
from starlette.routing import Route

from proxy.control.app import routes
from proxy.control.hub import Hub
from proxy.control.openapi_shapes import SHAPES


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as found:
        yield found


async def documented(control: httpx.AsyncClient) -> dict[str, Any]:
    answer = await control.get("/v1/openapi.json")
    assert answer.status_code == 200
    return cast(dict[str, Any], answer.json())


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


async def test_every_route_is_described_and_nothing_else(running: Running) -> None:
    table: list[Route] = routes(cast(Hub, None))
    there = {(method, route.path) for route in table for method in (route.methods or set()) - {"HEAD"}}
    async with running.control() as control:
        found = operations(await documented(control))
    assert set(found) == there == set(SHAPES)
    names = [operation["operationId"] for operation in found.values()]
    assert len(set(names)) == len(names)
    assert all(operation["summary"].endswith(".") for operation in found.values())


async def test_the_document_is_sound(running: Running) -> None:
    async with running.control() as control:
        document = await documented(control)
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]
    used = {name.removeprefix("#/components/schemas/") for name in references(document)}
    assert used == set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for (_, path), operation in operations(document).items():
        inside = [item["name"] for item in operation["parameters"] if item["in"] == "path"]
        assert all(f"{{{name}}}" in path for name in inside) and path.count("{") == len(inside)
        for item in operation["parameters"]:
            Draft202012Validator.check_schema(item["schema"])


async def test_every_answer_is_as_it_says(running: Running) -> None:
    async with running.control() as control:
        document = await documented(control)
        asked = await everything(running, control)
        left = {key for key in operations(document) if key not in {(m, p) for m, p, _ in asked}}
        assert left == {("GET", f"/v1/{path}") for path in ("stream", "events/stream", "events/search")}
        for method, path, answer in asked:
            described = operations(document)[method, path]["responses"]
            assert str(answer.status_code) in described, (method, path, answer.text)
            schema = described[str(answer.status_code)]["content"]["application/json"]["schema"]
            whole = {**schema, "components": document["components"]}
            errors = [
                f"{error.json_path}: {error.message}"
                for error in Draft202012Validator(whole).iter_errors(answer.json())
            ]
            assert not errors, (method, path, answer.status_code, errors[:3])


async def everything(running: Running, control: httpx.AsyncClient) -> list[tuple[str, str, httpx.Response]]:
    """Every route that answers once, asked well, and some asked badly."""
    event = str((await running.ask(3))[0].headers["x-kt-request-id"])
    refused = str((await running.ask(1, model="no-such-model"))[0].headers["x-kt-request-id"])
    config = (await control.get("/v1/config")).json()
    text, digest = config["text"], config["hash"]
    other = text.replace("weight: 95", "weight: 90").replace("weight: 5,", "weight: 10,")
    match = {"If-Match": "*"}
    done: list[tuple[str, str, httpx.Response]] = []

    async def ask(method: str, path: str, values: dict[str, str] | None = None, **more: Any) -> None:
        place = path.format_map(values or {})
        done.append((method, path, await control.request(method, place, **more)))

    key = {"Idempotency-Key": "k"}
    for said in ({"score": 0.5}, {"score": 0.5}, {"label": "x"}, {}):
        await ask("POST", "/v1/events/{id}/feedback", {"id": event}, json=said, headers=key)
    await ask("POST", "/v1/feedback", json={"event_id": event, "score": 1}, headers={"Idempotency-Key": "l"})
    await ask("POST", "/v1/feedback", json={"event_id": event, "score": 1})
    await ask("GET", "/metrics", headers={"x-kt-at": "2026-01-01T00:00:00Z"})
    for path in ("/healthz", "/readyz", "/v1/openapi.json", "/v1/status", "/v1/targets", "/v1/models",
                 "/v1/metrics/summary", "/v1/config", "/v1/config/versions", "/v1/splits", "/v1/events",
                 "/v1/events/fields", "/v1/prices"):  # fmt: skip
        await ask("GET", path)
    await ask("GET", "/v1/cost", params={"group_by": "variant"})
    await ask("GET", "/v1/cost", params={"window": "1s"})
    await ask("GET", "/v1/cost/advice")
    await ask("GET", "/v1/events", params={"unknown": "null"})
    await ask("GET", "/v1/events", params={"filter": "nonsense:1"})
    await ask("GET", "/v1/metrics/series", params={"metric": "requests", "group_by": "variant"})
    await ask("GET", "/v1/metrics/series")
    for one in (event, refused, "none"):
        await ask("GET", "/v1/events/{id}", {"id": one})
        await ask("GET", "/v1/events/{id}/explain", {"id": one})
        await ask("GET", "/v1/events/{id}/body", {"id": one})
    await ask("GET", "/v1/config/versions/{hash}", {"hash": digest})
    await ask("GET", "/v1/config/versions/{hash}", {"hash": "0000000"})
    await ask("POST", "/v1/policy/lint", json={"text": f"{text}\n  - {{name: q, type: none}}\n"})
    await ask("POST", "/v1/policy/diff", json={"a": text, "b": other})
    await ask("POST", "/v1/policy/impact", json={"text": other, "show": None})
    await ask("POST", "/v1/policy/explain", json={"request": {"model": "gpt-4o"}})
    weights = {"variant-a": 80, "variant-b": 20}
    for body in ({"weights": weights, "dry_run": True}, {"weights": weights}):
        await ask("PUT", "/v1/splits/{name}/weights", {"name": "ab-test-models"}, json=body, headers=match)
    await ask("PUT", "/v1/config", json={"text": other, "why": "w"}, headers=match)
    await ask("PUT", "/v1/config", json={"text": other}, headers={"If-Match": "0"})
    await ask("PUT", "/v1/config", json={"text": "policies: 3"}, headers=match)
    await ask("PUT", "/v1/config", json={"text": other})
    await ask("POST", "/v1/config/restore", json={"hash": digest}, headers=match)
    for body in ({"what": "bodies", "dry_run": True}, {"what": "events", "before": "1w"}, {"what": "all"}):
        await ask("POST", "/v1/events/purge", json=body, headers=key)
    await ask("POST", "/v1/events/purge", json={"what": "events"})
    for body in ({"dry_run": True}, {"all": True, "since": "1h", "until": None}, {"all": "yes"}):
        await ask("POST", "/v1/prices/reprice", json=body, headers=key)
    return done


async def test_what_is_said_of_a_body_is_what_is_accepted(running: Running) -> None:
    """Feedback: a body is refused when, and only when, its schema says so."""
    async with running.control() as control:
        document = await documented(control)
        event = str((await running.ask())[0].headers["x-kt-request-id"])
        body = operations(document)["POST", "/v1/events/{id}/feedback"]["requestBody"]
        check = Draft202012Validator(body["content"]["application/json"]["schema"])
        values: list[Any] = [None, True, 0, 0.5, 1, 1.1, -1, "", "x", "x" * 65, "x" * 2_001, [], {}]
        for name in ("score", "label", "comment", "stars"):
            for number, value in enumerate(values):
                # A label beside it, so that a null is not an empty body.
                given = (
                    {"label": "there", name: value} if name != "label" else {"comment": "there", name: value}
                )
                answer = await control.post(
                    f"/v1/events/{event}/feedback", json=given, headers={"Idempotency-Key": f"{name}{number}"}
                )
                assert (answer.status_code == 201) == check.is_valid(given), (json.dumps(given), answer.text)


async def test_every_query_parameter_is_taken(running: Running) -> None:
    samples = {"since": "1h", "until": "1s", "at": "2026-01-01", "filter": "status:200", "format": "json",
               "unknown": "null", "window": "5m", "step": "10s", "metric": "requests", "group_by": "all",
               "order": "oldest", "fields": "id,metadata.ab_tag"}  # fmt: skip
    async with running.control() as control:
        for (method, path), operation in operations(await documented(control)).items():
            if method != "GET" or path.endswith("/stream") or "{" in path:
                continue
            query = [item for item in operation["parameters"] if item["in"] == "query"]
            needed = {item["name"]: samples[item["name"]] for item in query if item["required"]}
            for item in query:
                given = {**needed, item["name"]: samples.get(item["name"], "1")}
                answer = await control.get(path, params=given)
                assert answer.status_code == 200, (path, given, answer.text)
