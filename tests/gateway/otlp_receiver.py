"""An OTLP/HTTP receiver on loopback that decodes what it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from loopback import served
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class Received:
    """What came, as protobuf messages."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    """By name, the newest of each."""
    resources: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200

    def named(self, kind: int) -> list[Any]:
        return [span for span in self.spans if span.kind == kind]


def attributes(thing: Any) -> dict[str, Any]:
    """Attributes as Python values."""

    def plain(value: Any) -> Any:
        which = value.WhichOneof("value")
        if which == "array_value":
            return [plain(item) for item in value.array_value.values]
        return getattr(value, which)

    return {item.key: plain(item.value) for item in thing.attributes}


@asynccontextmanager
async def receiver() -> AsyncIterator[Received]:
    """One that listens."""
    received = Received()

    async def body(request: web.Request) -> bytes:
        received.headers.append({key.lower(): value for key, value in request.headers.items()})
        return await request.read()

    async def traces(request: web.Request) -> web.Response:
        data = await body(request)
        if received.status != 200:
            return web.Response(status=received.status)
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            received.resources.append(attributes(resource.resource))
            for scope in resource.scope_spans:
                received.spans += scope.spans
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    async def metrics(request: web.Request) -> web.Response:
        for resource in ExportMetricsServiceRequest.FromString(await body(request)).resource_metrics:
            for scope in resource.scope_metrics:
                received.metrics.update({metric.name: metric for metric in scope.metrics})
        return web.Response(
            body=ExportMetricsServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    app = web.Application()
    app.router.add_post("/v1/traces", traces)
    app.router.add_post("/v1/metrics", metrics)
    async with served(app) as received.url:
        yield received
