"""One event as a page of text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from proxy.base.sanitise import sanitise
from proxy.base.stream_text import said_in

if TYPE_CHECKING:
    from proxy.cli.event_source import Detail

Record = dict[str, Any]
_LABEL = 12
_LONGEST = 2_000
"""Characters of one value."""


def detail_lines(detail: Detail) -> Iterator[str]:
    """The lines of `detail`. What is not known says so; what does not apply is left out."""
    event = detail.event
    yield from _head(event)
    yield from _figures(event)
    yield from _decision(event)
    yield from _attempts(event)
    yield from _feedback(event)
    if detail.no_bodies is not None:
        yield from ("", detail.no_bodies)
    if detail.bodies is not None:
        for side in ("request", "response"):
            yield from _body(side, detail.bodies[side])


def _row(label: str, *parts: str | None) -> str:
    told = "  ".join(part for part in parts if part)
    return f"{label:<{_LABEL}}{sanitise(told, _LONGEST)}"


def _head(event: Record) -> Iterator[str]:
    mark = "✓" if event["outcome"] == "ok" else "✗"
    moment = datetime.fromisoformat(event["timestamp"]).astimezone()
    yield _row("id", event["id"])
    yield _row(
        "arrived",
        f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {moment:%z}",
        f"({event['timestamp']})",
    )
    yield _row("ended", f"{mark} {event['status']} {event['outcome']}", event["error"])
    if event["error_message"]:
        yield _row("", event["error_message"])
    yield _row(
        "asked for",
        event["requested_model"] or "no model",
        event["endpoint"],
        "streamed" if event["stream"] else None,
    )
    if event["attempts"]:
        reported = event["upstream_model"]
        yield _row(
            "answered by",
            event["model"],
            f"at {event['target']}" if event["target"] else None,
            f"({event['provider']})" if event["provider"] else None,
            f"as {reported}" if reported and reported != event["model"] else None,
        )
    else:
        yield _row("answered by", "this gateway: nothing went upstream")
    if event.get("trace"):
        yield _row("trace", event["trace"])
    if event["key"]:
        yield _row("client key", event["key"])


def _figures(event: Record) -> Iterator[str]:
    ttft, overhead = event["ttft_ms"], event["overhead_us"]
    yield ""
    yield _row(
        "took",
        f"{event['latency_ms']:,.1f} ms",
        f"first token after {ttft:,.1f} ms" if ttft is not None else None,
        f"{overhead / 1_000:,.2f} ms of it here" if overhead is not None else None,
    )
    if not event["attempts"]:
        return
    status = event["usage_status"]
    kinds = (
        ("in", "input"),
        ("out", "output"),
        ("cached", "cached"),
        ("written to cache", "cache_write"),
        ("reasoning", "reasoning"),
    )
    counts = [
        f"{event[f'{name}_tokens']:,} {shown}" for shown, name in kinds if event[f"{name}_tokens"] is not None
    ]
    if status == "unknown" or not counts:
        yield _row("tokens", "unknown: the upstream reported none")
    else:
        yield _row("tokens", ", ".join(counts), "(estimated)" if status == "estimated" else None)
    if event["cost_status"] != "none":
        source = f"at the prices of {event['price_source']}" if event["price_source"] else None
        if event["cost"] is None:
            yield _row("cost", "unknown: unpriced")
        else:
            estimated = "(estimated)" if event["cost_status"] == "estimated" else None
            yield _row("cost", f"${event['cost']}", estimated, source)
    if event["finish_reason"]:
        yield _row("finished", event["finish_reason"])


def _decision(event: Record) -> Iterator[str]:
    metadata = event["metadata"]
    yield ""
    yield _row("decision", event["decision"], f"severity {event['severity']}" if event["severity"] else None)
    yield _row("policies", ", ".join(event["policies_triggered"]) or "none fired")
    if metadata["ab_tag"]:
        yield _row(
            "variant",
            metadata["ab_tag"],
            f"of {metadata['experiment']}",
            f"phase {metadata['phase']}" if metadata["phase"] else None,
            f"by {metadata['unit_kind']} {metadata['unit_digest'] or ''}".rstrip(),
        )
    if event["config_version"]:
        yield _row("version", event["config_version"][:12], f"kt events explain {event['id']} says why")
    if metadata["request"]:
        yield _row("metadata", ", ".join(f"{name}: {value}" for name, value in metadata["request"].items()))
    if metadata["dropped_params"]:
        yield _row(
            "dropped", ", ".join(metadata["dropped_params"]), "(the target's dialect has no such parameters)"
        )


def _attempts(event: Record) -> Iterator[str]:
    log = event.get("attempt_log") or []
    if not log:
        return
    yield ""
    for number, attempt in enumerate(log, 1):
        status = str(attempt.get("status") or "no answer")
        yield _row(
            f"attempt {number}",
            f"{attempt.get('target')}",
            f"{attempt.get('model')}",
            status,
            f"{attempt.get('ms', 0):,.1f} ms",
            attempt.get("reason"),
            attempt.get("error"),
        )


def _feedback(event: Record) -> Iterator[str]:
    said = event.get("feedback") or []
    if not said:
        return
    yield ""
    for item in said:
        score = f"{item['score']:g}" if item["score"] is not None else None
        yield _row("feedback", score, item["label"], item["comment"], f"— {item['who']}, {item['given']}")


def _body(side: str, body: Record | None) -> Iterator[str]:
    yield ""
    if body is None:
        yield f"── {side}: none" + (" (refused before it was read)" if side == "request" else "")
        return
    cut = ", only its beginning was kept" if body["truncated"] else ""
    kind = f", {sanitise(body['content_type'], 200)}" if body["content_type"] else ""
    said = said_in(body["text"]) if "event-stream" in kind and "text" in body else None
    frames = f"; what its {said.frames:,} frames say (--format json has them)" if said is not None else ""
    yield f"── {side}: {body['bytes']:,} bytes{kind}{cut}{frames}"
    if said is not None:
        yield from said.text.splitlines()
        return
    if "text" not in body:
        yield "(no text; --format json has it as base64)"
        return
    yield from _readable(body).splitlines()


def _readable(body: Record) -> str:
    """JSON with one member a line; anything else as it is."""
    text: str = body["text"]
    if body["truncated"] or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
