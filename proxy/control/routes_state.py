"""Routes of what the gateway is doing: health, status, metrics, models, targets."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.control import params
from proxy.control.replies import control_of, json_reply
from proxy.control.status import targets_json
from proxy.events.live_metrics import BUCKET_S, KEPT_BUCKETS
from proxy.events.metrics import METRICS

_LONGEST_S = BUCKET_S * KEPT_BUCKETS


async def healthz(_: Request) -> Response:
    """The process answers."""
    return json_reply({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether requests can be served; 503 when not. No detail: this route is open."""
    ready = control_of(request).ready
    return json_reply({"status": "ready" if ready else "not ready"}, 200 if ready else 503)


async def get_status(request: Request) -> Response:
    """The whole state of the gateway."""
    return json_reply(control_of(request).status())


async def get_summary(request: Request) -> Response:
    """Traffic of the last `window`."""
    query = request.query_params
    params.only(query, ("window",))
    window_s = params.span_s(query, "window", "60s", _LONGEST_S)
    return json_reply(control_of(request).metrics.summary(window_s).to_json())


async def get_series(request: Request) -> Response:
    """One metric along time."""
    query = request.query_params
    params.only(query, ("metric", "group_by", "window", "step"))
    metric = params.choice(query, "metric", tuple(METRICS), "requests")
    window_s = params.span_s(query, "window", "15m", _LONGEST_S)
    step_s = params.span_s(query, "step", "10s", _LONGEST_S)
    metrics = control_of(request).metrics
    if params.choice(query, "group_by", ("all", "variant"), "all") == "variant":
        return json_reply(metrics.series(metric, "variant", window_s, step_s).to_json())
    return json_reply(metrics.series(metric, "all", window_s, step_s).to_json())


async def get_models(request: Request) -> Response:
    """Every model that can be asked for by name."""
    snapshot = control_of(request).runtime.snapshot
    models = []
    for name, owner in snapshot.models if snapshot is not None else ():
        served = snapshot.routes.for_model(name) if snapshot is not None else []
        models.append({"id": name, "owned_by": owner, "targets": [target.id for target in served]})
    return json_reply({"models": models})


async def get_targets(request: Request) -> Response:
    """Every target, and why it cannot be used."""
    snapshot = control_of(request).runtime.snapshot
    return json_reply({"targets": targets_json(snapshot.routes.targets if snapshot is not None else ())})


ROUTES = [
    Route("/healthz", healthz, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
    Route("/v1/status", get_status, methods=["GET"]),
    Route("/v1/metrics/summary", get_summary, methods=["GET"]),
    Route("/v1/metrics/series", get_series, methods=["GET"]),
    Route("/v1/models", get_models, methods=["GET"]),
    Route("/v1/targets", get_targets, methods=["GET"]),
]
