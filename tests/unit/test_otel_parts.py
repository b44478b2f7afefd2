"""The parts of the OpenTelemetry export that need no collector: variables, trace contexts, spans."""

from __future__ import annotations

import pytest
from events_factory import make_event
from hypothesis import given
from hypothesis import strategies as st

from proxy.base.trace_context import TraceContext, read_header, read_text, span_id_of, trace_id_of
from proxy.events.otel import settings as otel_settings
from proxy.events.otel.settings import Sampling, Settings, read_settings, shown
from proxy.events.otel.spans import spans_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def settings_of(**variables: str) -> Settings:
    found = read_settings(variables)
    assert isinstance(found, Settings)
    return found


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
        (f" 00-{TRACE}-{SPAN}-00 ", True),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}-01\n", True),
        (f"00-{TRACE}-{SPAN}", False),
        ("", False),
        ("00-" + "a" * 5_000, False),
    ],
)
def test_a_trace_context_is_read_as_the_specification_says(header: str, valid: bool) -> None:
    found = read_header(header.encode())
    assert (found is not None) is valid
    if found is not None:
        assert (f"{found.trace_id:032x}", f"{found.span_id:016x}") == (TRACE, SPAN)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_context_or_none(value: bytes) -> None:
    found = read_header(value)
    assert found is None or read_text(str(found)) == found == read_header(found.header().encode())


def test_ids_of_spans_are_the_same_wherever_they_are_made() -> None:
    ids = {span_id_of("01976b2e", number) for number in range(50)} | {trace_id_of("01976b2e")}
    assert len(ids) == 51 and 0 not in ids
    assert span_id_of("01976b2e", 3) == span_id_of("01976b2e", 3)


def test_export_is_off_without_an_endpoint_and_when_the_sdk_is_disabled() -> None:
    assert read_settings({}) is None
    assert read_settings({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}) is None
    assert (
        read_settings({ENDPOINT: "http://c", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"})
        is None
    )


def test_addresses_are_made_as_the_exporters_make_them() -> None:
    both = settings_of(**{ENDPOINT: "http://c:4318/base/"})
    assert (both.traces_url, both.metrics_url) == (
        "http://c:4318/base/v1/traces", "http://c:4318/base/v1/metrics",
    )  # fmt: skip
    own = settings_of(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://t/as-it-is")
    assert (own.traces_url, own.metrics_url) == ("http://t/as-it-is", None)
    assert shown("https://u:p@c:4318/v1/traces?token=1") == "https://c:4318/v1/traces"


def test_what_cannot_be_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    said = read_settings({ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"})
    assert isinstance(said, str) and "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" in said
    assert isinstance(read_settings({ENDPOINT: "collector:4318"}), str)
    monkeypatch.setattr(otel_settings, "find_spec", lambda _name: None)
    said = read_settings({ENDPOINT: "http://c"})
    assert isinstance(said, str) and said.endswith("pip install 'ktui[otel]'")


def test_nonsense_in_a_number_is_the_default() -> None:
    found = settings_of(
        **{ENDPOINT: "http://c", "OTEL_BSP_MAX_QUEUE_SIZE": "many", "OTEL_BSP_SCHEDULE_DELAY": "-1"},
        OTEL_EXPORTER_OTLP_TIMEOUT="inf",
    )
    assert (found.queue, found.delay_s, found.timeout_s) == (2048, 5.0, 10.0)


def test_sampling() -> None:
    def sampling(name: str, argument: str = "") -> Sampling:
        more = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
        return settings_of(**{ENDPOINT: "http://c", **more}).sampling

    taken, left = TraceContext(1, 1, 1), TraceContext(1, 1, 0)
    default = Sampling()
    assert default.wants(1, None) and default.wants(1, taken) and not default.wants(1, left)
    assert sampling("no-such-sampler") == default
    assert sampling("always_on").wants(1, left) and not sampling("always_off").wants(1, taken)
    half = sampling("parentbased_traceidratio", "0.5")
    roots = [half.wants(trace_id_of(f"request-{number}"), None) for number in range(2_000)]
    assert 900 < sum(roots) < 1_100 and half.wants(2**64 - 1, taken)


def test_the_only_attempt_lasts_from_its_sending_to_the_end() -> None:
    event = make_event(attempts=1, overhead_us=1_500, latency_ms=20.0, error=None)
    request, (attempt,) = spans_of(event, {})
    assert attempt.start_ns - request.start_ns == 1_500_000 and attempt.end_ns == request.end_ns


def test_a_refused_request_has_no_attempts_and_is_no_failure() -> None:
    event = make_event(attempts=0, outcome="blocked", status=403, error="policy_blocked", target=None)
    request, attempts = spans_of(event, {})
    assert attempts == [] and request.failed is None
    assert request.attributes["error.type"] == "policy_blocked"


def test_no_span_ends_after_its_request_or_before_it_began() -> None:
    log = [
        {"target": "a", "model": "m", "at_ms": 5.0, "ms": 900.0, "reason": "timeout"},
        {"target": "b", "reason": None},
    ]
    event = make_event(attempts=2, latency_ms=10.0, attempt_log=log)
    request, attempts = spans_of(event, {})
    for span in attempts:
        assert request.start_ns <= span.start_ns <= span.end_ns <= request.end_ns
