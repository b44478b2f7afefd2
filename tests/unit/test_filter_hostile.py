"""Nothing that is written into a filter breaks it: it is refused at a place, or the store answers as memory does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from events_factory import make_event, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.base.sanitise import sanitise
from proxy.base.times import parse_moment
from proxy.events.event import Bodies, Body, Event
from proxy.events.filter import FIELDS, Expression, FilterError, matcher, parse, to_sql
from proxy.events.filter import expression as forms
from proxy.events.filter.parser import DEEPEST, MOST_VALUES
from proxy.events.sqlite_plan import plan
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery
from proxy.policy.assignment import unit_digest

NOW = 1_781_000_000_000
DAY = 86_400_000
# Wildcards of LIKE and GLOB, quotes of SQL, letters whose lower case is another letter or several.
ODD = ("A*b", "a?b", "x[1]", "]", "%", "_", "!", "!%", "o'brien", 'say "hi"', "a\\b", "--", "é", "É", "\u212a", "İ", "ſ",
       "ａ", "\u200b", "\ufe0f", "\U0010ffff", "a b", "a,b", "(a)", "null", "0", "variant-b", "x-b", "b", "")  # fmt: skip


def stored_events() -> list[Event]:
    """Some that are rich, some that know next to nothing; every odd text is somewhere."""
    found = [
        make_event(id=f"0197{number:04x}-0000-7000-8000-000000000000", timestamp_ms=NOW - number * DAY, model=text,
                   error=text or None, error_message=f"<{text}>", ab_tag=text or None, split=f"s{text}", key=text,
                   policies_triggered=[text, "p"], request_metadata={"team": text, text: "v"}, status=200 + 37 * number)
        for number, text in enumerate(ODD[:12])
    ]  # fmt: skip
    found += [
        make_event(id=f"fe{number:06x}", timestamp_ms=NOW - number, model="gpt-4o", error_message=text, ab_tag=text,
                   trace=f"{number:032x}-00", unit_kind="user", unit_digest=unit_digest("user", text), stream=True,
                   cost_nanos=None, input_tokens=None, ttft_ms=number * 100.0, quality_score=number / 20)
        for number, text in enumerate(ODD[12:])
    ]  # fmt: skip
    unit = {"units": {"user": unit_digest("user", "b")}}
    body = Bodies(Body(b"{}", 2), None)
    return [*found, make_event(id="b", facts=unit, unit_kind="key", unit_digest="0", bodies=body), make_event(id="c", target=None, provider=None, attempts=0), make_event(id="d", facts=unit), make_event(id="e", unit_kind="key", unit_digest="1", policies_triggered=[])]  # fmt: skip


EVENTS = stored_events()


class Asked:
    """The events in a store, and in memory."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def answers(self, where: Expression) -> tuple[list[str], list[str], list[str]]:
        """Ids of what fits: in memory, by the condition alone, and by the way the store would take."""
        condition, values = to_sql(where)
        plain = self._rows(f"SELECT id FROM events WHERE {condition} ORDER BY seq", values)
        return (
            [event.id for event in EVENTS if self._test(where)(event)],
            [row[0] for row in plain],
            [row[0] for row in self._planned(where)],
        )

    def _test(self, where: Expression) -> Any:
        return matcher(where)

    def _planned(self, where: Expression) -> list[Any]:
        async def rows(sql: str, values: Sequence[Any]) -> list[Any]:
            return self._rows(sql, values)

        way = ended(plan(EventQuery(where=where), 1, len(EVENTS), rows, 5))
        sql, values = way.seqs(1, len(EVENTS), True, len(EVENTS))
        return self._rows(
            f"SELECT id FROM events WHERE seq IN (SELECT seq FROM ({sql})) ORDER BY seq", values
        )

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        return self._database.execute(sql, values).fetchall()


def ended(work: Coroutine[Any, Any, Any]) -> Any:
    """What `work`, which never waits, comes to."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    place = tmp_path_factory.mktemp("asked")

    async def fill() -> None:
        store = SqliteEventStore(place / "events.db", place / "journal")
        await store.start()
        for event in EVENTS:
            # A copy: the store takes the bodies off it.
            store.append(replace(event))
        await until(lambda: store.counters().stored == len(EVENTS))
        await store.close()

    asyncio.run(fill())
    with closing(sqlite3.connect(f"file:{place / 'events.db'}?mode=ro", uri=True)) as database:
        yield Asked(database)


def depth(where: Expression) -> int:
    if isinstance(where, forms.Not):
        return 1 + depth(where.inner)
    if isinstance(where, forms.All | forms.Any):
        return 1 + max(map(depth, where.parts), default=0)
    return 1


def read(text: str, asked: Asked) -> bool:
    """Whether `text` is a filter, which is then answered alike everywhere; else its error is one that can be shown."""
    try:
        where = parse(text, NOW)
    except FilterError as error:
        # What is missing at the end is one place beyond it.
        assert 0 <= error.start < error.end <= max(len(text), error.start + 1) and error.start <= len(text)
        said = error.message
        assert said == sanitise(said) and 0 < len(said) <= 300 and f"column {error.start + 1}: {said}" == str(error)  # fmt: skip
        return False
    assert depth(where) <= 3 * DEEPEST
    in_memory, plain, planned = asked.answers(where)
    assert in_memory == plain == planned, ascii(text)
    return True


CHARACTERS = st.characters() | st.characters(categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Nd"])
NAMES = st.sampled_from([*FIELDS, "has", "since", "until", "metadata.team", "meta.A*b", "body", "metadata.", "nosuch", "ｍodel", "mоdel"])  # fmt: skip
OPERATORS = st.sampled_from(
    [":", "=", "!=", ">", ">=", "<", "<=", " : ", "==", "=>", "<>", "~", "：", "", "IN", "LIKE"]
)
NUMBERS = ("0", "-0", "1", "00200", "200", "5xx", "4XX", "6xx", "1e999", "-1e5", "0x10", "nan", "NaN", "inf", "-inf",
           "9" * 19, "9" * 20, "9" * 99 + "k", "8k", "0.5M", ".5", "5.", "1_000", "٣", "²", "$0.0035", "$", "150ms", "2s",
           "1h30m", "-1d", "1d..", "..1h", "..", "...", "1..2..3", "200..299", "299..200", "4xx..5xx", "-7d..-1d", "-1d..",
           "9" * 30 + "d", "9" * 400 + "w", "2026-06-11", "2026-06-11T14:00:00Z", "0001-01-01", "9999-12-31T23:59:59-23:59",
           "0000-00-00", "true", "FALSE", "ＴＲＵＥ", "01970001", "fe", "model")  # fmt: skip
QUOTED = st.tuples(st.sampled_from("\"'`"), st.sampled_from(ODD) | st.text(CHARACTERS, max_size=6)).map(lambda pair: pair[0] + pair[1] + pair[0])  # fmt: skip
PATTERNS = st.text(st.sampled_from("ab*?[]x1-%_!é\u212a\U0010ffff"), min_size=1, max_size=5)
VALUES = st.sampled_from(NUMBERS) | st.sampled_from(ODD) | QUOTED | PATTERNS | NAMES
LISTS = st.lists(VALUES, min_size=1, max_size=3).map(",".join)
TERMS = st.tuples(NAMES, OPERATORS, LISTS).map("".join)
GLUE = st.sampled_from([" and ", " or ", " not ", " AND NOT ", " || ", " && ", "!", "(", ")", " ", ",", "\\", "\t\n", "\0", "\ud800", "\u00a0", ";", "--", "/*"])  # fmt: skip
SENTENCES = st.recursive(
    TERMS | VALUES,
    lambda inner: (
        st.tuples(st.sampled_from(["not ", "!", "("]), inner).map(lambda pair: pair[0] + pair[1] + ")" * (pair[0] == "("))
        | st.tuples(inner, st.sampled_from([" and ", " or ", " "]), inner).map("".join)
    ),
    max_leaves=5,
)  # fmt: skip
TOKENS = st.lists(TERMS | VALUES | GLUE | OPERATORS, max_size=8).map("".join)
FUZZ = 500
FUZZED = settings(
    max_examples=FUZZ, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZED
@given(st.text(CHARACTERS, max_size=50))
def test_any_text_at_all(asked: Asked, text: str) -> None:
    read(text, asked)


@FUZZED
@given(TOKENS)
def test_what_is_made_of_its_own_words(asked: Asked, text: str) -> None:
    read(text, asked)


def test_what_has_its_own_form(asked: Asked) -> None:
    understood = []

    @FUZZED
    @given(SENTENCES)
    def look(text: str) -> None:
        understood.append(read(text, asked))

    look()
    # Else nearly all of it would be refused, and the store hardly asked.
    assert sum(understood) > len(understood) / 10


def nearly(text: str) -> set[str]:
    """`text` and patterns that are it, or all but it."""
    return {text, f'"{text}"', f"*{text[1:]}", f"{text[:-1]}?", f"{text}*", f"*{text}*", f"?{text}", f"*{text[1:]}?", f"*{text[-1:]}*{text[-1:]}", f"{text[:1]}*z"}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["model", "variant", "error", "key", "policy", "split", "metadata.team", "trace", "user", ""]
)
def test_what_nearly_fits(asked: Asked, name: str) -> None:
    understood = [
        read(f"{name}:{near}" if name else near, asked) for text in ODD for near in sorted(nearly(text))
    ]
    assert sum(understood) > len(understood) / 2


@pytest.mark.parametrize("name", [*FIELDS, "body"])
def test_what_is_known(asked: Asked, name: str) -> None:
    assert read(f"has:{name}", asked) and read(f"not has:{name} or has:{name},cost", asked)


def nested(levels: int, *around: str) -> str:
    text = "model:b"
    for level in range(levels):
        text = around[level % len(around)].format(text)
    return text


WRAPPERS = [
    ("({})",), ("not {}",), ("!{}",), ("(a and {})", "(a or {})"), ("({} and a)", "({} or a)"), ("not (a or {})",),
    ("not (metadata.x:a* and {})", "(policy:x* or {})"), ("(status:5xx or {})", "(user:x and {})"),
    ("has:body ({})", "(time>=2020-01-01 or not {})"),
]  # fmt: skip


@pytest.mark.parametrize("around", WRAPPERS)
def test_how_deep_it_may_go_the_store_can_go(asked: Asked, around: tuple[str, ...]) -> None:
    understood = [read(nested(levels, *around), asked) for levels in (*range(2 * DEEPEST), 300)]
    assert understood[: DEEPEST // 2] == [True] * (DEEPEST // 2) and not understood[-1]
    widest = "variant:" + ",".join(["b"] * (MOST_VALUES - 20))
    assert read(nested(DEEPEST // 2, *around).replace("model:b", widest), asked)


LISTED = ("model:{}", "model!=a,{}", "id:{}", "variant:{}", "status:{}", "has:{}", "policy:{}", "user:{}", "metadata.team:{}",
          "trace:{}", "model:b or not (key:{})", "key:q2 metadata.team:{}")  # fmt: skip


@pytest.mark.parametrize("around", LISTED)
def test_how_many_values_it_may_have_the_store_can_take(asked: Asked, around: str) -> None:
    for value in {"has:{}": ["id", "cost"], "status:{}": ["200", "5xx", "1.."]}.get(around, ["b", "b*", "?"]):
        most = around.format(",".join([value] * (MOST_VALUES - 2)))
        assert read(most, asked) or len(most) > 4_000
        assert not read(around.format(",".join([value] * (MOST_VALUES + 1))), asked)
        assert not read(around.format(",".join([value] * 1_300)), asked)
    apart = " or ".join([around.format("1" if "status" in around else "id")] * 30)
    assert read(apart, asked)


@pytest.mark.parametrize(
    "piece",
    ["a", "(", ")", "not ", "!", "a or ", "a and ", "model:a,", "metadata.a", "9", "*", "?", "[", "%", "'", '"', "\\", "'\\", "-1d..", ".",
     " ", "\0", "\ud800", "\U0010ffff", "model:", ":", "=", "has:id ", "status:1..", "1h", "-9d"],
)  # fmt: skip
def test_it_may_be_endless(asked: Asked, piece: str) -> None:
    for length in (3_999, 4_000, 4_001, 100_000):
        for head in ("", "model:", "since:", "latency>", "id:", "(not metadata."):
            understood = read((head + piece * length)[:length], asked)
            assert not understood or length <= 4_000


@pytest.mark.parametrize("text", ["9" * 19 + "d", "9" * 400 + "w", "1w" * 300_000, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])  # fmt: skip
def test_a_moment_is_one_that_can_be_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"not within the years|not a time"):
        parse_moment(text, NOW)


@pytest.mark.parametrize("text", ["\ud800", "\udfff*", "model:\ufffe", "'\uffff'", "metadata.\ud912:x"])
def test_what_sqlite_cannot_tell_apart_is_not_looked_for(text: str) -> None:
    with pytest.raises(FilterError, match=r"cannot have the character U\+"):
        parse(text, NOW)


@pytest.mark.parametrize("text", ["metadata.\x1b[31m:", "metadata.\u3164\u202e=", "nosuch.\ufe0f:x", "\u3164:", "latency>\ufe0f", "time>\u3164"])  # fmt: skip
def test_what_an_error_repeats_no_terminal_acts_on(asked: Asked, text: str) -> None:
    assert not read(text, asked) or text == "\u3164:"
