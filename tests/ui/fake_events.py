"""The Events API over a list in memory: pages, filter, search and tail, with the gateway's own filter language."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from proxy.base.money import to_nanos
from proxy.base.times import parse_moment
from proxy.events.event import Event
from proxy.events.filter import FilterError, matcher, parse
from proxy.events.filter.fields import ALL, field_json

SLICE = 500
"""Requests a search looks at between two messages."""
_PLAIN = {field.name for field in fields(Event)} & {
    "id", "seq", "endpoint", "model", "requested_model", "provider", "target", "decision", "status", "outcome", "error",
    "error_message", "latency_ms", "ttft_ms", "stream", "input_tokens", "output_tokens", "cost_status", "usage_status",
    "policies_triggered", "severity", "attempts", "key", "config_version",
}  # fmt: skip


class BadFilter(Exception):
    """What the gateway answers to a filter it cannot read."""

    def __init__(self, error: FilterError) -> None:
        super().__init__(str(error))
        self.body = {
            "error": {"code": "bad_filter", "message": f"filter: {error}", "where": "filter"},
            "column": error.start + 1,
            "end_column": error.end + 1,
        }


def fields_answer() -> dict[str, Any]:
    """GET /v1/events/fields."""
    return {"fields": [field_json(field) for field in ALL]}


def select(
    events: Sequence[dict[str, Any]], params: Mapping[str, str], now: datetime
) -> list[dict[str, Any]]:
    """GET /v1/events: as the gateway reads it, newest first unless `order=oldest`. Raises BadFilter."""
    found = [item for item in sorted(events, key=lambda item: item["seq"]) if _wanted(params, now)(item)]
    if params.get("order") != "oldest":
        found.reverse()
    return found[: int(params.get("limit", len(found)))]


def check(params: Mapping[str, str], now: datetime) -> None:
    """Raises BadFilter."""
    _wanted(params, now)


async def search(
    events: Sequence[dict[str, Any]], params: Mapping[str, str], now: datetime
) -> AsyncIterator[bytes]:
    """GET /v1/events/search, slice by slice, newest first."""
    wanted = _wanted(params, now)
    before = int(params.get("before_seq", 2**62))
    todo = [item for item in sorted(events, key=lambda item: -item["seq"]) if item["seq"] < before]
    limit, found = int(params.get("limit", 500)), 0
    progress: dict[str, Any] = {
        "searched": 0,
        "total": len(todo),
        "reached": None,
        "reached_seq": None,
        "found": 0,
    }
    complete, go_on = True, None
    for start in range(0, len(todo), SLICE):
        piece = todo[start : start + SLICE]
        rows = [item for item in piece if wanted(item)][: limit - found]
        found += len(rows)
        if rows:
            yield _message("rows", rows)
        full = found >= limit
        last = rows[-1] if full else piece[-1]
        progress |= {
            "searched": todo.index(last) + 1,
            "reached": last["timestamp"],
            "reached_seq": last["seq"],
            "found": found,
        }
        yield _message("progress", progress)
        if full:
            complete, go_on = False, last["seq"]
            break
    yield _message("done", progress | {"complete": complete, "before_seq": go_on})


def tail_of(rows: Sequence[dict[str, Any]], params: Mapping[str, str], now: datetime) -> bytes:
    """What /v1/events/stream says of `rows`."""
    wanted = _wanted(params, now)
    return b"".join(_message("event", item) for item in rows if wanted(item))


def _message(kind: str, data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _wanted(params: Mapping[str, str], now: datetime) -> Any:
    now_ms = int(now.timestamp() * 1000)
    now_ms = parse_moment(params["at"], now_ms) if "at" in params else now_ms
    matches = None
    if params.get("filter"):
        try:
            matches = matcher(parse(params["filter"], now_ms))
        except FilterError as error:
            raise BadFilter(error) from None
    since = parse_moment(params["since"], now_ms) if "since" in params else None

    def wanted(item: dict[str, Any]) -> bool:
        return (
            item["seq"] < int(params.get("before_seq", 2**62))
            and item["seq"] > int(params.get("after_seq", -1))
            and (since is None or _ms(item) >= since)
            and (matches is None or matches(_event(item)))
        )

    return wanted


def _ms(item: Mapping[str, Any]) -> int:
    moment = datetime.fromisoformat(item["timestamp"].replace("Z", "+00:00"))
    return int(moment.astimezone(UTC).timestamp() * 1000)


def _event(item: dict[str, Any]) -> Event:
    metadata = item["metadata"]
    plain = {name: item[name] for name in _PLAIN if item.get(name) is not None}
    plain = {"endpoint": "chat", **plain}
    cost = item.get("cost")
    return Event(
        timestamp_ms=_ms(item),
        cost_nanos=None if cost is None else to_nanos(Decimal(cost)),
        ab_tag=metadata.get("ab_tag"),
        split=metadata.get("experiment"),
        phase=metadata.get("phase"),
        unit_kind=metadata.get("unit_kind"),
        **plain,
    )
