"""What the gateway itself refuses: clear, in the client's dialect, recorded, and nothing reaches an upstream."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from gateway_support import (
    QUESTION,
    WHOLE,
    Gateway,
    RawUpstream,
    Reply,
    reply_and_wait,
    reply_json,
    reply_raw,
    request,
    snapshot_of,
    two_vendors,
)
from openai import AsyncOpenAI, PermissionDeniedError

from proxy.base.secret import Secret
from proxy.gateway.runtime import NamedKey

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION}


def check(reply: Reply, status: int, code: str) -> dict[str, Any]:
    """The shape of every refusal of ours."""
    assert (reply.status, reply.error["code"]) == (status, code), reply.body
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert reply.headers["content-type"] == "application/json"
    assert len(reply.headers["x-kt-request-id"]) == 36
    assert reply.headers["x-should-retry"] == "false"
    return reply.error


async def test_an_unknown_model(gateway: Gateway, upstream: RawUpstream) -> None:
    error = check(await gateway.ask({**ASK, "model": "no-such"}), 404, "model_not_found")
    assert "'no-such'" in error["message"] and error["param"] == "model"
    (event,) = gateway.events.events
    assert (event.status, event.outcome, event.error, event.model) == (
        404,
        "error",
        "model_not_found",
        "no-such",
    )
    assert (event.usage_status, event.cost_status, event.attempts) == ("none", "none", 0)
    assert not upstream.seen


async def test_a_refused_policy_is_a_403_that_names_it(start_gateway: Any, upstream: RawUpstream) -> None:
    text = two_vendors(upstream.url) + (
        "policies:\n  - {name: no-o1, type: model_filter, blocked_models: ['o1*']}\n"
    )
    gateway = await start_gateway(text)
    reply = await gateway.ask({**ASK, "model": "o1-pro"})
    assert "no-o1" in check(reply, 403, "policy_blocked")["message"]
    assert reply.headers["x-kt-decision"] == "block" and reply.headers["x-kt-policy"] == "no-o1"
    (event,) = gateway.events.events
    assert (event.status, event.outcome, event.decision) == (403, "blocked", "block")
    assert event.policies_triggered == ["no-o1"] and event.model == "o1-pro"
    async with AsyncOpenAI(base_url=gateway.base, api_key="x") as client:
        with pytest.raises(PermissionDeniedError, match="no-o1"):
            await client.chat.completions.create(model="o1-pro", messages=QUESTION)
    assert len(gateway.events.events) == 2, "the official client does not retry a refusal"
    assert not upstream.seen


async def test_a_missing_variable_is_a_503_that_names_it(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(two_vendors(upstream.url), {"ANTHROPIC_API_KEY": "sk-2"})
    assert "OPENAI_API_KEY" in check(await gateway.ask(ASK), 503, "target_unavailable")["message"]


async def test_without_a_policy_nothing_is_served_but_health(start_gateway: Any) -> None:
    gateway = await start_gateway(None)
    check(await gateway.ask(ASK), 503, "no_policy")
    assert (await gateway.ask(b"", "/readyz", method="GET")).status == 503
    assert (await gateway.ask(b"", "/healthz", method="GET")).status == 200


async def test_a_dead_upstream_is_a_502(start_gateway: Any, dead_port: int) -> None:
    gateway = await start_gateway(two_vendors(f"http://127.0.0.1:{dead_port}"))
    reply = await gateway.ask(ASK)
    assert "no connection to 127.0.0.1" in check(reply, 502, "upstream_unreachable")["message"]
    assert reply.headers["x-kt-model"] == "gpt-4o"
    (event,) = gateway.events.events
    assert (event.status, event.outcome, event.provider, event.attempts) == (502, "error", "openai", 3)
    assert event.cost_status == "none"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
            502,
            "upstream_unreachable",
        ),
        (b"not http\r\n\r\n", 502, "upstream_unreachable"),
        (b"HTTP/1.1 777 Odd\r\ncontent-length: 0\r\n\r\n", 502, "upstream_unreachable"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            502,
            "upstream_unreachable",
        ),
        (b"", 502, "upstream_unreachable"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", 502, "upstream_broke_off"),
    ],
    ids=["redirect", "not http", "odd status", "two lengths", "hang up", "half an answer"],
)
async def test_a_broken_upstream_is_a_502(
    gateway: Gateway, upstream: RawUpstream, data: bytes, status: int, code: str
) -> None:
    upstream.script = reply_raw(data, cut=True)
    check(await gateway.ask(ASK), status, code)
    assert len(upstream.seen) == 1
    assert gateway.events.events[0].error == code


async def test_an_upstream_that_never_answers_is_a_504_and_is_not_asked_twice(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway = await start_gateway(
        "providers: {targets: [{id: slow, provider: openai-compatible, "
        f"base_url: '{upstream.url}', models: [m], timeouts: {{first_byte: 100ms}}}}]}}\n"
    )
    upstream.script = reply_and_wait(b"")
    check(await gateway.ask({**ASK, "model": "m"}), 504, "upstream_timeout")
    assert len(upstream.seen) == 1
    assert gateway.events.events[0].usage_status == "unknown"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b'{"model":"a","model":"b"}', "duplicate_key"),
        (b'{"model":"gpt-4o","x":NaN}', "invalid_json"),
        (b'{"model":"gpt-4o"}{}', "invalid_json"),
        (b'{"model":"gpt-4o","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json"),
        (b'{"model":"gpt-4o","user":"\\ud800"}', "invalid_json"),
        (b"{}", "missing_model"),
        (b"", "invalid_json"),
    ],
)
async def test_bodies_that_are_not_clear(
    gateway: Gateway, upstream: RawUpstream, body: bytes, code: str
) -> None:
    async with asyncio.timeout(1):
        check(await gateway.ask(body), 400, code)
    assert not upstream.seen and gateway.events.events[0].status == 400


@pytest.mark.parametrize(
    "path", ["/v1/files", "/v1/chat", "/v1", "/openai/nope", "/nope", "/v1/chat/completions/x"]
)
async def test_every_other_route_is_a_404_in_the_dialect(gateway: Gateway, path: str) -> None:
    check(await gateway.ask(ASK, path), 404, "unknown_route")
    assert not gateway.events.events


async def test_a_wrong_method(gateway: Gateway) -> None:
    reply = await gateway.ask(b"", method="GET")
    check(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"


async def test_multipart_and_compressed_bodies(gateway: Gateway) -> None:
    data = request(b"x").replace(b"application/json", b"multipart/form-data; boundary=x")
    check(Reply.parse(await gateway.raw(data)), 415, "unsupported_content_type")
    check(await gateway.ask(ASK, headers=[("Content-Encoding", "zstd")]), 415, "unsupported_encoding")


async def test_client_keys(start_gateway: Any, upstream: RawUpstream) -> None:
    text = (
        "gateway: {client_keys: [{name: team-a, secret_key_ref: {env: KEY_A}}, "
        "{name: lost, secret_key_ref: {env: NOT_SET}}]}\n"
    ) + two_vendors(upstream.url)
    gateway = await start_gateway(text, {"OPENAI_API_KEY": "sk-1", "KEY_A": "secret-a"})
    wrong = [
        [],
        [("Authorization", "Bearer nope")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer é")],
        [("Authorization", "Basic secret-a")],
        [("x-api-key", "")],
    ]
    messages = {
        check(await gateway.ask(ASK, headers=shown), 401, "invalid_api_key")["message"] for shown in wrong
    }
    assert len(messages) == 1, "a missing and a wrong key get the same answer"
    assert not upstream.seen
    assert {event.outcome for event in gateway.events.events} == {"blocked"}
    for shown in (("Authorization", "Bearer secret-a"), ("x-api-key", "secret-a"), ("api-key", "secret-a")):
        assert (await gateway.ask(ASK, headers=[shown])).status == 200
        assert gateway.events.events[-1].key == "team-a"
        assert "secret-a" not in repr(upstream.seen[-1].headers)
    check(await gateway.ask(b"", "/v1/models", method="GET"), 401, "invalid_api_key")
    assert (await gateway.ask(b"", "/healthz", method="GET")).status == 200


async def test_a_key_known_by_its_hash_may_ask_for_its_models_only(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    digest = hashlib.sha256(b"secret-b").hexdigest()
    text = (
        f"gateway: {{client_keys: [{{name: team-b, sha256: {digest}, allowed_models: 'gpt-4o-*'}}]}}\n"
    ) + two_vendors(upstream.url)
    gateway = await start_gateway(text, {"OPENAI_API_KEY": "sk-1"})
    shown = [("Authorization", "Bearer secret-b")]
    check(await gateway.ask(ASK, headers=[("Authorization", f"Bearer {digest}")]), 401, "invalid_api_key")
    error = check(await gateway.ask({**ASK, "model": "gpt-4o"}, headers=shown), 403, "model_not_allowed")
    assert "'team-b'" in error["message"] and "'gpt-4o'" in error["message"]
    assert (gateway.events.events[-1].outcome, gateway.events.events[-1].key) == ("blocked", "team-b")
    assert not upstream.seen
    assert (await gateway.ask({**ASK, "model": "gpt-4o-mini"}, headers=shown)).status == 200
    check(await gateway.ask(b"", "/v1/models/gpt-4o", method="GET", headers=shown), 404, "model_not_found")


async def test_keys_handed_in_from_outside_the_file(start_gateway: Any, upstream: RawUpstream) -> None:
    keys = (NamedKey("made", Secret("made-key")),)
    gateway = await start_gateway(two_vendors(upstream.url), handed_keys=keys)
    check(await gateway.ask(ASK), 401, "invalid_api_key")
    assert (await gateway.ask(ASK, headers=[("Authorization", "Bearer made-key")])).status == 200


async def test_passthrough_sends_the_caller_s_own_key_and_no_other(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway = await start_gateway(
        "gateway: {client_keys: [{name: a, secret_key_ref: {env: KEY_A}}]}\n"
        "providers: {targets: [{id: own, provider: openai-compatible, auth: passthrough, "
        f"base_url: '{upstream.url}', models: [m]}}]}}\n",
        {"KEY_A": "secret-a"},
    )
    body = {**ASK, "model": "m"}
    reply = await gateway.ask(body, headers=[("x-kt-key", "secret-a"), ("Authorization", "Bearer own")])
    assert reply.status == 200 and upstream.seen[0].header("authorization") == "Bearer own"
    reply = await gateway.ask(body, headers=[("Authorization", "Bearer secret-a")])
    check(reply, 401, "missing_upstream_key")
    assert len(upstream.seen) == 1


async def test_too_many_at_once(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(two_vendors(upstream.url), max_in_flight=2)
    upstream.script = reply_and_wait(b"")
    waiting = [asyncio.create_task(gateway.ask(ASK)) for _ in range(2)]
    await upstream.until(lambda: len(upstream.seen) == 2)
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "overloaded", "1")
    assert (await gateway.ask(b"", "/healthz", method="GET")).status == 200
    for task in waiting:
        task.cancel()
    await upstream.until(lambda: upstream.open == 0)
    upstream.script = reply_json(WHOLE)
    assert (await gateway.ask(ASK)).status == 200


async def test_refusals_are_sampled_when_they_flood(gateway: Gateway) -> None:
    async def flood() -> None:
        for _ in range(20):
            await gateway.ask(b"", method="GET")

    await asyncio.gather(flood(), flood(), flood())
    skipped = gateway.plane.sampler.skipped["method_not_allowed"]
    assert skipped > 0 and skipped + len(gateway.events.events) == 60


async def test_models(start_gateway: Any, upstream: RawUpstream) -> None:
    text = (
        two_vendors(upstream.url)
        + """\
    - {id: local, provider: openai-compatible, base_url: 'http://127.0.0.1:9', models: [tiny]}
policies:
  - name: ab
    type: traffic_split
    conditions: {model: smart}
    variants: [{model: gpt-4o, weight: 1}, {model: claude-opus-4-1, weight: 1}]
"""
    )
    gateway = await start_gateway(text)
    listing = (await gateway.ask(b"", "/v1/models", method="GET")).json
    assert {entry["id"]: entry["owned_by"] for entry in listing["data"]} == {
        "tiny": "openai-compatible",
        "gpt-4o": "openai",
        "claude-opus-4-1": "anthropic",
        "smart": "ktui",
    }
    assert (await gateway.ask(b"", "/v1/models/gpt-4.1", method="GET")).json["owned_by"] == "openai"
    check(await gateway.ask(b"", "/v1/models/nope", method="GET"), 404, "model_not_found")
    async with AsyncOpenAI(base_url=gateway.base, api_key="x") as client:
        assert len((await client.models.list()).data) == 4
    assert (await gateway.ask({**ASK, "model": "smart"})).headers["x-kt-model"] in (
        "gpt-4o",
        "claude-opus-4-1",
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Origin", "http://evil.test")], 403),
        ([("Sec-Fetch-Site", "cross-site")], 403),
        ([("Origin", "http://127.0.0.1")], 200),
        ([], 200),
    ],
)
async def test_a_page_of_another_site_cannot_use_the_gateway(
    gateway: Gateway, headers: list[tuple[str, str]], status: int
) -> None:
    assert (await gateway.ask(ASK, headers=headers)).status == status


async def test_a_foreign_host_name_must_be_allowed(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway("gateway: {allow_hosts: [Box.lan]}\n" + two_vendors(upstream.url))
    for host, status in (("evil.test", 403), ("box.lan:41002", 200), ("localhost", 200), ("[::1]:8", 200)):
        data = request(json.dumps(ASK).encode()).replace(b"Host: 127.0.0.1", f"Host: {host}".encode())
        assert Reply.parse(await gateway.raw(data)).status == status, host


async def test_a_target_that_leads_back_here_is_noticed(start_gateway: Any) -> None:
    gateway = await start_gateway(None)
    gateway.runtime.snapshot = snapshot_of(two_vendors(gateway.url))
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.error["code"]) == (508, "loop_detected")
    assert [event.status for event in gateway.events.events] == [508, 508]


async def test_a_fault_of_our_own_fails_one_request_and_says_so(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, model: str, target_id: str | None = None) -> None:
        raise KeyError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr("proxy.upstream.targets.RoutingTable.for_model", broken)
        reply = await gateway.ask(ASK)
    check(reply, 500, "internal_error")
    assert b"secret detail" not in reply.body
    assert gateway.events.events[0].outcome == "error" and gateway.runtime.in_flight == 0
    assert (await gateway.ask(ASK)).status == 200
