"""Spans and metrics of real requests at a real OTLP/HTTP receiver."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import ENV, Running, gateway, until
from gateway_support import RawUpstream, delta, reply_json, reply_stream, usage_frame
from otlp_receiver import Received, attributes, receiver

from proxy.base.trace_context import read_header
from proxy.events.store import EventQuery

SERVER, CLIENT = 2, 3
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
BATCH_OF_ONE = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1"}
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi, my name is Zebedee"}]}


@asynccontextmanager
async def exporting(
    tmp_path: Path, text: str | None = None, **variables: str
) -> AsyncIterator[tuple[Running, Received]]:
    async with receiver() as received:
        env = {**ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": received.url, **variables}
        async with gateway(tmp_path, text, env=env) as running:
            yield running, received


def one_target(*urls: str) -> str:
    lines = [
        f"    - {{id: t{number}, base_url: {url}, provider: openai, secret_key_ref: {{env: OPENAI_API_KEY}}, "
        "models: [gpt-4o]}"
        for number, url in enumerate(urls)
    ]
    return "\n".join(["providers:", "  targets:", *lines, ""])


async def ask(running: Running, *headers: tuple[str, str], **body: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=running.data, timeout=20) as client:
        return await client.post("/v1/chat/completions", json={**HELLO, **body}, headers=list(headers))


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    found = RawUpstream()
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


async def test_a_request_is_a_span_below_its_clients_and_its_attempt_one_below_that(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    text = one_target(upstream.url)
    async with exporting(tmp_path, text, **BATCH_OF_ONE, OTEL_SERVICE_NAME="edge") as (running, received):
        answer = await ask(running, ("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "v=1"))
        await until(lambda: len(received.spans) == 2, 20)
        event = await running.service.hub.store.get(answer.headers["x-kt-request-id"])
    assert event is not None
    (request,), (attempt,) = received.named(SERVER), received.named(CLIENT)
    assert request.name == attempt.name == "chat gpt-4o"
    assert request.trace_id.hex() == attempt.trace_id.hex() == TRACE
    assert (request.parent_span_id.hex(), attempt.parent_span_id) == (PARENT, request.span_id)
    sent = read_header((upstream.seen[0].header("traceparent") or "").encode())
    assert sent is not None and f"{sent.trace_id:032x}" == TRACE
    assert f"{sent.span_id:016x}" == attempt.span_id.hex() and sent.flags == 1
    assert upstream.seen[0].header("tracestate") == "v=1"
    assert request.start_time_unix_nano == event.timestamp_ms * 1_000_000
    lasted = request.end_time_unix_nano - request.start_time_unix_nano
    assert lasted == round(event.latency_ms * 1_000_000)
    assert attempt.start_time_unix_nano == request.start_time_unix_nano + (event.overhead_us or 0) * 1_000
    assert attempt.end_time_unix_nano == request.end_time_unix_nano
    told = attributes(request)
    assert told["gen_ai.operation.name"] == "chat" and told["gen_ai.provider.name"] == "openai"
    assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (12, 5)
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert told["ktui.cost"] == (event.cost_nanos or 0) / 1e9 > 0
    assert told["ktui.request.id"] == event.id and "error.type" not in told
    below = attributes(attempt)
    assert (below["server.address"], f"http://127.0.0.1:{below['server.port']}") == (
        "127.0.0.1",
        upstream.url,
    )
    assert below["http.response.status_code"] == 200 and "gen_ai.usage.input_tokens" not in below
    assert received.resources[0]["service.name"] == "edge"
    assert received.resources[0]["service.version"] == running.service.info.version


async def test_nothing_that_was_said_and_no_key_leaves(tmp_path: Path, upstream: RawUpstream) -> None:
    body = {"error": {"message": "Zebedee, your key sk-canary-openai is bad", "code": "invalid_api_key"}}
    upstream.script = reply_json(body, 401)
    async with exporting(tmp_path, one_target(upstream.url), **BATCH_OF_ONE) as (running, received):
        await ask(running, user="Zebedee", metadata={"who": "Zebedee"})
        await until(lambda: len(received.spans) == 2, 20)
    everything = " ".join(str(span) for span in received.spans)
    assert "Zebedee" not in everything and "canary" not in everything
    (request,) = received.named(SERVER)
    assert request.status.code == 2 and attributes(request)["http.response.status_code"] == 401


async def test_each_attempt_has_its_own_time_and_reason(tmp_path: Path, upstream: RawUpstream) -> None:
    failing = RawUpstream()
    failing.script = reply_json({"error": {"message": "no"}}, 503)
    await failing.start()
    try:
        text = one_target(failing.url, upstream.url)
        async with exporting(tmp_path, text, **BATCH_OF_ONE) as (running, received):
            assert (await ask(running)).status_code == 200
            await until(lambda: len(received.spans) >= 3, 20)
            event = await running.service.hub.store.get(
                attributes(received.named(SERVER)[0])["ktui.request.id"]
            )
    finally:
        await failing.stop()
    assert event is not None
    (request,), attempts = received.named(SERVER), received.named(CLIENT)
    attempts.sort(key=lambda span: span.start_time_unix_nano)
    assert len(attempts) == event.attempts and {span.parent_span_id for span in attempts} == {request.span_id}
    first, last = attributes(attempts[0]), attributes(attempts[-1])
    assert (first["ktui.target"], first["http.response.status_code"]) == ("t0", 503)
    assert first["error.type"] == event.attempt_log[0]["reason"] and attempts[0].status.code == 2
    assert (last["ktui.target"], last["http.request.resend_count"]) == ("t1", len(attempts) - 1)
    assert attempts[0].start_time_unix_nano >= request.start_time_unix_nano
    assert attempts[0].end_time_unix_nano <= attempts[-1].start_time_unix_nano
    assert attempts[-1].end_time_unix_nano == request.end_time_unix_nano
    seen = [read_header((side.seen[-1].header("traceparent") or "").encode()) for side in (failing, upstream)]
    assert [f"{found.span_id:016x}" if found else None for found in seen] == [
        attempts[-2].span_id.hex(), attempts[-1].span_id.hex(),
    ]  # fmt: skip


async def test_a_trace_begins_here_when_the_client_has_none(tmp_path: Path, upstream: RawUpstream) -> None:
    async with exporting(tmp_path, one_target(upstream.url), **BATCH_OF_ONE) as (running, received):
        await ask(running, ("traceparent", f"00-{'0' * 32}-{PARENT}-01"), ("tracestate", "v=1"))
        await until(lambda: len(received.spans) == 2, 20)
    (request,) = received.named(SERVER)
    sent = read_header((upstream.seen[0].header("traceparent") or "").encode())
    assert sent is not None and f"{sent.trace_id:032x}" == request.trace_id.hex()
    assert request.parent_span_id == b"" and upstream.seen[0].header("tracestate") is None


async def test_what_waits_is_sent_at_the_stop_and_the_metrics_are_those_of_the_events(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    upstream.script = reply_stream([delta("a"), delta("b"), delta(finish="stop"), usage_frame()])
    headers = "authorization=Bearer%20collector"
    settings = {"OTEL_EXPORTER_OTLP_HEADERS": headers, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    async with exporting(tmp_path, one_target(upstream.url), **settings) as (running, received):
        for _ in range(3):
            await ask(running, stream=True)
        await until(lambda: running.service.hub.store.counters().stored == 3)
        events = [event async for event in running.service.hub.store.query(EventQuery())]
        assert received.spans == []
        await running.service.stop(drain_s=1)
        assert len(received.named(SERVER)) == 3
        state = running.service.hub.export.state() if running.service.hub.export else None
        assert state is not None and (state.exported, sum(state.dropped.values())) == (3, 0)
    assert received.headers[0]["authorization"] == "Bearer collector"
    (point,) = received.metrics["gen_ai.server.request.duration"].histogram.data_points
    assert point.count == 3
    assert point.sum == pytest.approx(sum(event.latency_ms for event in events) / 1e3)
    assert attributes(point) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
    }  # fmt: skip
    (first,) = received.metrics["gen_ai.server.time_to_first_token"].histogram.data_points
    assert first.count == 3
    tokens = received.metrics["gen_ai.client.token.usage"].histogram.data_points
    assert {attributes(item)["gen_ai.token.type"]: item.sum for item in tokens} == {"input": 36, "output": 15}
    requests = received.metrics["ktui.requests"].sum
    assert requests.is_monotonic and requests.aggregation_temporality == 2
    assert sum(int(item.as_int) for item in requests.data_points) == 3


async def test_a_dead_collector_costs_requests_nothing_and_is_told(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        env = {
            **ENV, **BATCH_OF_ONE, "OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_MAX_QUEUE_SIZE": "2",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        }  # fmt: skip
        async with (
            gateway(tmp_path, one_target(upstream.url), env=env) as running,
            running.control() as control,
        ):
            for _ in range(8):
                assert (await ask(running)).status_code == 200
            export = running.service.hub.export
            assert export is not None
            await until(
                lambda: export.state().trouble is not None and export.state().dropped["queue-full"] > 0, 20
            )
            told = (await control.get("/v1/status")).json()["telemetry"]
            text = (await control.get("/metrics")).text
            assert told["on"] and told["exported"] == 0 and told["trouble"]
            assert 'ktui_otel_dropped_total{reason="queue-full"}' in text
        state = export.state()
        assert state.exported == 0 and sum(state.dropped.values()) == 8 and state.waiting == 0


async def test_sampling_is_by_the_parent_unless_said_otherwise(tmp_path: Path, upstream: RawUpstream) -> None:
    async with exporting(tmp_path, one_target(upstream.url), **BATCH_OF_ONE) as (running, received):
        await ask(running, ("traceparent", f"00-{TRACE}-{PARENT}-00"))
        await ask(running)
        await until(lambda: len(received.spans) == 2, 20)
        state = running.service.hub.export.state() if running.service.hub.export else None
    assert state is not None and state.unsampled == 1
    assert (upstream.seen[0].header("traceparent") or "").endswith("-00")
    assert received.named(SERVER)[0].trace_id.hex() != TRACE


async def test_without_an_endpoint_the_clients_context_goes_on_as_it_came(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    header = f"00-{TRACE}-{PARENT}-01"
    async with gateway(tmp_path, one_target(upstream.url)) as running, running.control() as control:
        answer = await ask(running, ("traceparent", header))
        await until(lambda: running.service.hub.store.counters().stored == 1)
        found = (await control.get(f"/v1/events?filter=trace:{TRACE[:12]}")).json()
        none = (await control.get("/v1/events?filter=not trace:4bf9")).json()
        told = (await control.get("/v1/status")).json()["telemetry"]
    assert upstream.seen[0].header("traceparent") == header
    assert [event["id"] for event in found] == [answer.headers["x-kt-request-id"]] and none == []
    assert found[0]["trace"] == f"{TRACE}-{PARENT}-01"
    assert told == {"on": False, "text": "off: OTEL_EXPORTER_OTLP_ENDPOINT is not set"}


async def test_what_cannot_be_exported_to_is_told_at_the_start(tmp_path: Path) -> None:
    env = {**ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    async with gateway(tmp_path, env=env) as running, running.control() as control:
        status = (await control.get("/v1/status")).json()
    assert not status["telemetry"]["on"] and status["notices"] == [status["telemetry"]["text"]]
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" in json.dumps(status["notices"])
