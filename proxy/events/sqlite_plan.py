"""How the events of a query are found: which index is walked, newest first, and what is checked on the way.

SQLite has no figures about a store that is never still, so it cannot know whether one model or one error is the
rarer. This asks the indexes themselves: the rarest value is the one whose nth newest row lies furthest back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any as AnyValue

from proxy.events.bodies import KEPT
from proxy.events.filter import bounds, to_sql
from proxy.events.filter.expression import All, Any, Contains, Expression, Has, Metadata, Not, Range, Text
from proxy.events.filter.fields import BODY, FREE_TEXT
from proxy.events.filter.match import ASCII_LOWER
from proxy.events.filter.sql import like_pattern
from proxy.events.sqlite_indexes import INDEXES, NEVER_NULL, ONLY_WHERE, SCAN, USER_EXPRESSION
from proxy.events.store import EventQuery

MAX_WALKS = 40
"""Values of one condition that are walked side by side; with more the events themselves are looked at."""
_MAX_VALUES = 1_000
"""Different values of a column that are looked through for those that fit a pattern."""
_DENSE = 4
"""One row in so many, or more, fits: looking at every row is no slower than an index."""
_TOP = 2**63 - 1
_PLAIN = re.compile(r"[A-Za-z0-9 .:-]+")
"""Characters that JSON writes as they are, and that mean nothing to LIKE."""

_WITH_BODIES = f"({KEPT}) CROSS JOIN events ON seq = event_seq WHERE 1"

Rows = Callable[[str, Sequence[AnyValue]], Awaitable[list[AnyValue]]]
"""Reads."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The rows of one value of one index, in order of seq."""

    source: str
    """What follows FROM, with a condition on the value; `?` is the value."""
    seq: str
    """Name of the seq there."""
    values: tuple[AnyValue, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look (None: at every event), and what must hold."""

    walks: tuple[Walk, ...] | None
    condition: str
    """Begins with AND, or is empty."""
    values: tuple[AnyValue, ...]

    def seqs(self, low: int, high: int, ascending: bool, limit: int) -> tuple[str, list[AnyValue]]:
        """A SELECT of the first `limit` seqs that fit between `low` and `high`."""
        order = "ASC" if ascending else "DESC"
        walks = (Walk(f"events INDEXED BY {SCAN} WHERE 1", "seq", ()),) if self.walks is None else self.walks
        values: list[AnyValue] = []
        parts = []
        for walk in walks:
            parts.append(
                f"SELECT {walk.seq} AS seq FROM {walk.source} AND {walk.seq} BETWEEN ? AND ?{self.condition}"
            )
            values += [*walk.values, low, high, *self.values]
        # UNION with an order merges its parts as they come: no part is read further than needed.
        return f"{' UNION '.join(parts)} ORDER BY 1 {order} LIMIT ?", [*values, limit]


def window(query: EventQuery) -> tuple[int | None, int | None]:
    """The window of the query and of its filter together, milliseconds."""
    low, high = bounds(query.where) if query.where is not None else (None, None)
    sinces = [bound for bound in (query.since_ms, low) if bound is not None]
    untils = [bound for bound in (query.until_ms, high) if bound is not None]
    return max(sinces, default=None), min(untils, default=None)


def bounded(value: int) -> int:
    """`value` where 64 bits hold it."""
    return max(-_TOP, min(_TOP, value))


def storable(text: str) -> str:
    """`text` without what SQLite cannot take."""
    return text.encode("utf-8", "replace").decode()


async def plan(query: EventQuery, low: int, high: int, rows: Rows, page: int) -> Plan:
    """The cheapest way to the newest `page` events of `query` between the seqs `low` and `high`."""
    condition, values = await _conditions(query, rows)
    best: tuple[Walk, ...] | None = None
    furthest = max(high - page * _DENSE, low - 1)
    candidates = _given(query) + [
        walks for part in _parts(query.where) if (walks := await _walks_of(part, rows)) is not None
    ]
    for walks in candidates:
        if not walks:
            return Plan(None, " AND 0", ())
        reach = await _reach(walks, low, high, rows, page)
        if reach < furthest:
            best, furthest = walks, reach
    return Plan(best, condition, tuple(values))


async def _reach(walks: tuple[Walk, ...], low: int, high: int, rows: Rows, page: int) -> int:
    """The seq of the `page`th newest row; when there are fewer, the lower the fewer."""
    sql, values = Plan(walks, "", ()).seqs(low, high, False, page)
    count, lowest = (await rows(f"SELECT count(*), min(seq) FROM ({sql})", values))[0]
    return int(lowest) if count == page else low - 1 - page + int(count)


async def _conditions(query: EventQuery, rows: Rows) -> tuple[str, list[AnyValue]]:
    """All that must hold of a row: columns are ours, values are always bound."""
    parts: list[str] = []
    values: list[AnyValue] = []
    # The plus keeps SQLite on the walk it was given.
    if query.since_ms is not None:
        parts.append("+timestamp_ms >= ?")
        values.append(bounded(query.since_ms))
    if query.until_ms is not None:
        parts.append("+timestamp_ms < ?")
        values.append(bounded(query.until_ms))
    for column, wanted in _equalities(query):
        parts.append(f"+{column} = ?")
        values.append(wanted)
    # Each part for itself: SQLite then asks first what the walk holds, and opens an event only for the rest.
    for part in _parts(query.where):
        if isinstance(part, Metadata):
            condition, bound = _likely(part)
            parts.append(f"+({condition})")
            values += bound
        condition, bound = await _free_text(part, rows) if isinstance(part, Contains) else to_sql(part)
        parts.append(f"+({condition})")
        values += bound
    return "".join(f" AND {part}" for part in parts), values


async def _free_text(part: Contains, rows: Rows) -> tuple[str, list[AnyValue]]:
    """As `to_sql` says it; but of columns with few values those that hold the text are looked for once, not in each row."""
    texts: list[str] = []
    values: list[AnyValue] = []
    for column in FREE_TEXT:
        known = await _distinct("events", column, rows) if column in INDEXES else None
        if known is None:
            texts.append(f"{column} LIKE ? ESCAPE '!'")
            values.append(like_pattern(part.needle))
        elif fitting := [value for value in known if part.needle in value.translate(ASCII_LOWER)]:
            texts.append(f"{column} IN ({', '.join('?' * len(fitting))})")
            values += fitting
    return " OR ".join(texts) or "0", values


def _likely(part: Metadata) -> tuple[str, list[AnyValue]]:
    """What must hold of the metadata's text for `part` to hold: to ask it is several times as fast as to read JSON."""
    runs = [max(_PLAIN.findall(value), key=len, default="") for value in (*part.exact, *part.globs)]
    if not all(runs):
        return "request_metadata <> '{}'", []
    return " OR ".join("request_metadata LIKE ?" for _ in runs), [f"%{run}%" for run in runs]


def _equalities(query: EventQuery) -> list[tuple[str, str]]:
    given = (
        ("model", query.model),
        ("ab_tag", query.tag),
        ("provider", query.provider),
        ("decision", query.decision),
    )
    return [(column, storable(wanted)) for column, wanted in given if wanted is not None]


def _given(query: EventQuery) -> list[tuple[Walk, ...]]:
    return [(_walk(column, wanted),) for column, wanted in _equalities(query)]


def _walk(column: str, value: AnyValue) -> Walk:
    only = ONLY_WHERE.get(column, "")
    return Walk(f"events INDEXED BY {INDEXES[column]} WHERE {column} = ?{only}", "seq", (value,))


def _parts(expression: Expression | None) -> Iterator[Expression]:
    """What must hold at the top level."""
    if isinstance(expression, All):
        for part in expression.parts:
            yield from _parts(part)
    elif expression is not None:
        yield expression


async def _walks_of(part: Expression, rows: Rows) -> tuple[Walk, ...] | None:
    """Walks that together meet every row `part` holds for; None when indexes cannot tell."""
    if isinstance(part, Text) and part.field.kind == "user":
        if 2 * len(part.exact) > MAX_WALKS:
            return None
        return tuple(
            _walk(column, value) for value in part.exact for column in ("unit_digest", USER_EXPRESSION)
        )
    if isinstance(part, Text) and part.field.kind == "list":
        return await _policy_walks(part, rows)
    if isinstance(part, Text) and part.field.column in ("id", "trace"):
        return await _walk_of_prefixes(part, rows)
    if isinstance(part, Has) and part.field is BODY:
        return (Walk(_WITH_BODIES, "event_seq", ()),)
    columns = set(_columns(part))
    if isinstance(part, Any) and (len(columns) > 1 or "" in columns):
        return await _walks_of_each(part.parts, rows)
    if len(columns) != 1:
        return None
    column = columns.pop()
    if column not in INDEXES or (column not in NEVER_NULL and _holds_for_null(part)):
        return None
    if isinstance(part, Text) and part.field.kind == "text" and not part.globs:
        values: list[AnyValue] | None = [storable(value) for value in part.exact]
    else:
        values = await _values_that_fit(column, part, rows)
    if values is None or len(values) > MAX_WALKS:
        return None
    return tuple(_walk(column, value) for value in dict.fromkeys(values))


async def _walks_of_each(parts: Sequence[Expression], rows: Rows) -> tuple[Walk, ...] | None:
    found: list[Walk] = []
    for part in parts:
        walks = await _walks_of(part, rows)
        if walks is None or len(found) + len(walks) > MAX_WALKS:
            return None
        found += walks
    return tuple(dict.fromkeys(found))


async def _walk_of_prefixes(part: Text, rows: Rows) -> tuple[Walk, ...] | None:
    """What begins like this is looked up now: an index by such values is not in order of seq for a prefix."""
    column, found = part.field.column, []
    for prefix in part.exact:
        # None holds the highest character.
        span = (storable(prefix), storable(prefix) + "\U0010ffff", _MAX_VALUES + 1)
        found += await rows(f"SELECT seq FROM events WHERE {column} >= ? AND {column} < ? LIMIT ?", span)
    if len(found) > _MAX_VALUES:
        return None
    source = "events WHERE seq IN (SELECT value FROM json_each(?))"
    return (Walk(source, "seq", (json.dumps([row[0] for row in found]),)),) if found else ()


async def _policy_walks(part: Text, rows: Rows) -> tuple[Walk, ...] | None:
    names = [storable(value) for value in part.exact]
    if part.globs:
        known = await _distinct("events_policies", "policy", rows)
        if known is None:
            return None
        patterns = [storable(pattern).replace("[", "[[]") for pattern in part.globs]
        test = " OR ".join("value GLOB ?" for _ in patterns)
        for name in known:
            if (await rows(f"SELECT {test} FROM (SELECT ? AS value)", [*patterns, name]))[0][0]:
                names.append(name)
    if len(names) > MAX_WALKS:
        return None
    # CROSS: in this order, the list of the policy first.
    source = "events_policies CROSS JOIN events ON seq = event_seq WHERE policy = ?"
    return tuple(Walk(source, "event_seq", (name,)) for name in dict.fromkeys(names))


async def _values_that_fit(column: str, part: Expression, rows: Rows) -> list[AnyValue] | None:
    known = await _distinct("events", column, rows)
    if known is None:
        return None
    condition, values = to_sql(part)
    found = await rows(
        f"WITH known({column}) AS (SELECT value FROM json_each(?)) SELECT {column} FROM known WHERE {condition}",
        [json.dumps(known), *values],
    )
    return [row[0] for row in found]


async def _distinct(table: str, column: str, rows: Rows) -> list[AnyValue] | None:
    """The different values of an indexed column, each found by one step in the index; None: too many."""
    found = await rows(
        f"WITH RECURSIVE known(value) AS (SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL "
        f"UNION ALL SELECT (SELECT min({column}) FROM {table} WHERE {column} > value AND {column} IS NOT NULL) "
        f"FROM known WHERE value IS NOT NULL LIMIT {_MAX_VALUES + 2}) "
        "SELECT value FROM known WHERE value IS NOT NULL",
        (),
    )
    return [row[0] for row in found] if len(found) <= _MAX_VALUES else None


def _columns(expression: Expression) -> Iterator[str]:
    """The columns `expression` looks at; what no index has is an empty name."""
    match expression:
        case Text(field=field) | Has(field=field) if field.kind in ("user", "list"):
            yield ""
        case Text(field=field) | Range(field=field) | Has(field=field):
            yield field.column
        case Not(inner=inner):
            yield from _columns(inner)
        case All(parts=parts) | Any(parts=parts):
            for part in parts:
                yield from _columns(part)
        case Contains() | Metadata():
            yield ""


def _holds_for_null(expression: Expression) -> bool:
    """Whether a row without the value may fit: only a negation can say so."""
    match expression:
        case Not():
            return True
        case All(parts=parts) | Any(parts=parts):
            return not parts or any(_holds_for_null(part) for part in parts)
        case _:
            return False
