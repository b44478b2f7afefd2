"""Reading decided requests for a replay: only the columns it needs, in one walk. Blocking; read-only."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.base.sanitise import sanitise
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.sqlite_schema import SCHEMA_VERSION
from proxy.policy.recorded import DECIDED, RecordedRequest
from proxy.wire.usage import Usage

_COLUMNS = (
    "id, timestamp_ms, endpoint, requested_model, model, decision, ab_tag, draw, facts, stream, key, target, "
    "unit_kind, unit_digest, policies_triggered, cost_nanos, cost_status, "
    "input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, config_version, quality_score"
)
_NEWEST = f"SELECT {_COLUMNS} FROM events WHERE facts <> '{{}}' ORDER BY seq DESC LIMIT ?"
# Long streams are stored behind requests that came later, so the window is asked of every row; the plus keeps
# SQLite on the walk by seq.
_SINCE = (
    f"SELECT {_COLUMNS} FROM events WHERE seq >= (SELECT min(seq) FROM events INDEXED BY events_timestamp "
    "WHERE timestamp_ms >= ?) AND +timestamp_ms >= ? AND +timestamp_ms < ? AND facts <> '{}' ORDER BY seq DESC LIMIT ?"
)
_EVER = 2**62
_BY_ID = f"SELECT {_COLUMNS} FROM events WHERE id = ?"
_decode = msgspec.json.Decoder().decode


def read_requests(
    path: Path, last: int, since_ms: int | None = None, until_ms: int | None = None
) -> list[RecordedRequest]:
    """The newest `last` decided requests, newest first: all, or those from `since_ms` to just before `until_ms`.

    What never got as far as a decision (no key, not readable) is left out. Raises StoreError.
    """
    if since_ms is None:
        return _read(path, _NEWEST, (last,))
    return _read(path, _SINCE, (since_ms, since_ms, _EVER if until_ms is None else until_ms, last))


def read_request_by_id(path: Path, event_id: str) -> RecordedRequest | None:
    """The request of that id, decided or not. Raises StoreError."""
    found = _read(path, _BY_ID, (event_id.encode("utf-8", "replace").decode(),))
    return found[0] if found else None


def _read(path: Path, sql: str, values: tuple[Any, ...]) -> list[RecordedRequest]:
    if not path.exists():
        raise StoreError(f"there is no event store at {path}: name another --state-dir")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as store:
            store.execute("PRAGMA query_only=1")
            store.execute("PRAGMA wal_autocheckpoint=0")
            if int(store.execute("PRAGMA user_version").fetchone()[0]) > SCHEMA_VERSION:
                raise StoreError(f"{path} was written by a newer ktui: upgrade, or name another --state-dir")
            return [_request(row) for row in store.execute(sql, values)]
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise StoreError(f"cannot read the event store {path}: {sanitise(error, 200)}") from None


def _request(row: tuple[Any, ...]) -> RecordedRequest:
    draw, kept = row[7], _decode(row[8])
    triggered = row[14]
    return RecordedRequest(
        id=row[0],
        timestamp_ms=row[1],
        endpoint=row[2],
        requested_model=row[3],
        model=kept.get(DECIDED) or row[4],
        decision=row[5],
        tag=row[6],
        # 64 unsigned bits in a signed column.
        draw=draw if draw >= 0 else draw + 2**64,
        kept=kept,
        stream=bool(row[9]),
        key=row[10],
        target=row[11],
        unit_kind=row[12],
        unit_digest=row[13],
        triggered=tuple(_decode(triggered)) if triggered != "[]" else (),
        cost_nanos=row[15],
        went_upstream=row[16] != "none",
        tokens=row[17:22],
        version=row[22],
        served=row[4],
        estimated=row[16] == "estimated",
        quality=row[23],
    )


def request_of(event: Event) -> RecordedRequest:
    """The same of an event in memory."""
    return RecordedRequest(
        id=event.id,
        timestamp_ms=event.timestamp_ms,
        endpoint=event.endpoint,
        requested_model=event.requested_model,
        model=event.facts.get(DECIDED) or event.model,
        decision=event.decision,
        tag=event.ab_tag,
        draw=event.draw,
        kept=event.facts,
        stream=event.stream,
        key=event.key,
        target=event.target,
        unit_kind=event.unit_kind,
        unit_digest=event.unit_digest,
        triggered=tuple(event.policies_triggered),
        cost_nanos=event.cost_nanos,
        went_upstream=event.cost_status != "none",
        tokens=(
            event.input_tokens,
            event.output_tokens,
            event.cached_tokens,
            event.cache_write_tokens,
            event.reasoning_tokens,
        ),
        version=event.config_version,
        served=event.model,
        estimated=event.cost_status == "estimated",
        quality=event.quality_score,
    )


def usage_of(request: RecordedRequest) -> Usage:
    """Its tokens, as the price book takes them."""
    figures = request.tokens
    return Usage(
        input_tokens=figures[0],
        output_tokens=figures[1],
        cached_tokens=figures[2],
        cache_write_tokens=figures[3],
        reasoning_tokens=figures[4],
    )
