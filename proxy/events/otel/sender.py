"""The OpenTelemetry SDK at work. Imported by the exporting process alone: the SDK is an extra."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from proxy.base.trace_context import read_text, span_id_of, trace_id_of
from proxy.events.event import Event
from proxy.events.otel.child import Identity, Place
from proxy.events.otel.spans import Span, spans_of
from proxy.events.totals import Copy, Labels
from proxy.events.totals import Histogram as Counted
from proxy.events.totals_families import Family

_SCOPE = "ktui"
_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}


class Sender:
    """Sends to one collector. Sampling was done before."""

    def __init__(self, identity: Identity, traces_url: str | None, metrics_url: str | None) -> None:
        self._scope = InstrumentationScope(_SCOPE, identity.version)
        self._resource = Resource.create(_resource(identity))
        self._ids = _GivenIds()
        self._ended = _Ended()
        provider = TracerProvider(
            sampler=ALWAYS_ON, resource=self._resource, id_generator=self._ids, shutdown_on_exit=False
        )
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer(_SCOPE, identity.version)
        self._spans = OTLPSpanExporter(endpoint=traces_url) if traces_url is not None else None
        self._metrics = OTLPMetricExporter(endpoint=metrics_url) if metrics_url is not None else None

    def send_spans(self, events: Sequence[Event], places: Mapping[str, Place]) -> bool:
        """Whether the collector took them."""
        for event in events:
            self._trace(event, places)
        return self._spans is None or self._spans.export(self._ended.take()) is SpanExportResult.SUCCESS

    def send_metrics(self, figures: Copy, since_ns: int, now_ns: int) -> bool:
        """Whether the collector took them."""
        if self._metrics is None:
            return True
        made = [_sum(family, cells, since_ns, now_ns) for family, cells in figures.counters.items()]
        made += [_histogram(family, cells, since_ns, now_ns) for family, cells in figures.histograms.items()]
        metrics = [metric for metric in made if metric.data.data_points]
        scope = ScopeMetrics(self._scope, metrics, "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        return self._metrics.export(data) is MetricExportResult.SUCCESS

    def _trace(self, event: Event, places: Mapping[str, Place]) -> None:
        """The span of a request and, below it, those of its attempts."""
        outside = read_text(event.trace)
        trace_id = outside.trace_id if outside is not None else trace_id_of(event.id)
        request, attempts = spans_of(event, places)
        self._end(request, trace_id, span_id_of(event.id), outside.span_id if outside is not None else None)
        for number, attempt in enumerate(attempts, 1):
            self._end(attempt, trace_id, span_id_of(event.id, number), span_id_of(event.id))

    def _end(self, span: Span, trace_id: int, span_id: int, parent_id: int | None) -> None:
        self._ids.trace_id, self._ids.span_id = trace_id, span_id
        context = None
        if parent_id is not None:
            above = SpanContext(trace_id, parent_id, span.kind == "server", TraceFlags(TraceFlags.SAMPLED))
            context = trace.set_span_in_context(NonRecordingSpan(above))
        else:
            context = trace.set_span_in_context(trace.INVALID_SPAN)
        made = self._tracer.start_span(
            span.name, context, _KINDS[span.kind], span.attributes, start_time=span.start_ns
        )
        if span.failed is not None:
            made.set_status(Status(StatusCode.ERROR, span.failed))
        made.end(span.end_ns)


class _GivenIds(IdGenerator):
    """The ids are known before the span is: they went upstream while it ran."""

    trace_id = span_id = 1

    def generate_span_id(self) -> int:
        return self.span_id

    def generate_trace_id(self) -> int:
        return self.trace_id


class _Ended(SpanProcessor):
    """Keeps what has ended until it is sent."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def take(self) -> list[ReadableSpan]:
        """What ended since the last time."""
        taken, self._spans = self._spans, []
        return taken


def _resource(identity: Identity) -> dict[str, str]:
    """What the variables do not say: they come first."""
    own = {
        "service.name": "ktui",
        "service.version": identity.version,
        "service.instance.id": identity.instance,
    }
    said = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    named = {pair.partition("=")[0].strip() for pair in said.split(",")}
    if os.environ.get("OTEL_SERVICE_NAME", "").strip():
        named.add("service.name")
    return {name: value for name, value in own.items() if name not in named}


def _sum(family: Family, cells: Mapping[Labels, int], since_ns: int, now_ns: int) -> Metric:
    points = [
        NumberDataPoint(
            _attributes(family, labels),
            since_ns,
            now_ns,
            number / family.scale if family.scale > 1 else number,
        )
        for labels, number in cells.items()
    ]
    data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    return Metric(family.name, family.doc, _unit(family), data)


def _histogram(family: Family, cells: Mapping[Labels, Counted], since_ns: int, now_ns: int) -> Metric:
    points = [
        HistogramDataPoint(
            attributes=_attributes(family, labels),
            start_time_unix_nano=since_ns,
            time_unix_nano=now_ns,
            count=cell.count,
            sum=cell.sum,
            bucket_counts=cell.counts,
            explicit_bounds=family.bounds,
            min=cell.low,
            max=cell.high,
        )
        for labels, cell in cells.items()
    ]
    return Metric(
        family.name, family.doc, _unit(family), Histogram(points, AggregationTemporality.CUMULATIVE)
    )


def _attributes(family: Family, labels: Labels) -> dict[str, str]:
    """An empty label is one that the metric does not have."""
    return {name: value for name, value in zip(family.labels, labels, strict=True) if value}


def _unit(family: Family) -> str:
    return "{USD}" if family.unit == "$" else family.unit
