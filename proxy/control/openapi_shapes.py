"""What each route takes and answers, by method and path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from proxy.control.cost_figures import GROUPINGS
from proxy.control.event_query import ORDERS
from proxy.control.event_routes import LIST_PARAMETERS, STREAM_PARAMETERS
from proxy.control.feedback_routes import KEY_LIMIT
from proxy.control.openapi_schema import (
    ANY_OBJECT,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    Schema,
    between,
    listed,
    mapping,
    maybe,
    obj,
    one_of,
    ref,
    said,
    text,
)
from proxy.control.search_routes import SEARCH_PARAMETERS
from proxy.events.feedback import COMMENT_LIMIT, LABEL_LIMIT
from proxy.events.metrics import METRICS
from proxy.events.purge import What
from proxy.events.rollups.cells import DIMENSIONS
from proxy.policy.facts import Endpoint

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Shape:
    """Parameters, body and answers of one route."""

    answer: Schema
    status: int = 200
    kinds: tuple[str, ...] = (JSON,)
    """Content types of the answer; the schema is of the JSON one."""
    query: dict[str, Schema] = field(default_factory=dict)
    required_query: tuple[str, ...] = ()
    headers: dict[str, Schema] = field(default_factory=dict)
    """Those the request must carry."""
    body: Schema | None = None
    errors: tuple[int, ...] = ()
    """Beside 401 and 403, which every guarded route may answer."""
    is_open: bool = False
    """Needs no token."""


_MOMENT = said(TEXT, "A span back from now (7d, 1h30m) or an RFC 3339 time or date.")
_SPAN = said(TEXT, "A span such as 60s or 15m.")
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_EVENT_QUERY: dict[str, Schema] = {
    "since": _MOMENT,
    "until": said(TEXT, "Like since; exclusive."),
    "model": TEXT,
    "provider": TEXT,
    "decision": TEXT,
    "tag": TEXT,
    "after_seq": _COUNT,
    "before_seq": _COUNT,
    "limit": said(_COUNT, "The newest so many."),
    "format": one_of("json", "jsonl", "csv"),
    "unknown": one_of("null", "zero"),
    "filter": said(TEXT, "An expression of the filter language."),
    "order": said(one_of(*ORDERS), "What comes first, and what limit keeps."),
    "fields": said(TEXT, "Names parted by commas; those of the metadata with a dot, as metadata.ab_tag."),
    "at": said(TEXT, "When spans count back from; now."),
}


def _event_query(names: tuple[str, ...]) -> dict[str, Schema]:
    return {name: _EVENT_QUERY.get(name, TEXT) for name in names}


_IF_MATCH = {"If-Match": said(TEXT, "Hash of the text the change was made on, or * for whatever is there.")}
_AUTHOR: dict[str, Schema] = {"why": TEXT, "through": TEXT}
_APPLY_ERRORS = (400, 409, 413, 415, 422, 428, 500)
_FEEDBACK: dict[str, Schema] = {
    "score": said(maybe(between(0, 1)), "0 (bad) to 1 (good)."),
    "label": maybe(text(LABEL_LIMIT, 1)),
    "comment": maybe(text(COMMENT_LIMIT, 1)),
}
_IDEMPOTENCY = {"Idempotency-Key": said(text(KEY_LIMIT, 1), "The same when the request is repeated.")}
_FEEDBACK_ERRORS = (400, 404, 409, 413, 415, 428, 503)
_HEALTH = obj({"status": TEXT})

SHAPES: dict[tuple[str, str], Shape] = {
    ("GET", "/healthz"): Shape(_HEALTH, is_open=True),
    ("GET", "/readyz"): Shape(_HEALTH, errors=(503,), is_open=True),
    ("GET", "/v1/openapi.json"): Shape(ANY_OBJECT),
    ("GET", "/v1/status"): Shape(ref("Status")),
    ("GET", "/v1/targets"): Shape(obj({"targets": listed(ref("Target"))})),
    ("GET", "/v1/models"): Shape(obj({"models": TEXTS})),
    ("GET", "/metrics"): Shape(
        TEXT, kinds=("text/plain", "application/openmetrics-text"), errors=(400, 503)
    ),
    ("GET", "/v1/metrics/summary"): Shape(
        {"anyOf": [ref("Summary"), ref("Groups")]},
        query={
            "window": _SPAN,
            "group_by": said(one_of(*DIMENSIONS), "Answers Groups, from the roll-ups."),
            "since": _MOMENT,
            "until": said(TEXT, "Like since; exclusive."),
        },
        errors=(400, 503),
    ),
    ("GET", "/v1/metrics/series"): Shape(
        ref("Series"),
        query={
            "metric": one_of(*METRICS), "group_by": one_of(*DIMENSIONS), "window": _SPAN, "step": _SPAN,
            "since": _MOMENT, "until": said(TEXT, "Like since; exclusive."),
        },
        required_query=("metric",),
        errors=(400, 503),
    ),
    ("GET", "/v1/stream"): Shape(TEXT, kinds=(EVENTS,)),
    ("GET", "/v1/config"): Shape(ref("Config")),
    ("PUT", "/v1/config"): Shape(
        ref("Applied"), headers=_IF_MATCH, body=obj({"text": TEXT, **_AUTHOR}, ("why", "through")),
        errors=_APPLY_ERRORS,
    ),
    ("GET", "/v1/config/versions"): Shape(obj({"versions": listed(ref("VersionLine"))})),
    ("GET", "/v1/config/versions/{hash}"): Shape(ref("Version"), errors=(404,)),
    ("POST", "/v1/config/restore"): Shape(
        ref("Applied"), headers=_IF_MATCH, body=obj({"hash": text(64, 7), **_AUTHOR}, ("why", "through")),
        errors=(*_APPLY_ERRORS, 404),
    ),
    ("GET", "/v1/splits"): Shape(obj({"splits": listed(ref("Split"))})),
    ("PUT", "/v1/splits/{name}/weights"): Shape(
        ref("Applied"),
        headers=_IF_MATCH,
        body=obj(
            {
                "weights": maybe(mapping(NUMBER)),
                "phases": maybe(mapping(mapping(NUMBER))),
                "phase": maybe(TEXT),
                "dry_run": FLAG,
                **_AUTHOR,
            },
            ("weights", "phases", "phase", "dry_run", "why", "through"),
        ),
        errors=_APPLY_ERRORS,
    ),
    ("GET", "/v1/events"): Shape(
        listed(ref("Event")),
        kinds=(JSON, "application/x-ndjson", "text/csv"),
        query=_event_query(LIST_PARAMETERS),
        errors=(400, 503),
    ),
    ("GET", "/v1/events/search"): Shape(
        TEXT, kinds=(EVENTS,), query=_event_query(SEARCH_PARAMETERS), errors=(400, 503)
    ),
    ("GET", "/v1/events/stream"): Shape(
        TEXT, kinds=(EVENTS,), query=_event_query(STREAM_PARAMETERS), errors=(400,)
    ),
    ("GET", "/v1/events/fields"): Shape(obj({"fields": listed(ref("Field"))})),
    ("GET", "/v1/events/{id}"): Shape(
        ref("EventDetail"), query=_event_query(("unknown",)), errors=(400, 404, 503)
    ),
    ("GET", "/v1/events/{id}/body"): Shape(
        obj({"request": maybe(ref("Body")), "response": maybe(ref("Body"))}), errors=(403, 404, 503)
    ),
    ("POST", "/v1/events/purge"): Shape(
        ref("Purged"),
        headers=_IDEMPOTENCY,
        body=obj(
            {
                "what": one_of(*get_args(What)),
                "before": said(maybe(_MOMENT), "Only what arrived before; null: everything."),
                "filter": said(maybe(TEXT), "Only what it holds for."),
                "dry_run": said(FLAG, "Only count; needs no Idempotency-Key."),
            },
            ("before", "filter", "dry_run"),
        ),
        errors=(400, 409, 413, 415, 428, 503),
    ),
    ("POST", "/v1/events/{id}/feedback"): Shape(
        ref("Feedback"), status=201, headers=_IDEMPOTENCY, body=obj(_FEEDBACK, tuple(_FEEDBACK)),
        errors=_FEEDBACK_ERRORS,
    ),
    ("POST", "/v1/feedback"): Shape(
        ref("Feedback"),
        status=201,
        headers=_IDEMPOTENCY,
        body=obj(
            {"event_id": TEXT, "request_id": said(TEXT, "The same as event_id; one of them."), **_FEEDBACK},
            ("event_id", "request_id", *_FEEDBACK),
        ),
        errors=_FEEDBACK_ERRORS,
    ),
    ("POST", "/v1/policy/lint"): Shape(ref("Lint"), body=obj({"text": TEXT}), errors=(400, 413, 415, 503)),
    ("POST", "/v1/policy/diff"): Shape(
        ref("Difference"), body=obj({"a": TEXT, "b": TEXT}), errors=(400, 413, 415, 503)
    ),
    ("POST", "/v1/policy/impact"): Shape(
        ref("Impact"),
        body=obj(
            {
                "text": TEXT,
                "last": {"type": "integer", "minimum": 1},
                "since": maybe(_MOMENT),
                "show": maybe(obj({"kind": TEXT, "index": WHOLE, "name": TEXT}, ("index", "name"))),
                "limit": _COUNT,
            },
            ("last", "since", "show", "limit"),
        ),
        errors=(400, 413, 415, 422, 503),
    ),
    ("POST", "/v1/policy/explain"): Shape(
        ref("Explanation"),
        body=obj(
            {
                "event": said(TEXT, "Id of a recorded request; else send request."),
                "request": said(ANY_OBJECT, "A body as a client sends it."),
                "endpoint": one_of(*get_args(Endpoint)),
                "headers": mapping(TEXT),
                "key": maybe(TEXT),
                "text": said(maybe(TEXT), "A draft to explain it under; else what runs."),
            },
            ("event", "request", "endpoint", "headers", "key", "text"),
        ),
        errors=(400, 404, 409, 413, 415, 422, 503),
    ),
    ("GET", "/v1/events/{id}/explain"): Shape(ref("Explanation"), errors=(404, 503)),
    ("GET", "/v1/cost"): Shape(
        ref("Cost"), query={"window": _SPAN, "group_by": one_of(*GROUPINGS)}, errors=(400, 503)
    ),
    ("GET", "/v1/cost/advice"): Shape(ref("Advice"), query={"window": _SPAN}, errors=(400, 409, 422, 503)),
    ("GET", "/v1/prices"): Shape(
        obj({"prices": listed(ref("Price")), "unpriced": listed(ANY_OBJECT)}),
        query={"since": _MOMENT},
        errors=(400, 503),
    ),
    ("POST", "/v1/prices/reprice"): Shape(
        ref("Repriced"),
        headers=_IDEMPOTENCY,
        body=obj(
            {
                "since": said(maybe(_MOMENT), "Only what arrived from then on."),
                "until": said(maybe(_MOMENT), "Only what arrived before."),
                "filter": said(maybe(TEXT), "Only what it holds for."),
                "all": said(FLAG, "Also requests that have a price; else only those without."),
                "after_seq": said(WHOLE, "The next_seq of the call before."),
                "dry_run": said(FLAG, "Change nothing; needs no Idempotency-Key."),
            },
            ("since", "until", "filter", "all", "after_seq", "dry_run"),
        ),
        errors=(400, 409, 413, 415, 428, 503),
    ),
}  # fmt: skip
"""Of every route there is."""
