"""The named schemas of the OpenAPI document: what the control API answers, field by field."""

from __future__ import annotations

from typing import get_args

from proxy.control.openapi_cost import COST
from proxy.control.openapi_schema import (
    ANY_OBJECT,
    FLAG,
    MONEY,
    NUMBER,
    TEXT,
    TEXTS,
    TIME,
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
)
from proxy.events.event import CostStatus, Outcome, UsageStatus
from proxy.events.rollups.cells import COUNTS, DIMENSIONS

_NULL_TEXT, _NULL_WHOLE, _NULL_NUMBER = maybe(TEXT), maybe(WHOLE), maybe(NUMBER)

_EVENT: dict[str, Schema] = {
    "id": TEXT,
    "seq": said(WHOLE, "Place in the store; the cursor of pages and streams."),
    "timestamp": said(TIME, "Arrival."),
    "request_id": said(TEXT, "The same as id: x-kt-request-id of the answer."),
    "endpoint": TEXT,
    "model": TEXT,
    "requested_model": TEXT,
    "upstream_model": _NULL_TEXT,
    "provider": _NULL_TEXT,
    "target": _NULL_TEXT,
    "decision": TEXT,
    "status": said(WHOLE, "HTTP status of the answer; 499 when the client left."),
    "outcome": one_of(*get_args(Outcome)),
    "error": _NULL_TEXT,
    "error_message": _NULL_TEXT,
    "stream": FLAG,
    "latency_ms": NUMBER,
    "ttft_ms": _NULL_NUMBER,
    "overhead_us": _NULL_WHOLE,
    "cost": maybe(MONEY),
    "cost_status": one_of(*get_args(CostStatus)),
    "price_source": _NULL_TEXT,
    "input_tokens": _NULL_WHOLE,
    "output_tokens": _NULL_WHOLE,
    "cached_tokens": _NULL_WHOLE,
    "cache_write_tokens": _NULL_WHOLE,
    "reasoning_tokens": _NULL_WHOLE,
    "usage_status": one_of(*get_args(UsageStatus)),
    "finish_reason": _NULL_TEXT,
    "policies_triggered": TEXTS,
    "severity": _NULL_TEXT,
    "quality_score": said(maybe(between(0, 1)), "The newest score of its feedback."),
    "key": _NULL_TEXT,
    "attempt": WHOLE,
    "attempts": said(WHOLE, "Requests sent upstream."),
    "config_version": TEXT,
    "trace": said(_NULL_TEXT, "TRACE-PARENT-FLAGS of the client's traceparent header."),
    "metadata": obj(
        {
            **dict.fromkeys(
                ("ab_tag", "experiment", "phase", "unit_kind", "unit_digest", "salt"), _NULL_TEXT
            ),
            "request": mapping(TEXT),
            "dropped_params": TEXTS,
        }
    ),
}
_FEEDBACK: dict[str, Schema] = {
    "id": WHOLE,
    "event_id": TEXT,
    "score": maybe(between(0, 1)),
    "label": _NULL_TEXT,
    "comment": _NULL_TEXT,
    "who": said(TEXT, "Name of the token it came with."),
    "given": TIME,
}
_ARM: dict[str, Schema] = {
    "tag": TEXT,
    "model": TEXT,
    "target": _NULL_TEXT,
    "weight": NUMBER,
    "share": said(NUMBER, "Percent."),
    "observed_share": said(_NULL_NUMBER, "Percent of the units seen."),
    "observed_units": WHOLE,
    "requests": WHOLE,
}
_SPLIT: dict[str, Schema] = {
    "name": TEXT,
    "line": WHOLE,
    "enabled": FLAG,
    "unit": TEXTS,
    "salt": TEXT,
    "phase": _NULL_TEXT,
    "advance": _NULL_TEXT,
    "off_plan": FLAG,
    "observed_since": maybe(TIME),
    "arms": listed(obj(_ARM)),
    "phases": listed(
        obj(
            {
                "name": TEXT,
                "weights": mapping(NUMBER),
                "shares": mapping(NUMBER),
                "duration": _NULL_TEXT,
                "duration_s": _NULL_NUMBER,
                "line": WHOLE,
            }
        )
    ),
}
_TARGET: dict[str, Schema] = {
    "id": TEXT,
    "provider": TEXT,
    "base_url": TEXT,
    "available": FLAG,
    "reason": _NULL_TEXT,
    "models": TEXTS,
    "breaker": one_of("closed", "open", "half-open"),
}
_DIAGNOSTIC: dict[str, Schema] = {
    "code": TEXT,
    "severity": one_of("error", "warning", "info"),
    "message": TEXT,
    "line": WHOLE,
    "column": WHOLE,
    "end_line": WHOLE,
    "end_column": WHOLE,
    "path": TEXT,
    "fix": maybe(ANY_OBJECT),
}
_FILE_STATE: dict[str, Schema] = {
    "state": TEXT,
    "reason": _NULL_TEXT,
    "diagnostics": listed(ref("Diagnostic")),
}
_NOT_ENFORCED = listed(obj({"policy": TEXT, "type": TEXT, "line": WHOLE}))
_VERSION: dict[str, Schema] = {
    "number": WHOLE,
    "hash": TEXT,
    "applied_at": TIME,
    "who": TEXT,
    "through": TEXT,
    "why": TEXT,
}
_STATUS: dict[str, Schema] = {
    "gateway": obj(
        {
            "state": TEXT,
            "reason": _NULL_TEXT,
            "listen": TEXT,
            "api": TEXT,
            "pid": WHOLE,
            "started": TIME,
            "version": TEXT,
            "in_flight": WHOLE,
        }
    ),
    "config": maybe(
        obj(
            {
                **dict.fromkeys(("hash", "short", "path", "name", "who", "through"), TEXT),
                "number": WHOLE,
                "applied_at": TIME,
                "file": obj(_FILE_STATE),
                "warnings": listed(ref("Diagnostic")),
                "not_enforced": _NOT_ENFORCED,
            }
        )
    ),
    "file": obj(_FILE_STATE),
    "traffic": ref("Summary"),
    "splits": listed(ref("Split")),
    "events": obj(
        {
            **dict.fromkeys(("accepted", "stored", "spilled", "total", "last_seq"), WHOLE),
            "dropped": mapping(WHOLE),
            "forgotten": said(mapping(WHOLE), "Taken away by retention since the start, by reason."),
            "last_timestamp": maybe(TIME),
            "trouble": _NULL_TEXT,
        },
        more=True,
    ),
    "targets": listed(ref("Target")),
    "telemetry": ref("Telemetry"),
    "alerts": listed(ref("Alert")),
    "badges": TEXTS,
    "notices": TEXTS,
}
_ALERT: dict[str, Schema] = {
    **dict.fromkeys(("name", "filter"), TEXT),
    "firing": FLAG,
    "since": said(maybe(TIME), "Since when it fires."),
    "requests": said(WHOLE, "That match and ended within the window."),
    "of": said(WHOLE, "Of so many that ended within it."),
    "limit": said(NUMBER, "It fires with more requests than that, or with `is_share` more percent."),
    "is_share": FLAG,
    "within_s": WHOLE,
    "newest": said(_NULL_TEXT, "Id of the newest of `requests`."),
}
_TELEMETRY: dict[str, Schema] = {
    "on": FLAG,
    "text": said(TEXT, "What goes where, or why nothing does."),
    "endpoint": TEXT,
    **dict.fromkeys(("exported", "waiting", "unsampled"), WHOLE),
    "dropped": mapping(WHOLE),
    "trouble": _NULL_TEXT,
}
_ASSIGNMENT: dict[str, Schema] = {
    **dict.fromkeys(("split", "unit_kind", "unit_digest", "salt", "phase"), _NULL_TEXT),
    "arms": listed(obj({"tag": TEXT, "weight": NUMBER, "score": _NULL_NUMBER, "chosen": FLAG})),
}
_EXPLANATION: dict[str, Schema] = {
    "decision": _NULL_TEXT,
    "model": _NULL_TEXT,
    "variant": _NULL_TEXT,
    "requested_model": _NULL_TEXT,
    "served_model": _NULL_TEXT,
    "steps": listed(obj(dict.fromkeys(("policy", "type", "outcome", "reason"), TEXT) | {"line": WHOLE})),
    "assignment": maybe(obj(_ASSIGNMENT)),
    "refusal": maybe(ANY_OBJECT),
    "version": maybe(ANY_OBJECT),
    "cannot_tell": TEXTS,
    "text": TEXT,
}
_APPLIED: dict[str, Schema] = {
    "number": WHOLE,
    "hash": TEXT,
    "changed": FLAG,
    "applied_ms": NUMBER,
    "diagnostics": listed(ref("Diagnostic")),
    "text": TEXT,
    "diff": TEXT,
}

COMPONENTS: dict[str, Schema] = {
    "Error": obj(
        {"error": obj({"code": TEXT, "message": TEXT, "where": _NULL_TEXT})},
        more=True,
    ),
    "Event": obj(_EVENT),
    "EventDetail": obj({**_EVENT, "attempt_log": listed(ANY_OBJECT), "feedback": listed(ref("Feedback"))}),
    "Feedback": obj(_FEEDBACK),
    "Body": obj(
        {
            "text": said(TEXT, "What was kept, where it is Unicode."),
            "base64": said(TEXT, "What was kept, where it is not."),
            "bytes": said(WHOLE, "How long it was in all."),
            "truncated": said(FLAG, "Only the beginning was kept."),
            "content_type": _NULL_TEXT,
        },
        ("text", "base64"),
    ),
    "Purged": obj(
        {
            "events": said(WHOLE, "Removed, or that would be."),
            "bodies": said(WHOLE, "The same of bodies."),
            "more": said(FLAG, "There is more: send it again, under another Idempotency-Key."),
            "traces": said(FLAG, "A read under way keeps older pages on disk for now."),
        }
    ),
    "Repriced": obj(
        {
            "changed": said(WHOLE, "Requests that got another cost, or would get one."),
            "before": said(MONEY, "What those cost until now."),
            "after": said(MONEY, "What they cost now."),
            "unpriced": said(WHOLE, "Requests that still have no price."),
            "unclear": said(WHOLE, "Requests whose cost depends on more than is kept of them; they stay."),
            "next_seq": said(maybe(WHOLE), "It did not get through: go on with this as after_seq."),
        }
    ),
    "Field": obj(
        {**dict.fromkeys(("name", "kind", "doc", "example"), TEXT), "aliases": TEXTS, "values": TEXTS}
    ),
    "Split": obj(_SPLIT),
    "Target": obj(_TARGET),
    "Alert": obj(_ALERT),
    "Telemetry": said(
        obj(_TELEMETRY, tuple(_TELEMETRY)[2:]), "The OpenTelemetry export; counts are requests."
    ),
    "Diagnostic": obj(_DIAGNOSTIC),
    "Config": obj(
        {
            **dict.fromkeys(("hash", "text", "path", "name"), TEXT),
            "number": WHOLE,
            "diagnostics": listed(ref("Diagnostic")),
            "file": obj({**_FILE_STATE, "hash": _NULL_TEXT, "text": _NULL_TEXT}),
        }
    ),
    "Version": obj({**_VERSION, "text": TEXT}),
    "VersionLine": obj({**_VERSION, "events": _NULL_WHOLE}),
    "Applied": obj(_APPLIED, optional=("text", "diff")),
    "Status": obj(_STATUS),
    "Summary": obj(
        {
            "window_s": WHOLE,
            "requests": WHOLE,
            "requests_per_s": _NULL_NUMBER,
            "error_rate": _NULL_NUMBER,
            "latency_ms": obj(dict.fromkeys(("p50", "p95", "p99"), _NULL_NUMBER), more=True),
            "cost_per_min": maybe(MONEY),
            "unpriced": WHOLE,
        },
        more=True,
    ),
    "Groups": obj(
        {
            "from": said(WHOLE, "Seconds since 1970, a whole minute."),
            "to": maybe(WHOLE),
            "group_by": one_of(*DIMENSIONS),
            "complete": said(FLAG, "False while an old store is still being rolled up."),
            "groups": listed(ref("Group")),
        }
    ),
    "Group": obj(
        {
            "group": TEXT,
            **{name: WHOLE for name in COUNTS if name != "cost_nanos"},
            "cost": maybe(MONEY),
            "error_rate": _NULL_NUMBER,
            "latency_ms": obj(dict.fromkeys(("p50", "p95", "p99"), _NULL_NUMBER)),
            "ttft_ms": obj(dict.fromkeys(("p50", "p95"), _NULL_NUMBER)),
        }
    ),
    "Series": obj(
        {
            "metric": TEXT,
            "unit": TEXT,
            "step_s": NUMBER,
            "times": listed(NUMBER),
            "series": listed(
                obj(
                    {
                        "group": _NULL_TEXT,
                        "values": listed(_NULL_NUMBER),
                        "window_value": _NULL_NUMBER,
                        "requests": WHOLE,
                    },
                    more=True,
                ),
            ),
            "markers": listed(ANY_OBJECT),
        },
        more=True,
    ),
    **COST,
    "Lint": obj({"valid": FLAG, "diagnostics": listed(ref("Diagnostic")), "not_enforced": _NOT_ENFORCED}),
    "Difference": obj({"meaning": TEXTS, "unified": TEXT, "values": listed(ANY_OBJECT)}),
    "Impact": obj(
        {
            **dict.fromkeys(("requests", "asked", "same", "changed", "cannot_tell", "blocked"), WHOLE),
            **dict.fromkeys(("unblocked", "redirected"), WHOLE),
            **dict.fromkeys(("from", "to"), maybe(TIME)),
            **dict.fromkeys(("moves", "decisions", "policies", "reasons", "examples"), listed(ANY_OBJECT)),
            "cost": ANY_OBJECT,
            "took_ms": NUMBER,
        }
    ),
    "Explanation": obj(_EXPLANATION, optional=("served_model", "requested_model")),
    "Price": obj(
        {
            **dict.fromkeys(("target", "provider", "model"), TEXT),
            **dict.fromkeys(("input", "output", "cached_input", "cache_write"), maybe(MONEY)),
            "source": _NULL_TEXT,
        },
        more=True,
    ),
}
"""By name, as the document has them."""
