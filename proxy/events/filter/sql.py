"""An expression as a condition of the store. Columns are ours; every value is bound."""

from __future__ import annotations

from typing import Any as AnyValue
from typing import assert_never

from proxy.events.filter.expression import (
    All,
    Any,
    Contains,
    Expression,
    Has,
    Metadata,
    Not,
    Range,
    Text,
)
from proxy.events.filter.fields import FREE_TEXT, Field

Sql = tuple[str, list[AnyValue]]
"""A condition, and the values bound in it. It may be NULL where it does not hold, so that an index can be used."""
_USER = "json_extract(facts, '$.units.user')"


def to_sql(expression: Expression) -> Sql:
    """The condition of `expression` over the columns of the events table."""
    match expression:
        case All(parts):
            return _joined(parts, " AND ", "1")
        case Any(parts):
            return _joined(parts, " OR ", "0")
        case Not(inner):
            text, values = to_sql(inner)
            return f"NOT coalesce({text}, 0)", values
        case Text():
            return _text(expression)
        case Range():
            return _range(expression)
        case Has(field):
            return _has(field), []
        case Contains(needle):
            # LIKE folds the case of ASCII letters only, as the test of a single event does.
            text = " OR ".join(f"{column} LIKE ? ESCAPE '!'" for column in FREE_TEXT)
            return f"({text})", [like_pattern(needle)] * len(FREE_TEXT)
        case Metadata():
            return _metadata(expression)
        case _:
            assert_never(expression)


def bounds(expression: Expression) -> tuple[int | None, int | None]:
    """The window of time outside which nothing matches: (since, until exclusive), milliseconds."""
    since: int | None = None
    until: int | None = None
    parts = expression.parts if isinstance(expression, All) else (expression,)
    for part in parts:
        if isinstance(part, All):
            low, high = bounds(part)
        elif isinstance(part, Range) and part.field.column == "timestamp_ms":
            low = None if part.low is None else int(part.low)
            high = None if part.high is None else int(part.high) + (0 if part.high_open else 1)
        else:
            continue
        since = low if since is None else since if low is None else max(since, low)
        until = high if until is None else until if high is None else min(until, high)
    return since, until


def _joined(parts: tuple[Expression, ...], word: str, empty: str) -> Sql:
    if not parts:
        return empty, []
    pieces = [to_sql(part) for part in parts]
    return "(" + word.join(text for text, _ in pieces) + ")", [value for _, more in pieces for value in more]


def _has(field: Field) -> str:
    if field.kind == "list":
        return f"{field.column} <> '[]'"
    if field.kind == "user":
        # The digest alone may be of something else that the variant was chosen by.
        return f"((unit_kind IS 'user' AND unit_digest IS NOT NULL) OR {_USER} IS NOT NULL)"
    return f"{field.column} IS NOT NULL" if field.nullable else "1"


def _text(test: Text) -> Sql:
    column, field = test.field.column, test.field
    if field.kind == "list":
        return _in_list(test)
    if field.kind == "prefix":
        texts = [f"(substr({column}, 1, ?) = ?)" for _ in test.exact]
        return "(" + " OR ".join(texts) + ")", [
            item for value in test.exact for item in (len(_clean(value)), _clean(value))
        ]
    if field.kind == "user":
        marks = ", ".join("?" * len(test.exact))
        return (
            f"((unit_kind IS 'user' AND unit_digest IS NOT NULL AND unit_digest IN ({marks}))"
            f" OR coalesce({_USER} IN ({marks}), 0))",
            [*test.exact, *test.exact],
        )
    texts, values = _alternatives(column, test.exact, test.globs)
    if field.kind == "variant":
        for value in test.exact:
            texts.append(f"{column} GLOB ?")
            values.append("*-" + _literal(_clean(value)))
    return f"({' OR '.join(texts)})", values


def _alternatives(
    column: str, exact: tuple[str, ...], globs: tuple[str, ...]
) -> tuple[list[str], list[AnyValue]]:
    texts: list[str] = []
    values: list[AnyValue] = []
    if exact:
        texts.append(f"{column} IN ({', '.join('?' * len(exact))})")
        values += [_clean(value) for value in exact]
    for pattern in globs:
        texts.append(f"{column} GLOB ?")
        values.append(_clean(pattern).replace("[", "[[]"))
    return texts, values


def _in_list(test: Text) -> Sql:
    texts, values = _alternatives("value", test.exact, test.globs)
    return (
        f"EXISTS (SELECT 1 FROM json_each({test.field.column}) WHERE {' OR '.join(texts)})",
        values,
    )


def _metadata(test: Metadata) -> Sql:
    texts, values = _alternatives("value", test.exact, test.globs)
    return (
        f"EXISTS (SELECT 1 FROM json_each(request_metadata) WHERE key = ? AND ({' OR '.join(texts)}))",
        [_clean(test.key), *values],
    )


def _range(test: Range) -> Sql:
    column = test.field.column
    texts: list[str] = [f"{column} IS NOT NULL"] if test.field.nullable else []
    values: list[AnyValue] = []
    for bound, is_open, sign in ((test.low, test.low_open, ">"), (test.high, test.high_open, "<")):
        if bound is not None:
            texts.append(f"{column} {sign}{'' if is_open else '='} ?")
            values.append(_bound_value(test.field, bound))
    return "(" + (" AND ".join(texts) or "1") + ")", values


def _bound_value(field: Field, bound: float) -> float | int:
    """Whole numbers as integers: SQLite then compares exactly."""
    return int(bound) if bound.is_integer() else bound


def _literal(text: str) -> str:
    """`text` for GLOB, every character standing for itself."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _clean(text: str) -> str:
    """Without what SQLite cannot take."""
    return text.encode("utf-8", "replace").decode()


def like_pattern(needle: str) -> str:
    """A LIKE pattern for texts that contain `needle`."""
    plain = _clean(needle).replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{plain}%"
