"""The filter language: what it means, in SQL and in memory alike, and how it says what is wrong."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.events.codec import FIELDS as COLUMNS
from proxy.events.codec import to_row
from proxy.events.event import Event
from proxy.events.filter import FIELDS, FilterError, bounds, matcher, parse, to_sql
from proxy.events.filter.fields import ALL
from proxy.policy.assignment import unit_digest

NOW = 1_781_000_000_000
DAY = 86_400_000


def event(**changes: Any) -> Event:
    base = Event(
        id="01976b2e-0000-7000-8000-000000000001", timestamp_ms=NOW - 1000, endpoint="chat",
        requested_model="gpt-4o", model="gpt-4o", decision="allow", status=200, outcome="ok", latency_ms=812.0,
        provider="openai", target="openai", input_tokens=120, output_tokens=40, usage_status="reported",
        cost_nanos=4_120_000, cost_status="priced", policies_triggered=["ab-test-models"], split="ab-test-models",
        ab_tag="variant-a", phase="canary", unit_kind="user", unit_digest=unit_digest("user", "u-1"),
        config_version="3fa9c1e" + "0" * 57, attempts=1, key="team-search", request_metadata={"team": "blue"},
    )  # fmt: skip
    return replace(base, **changes)


def meets(text: str, subject: Event) -> bool:
    """Both ways of asking; they must agree."""
    expression = parse(text, NOW)
    in_memory = matcher(expression)(subject)
    condition, values = to_sql(expression)
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE events ({', '.join(COLUMNS)})")
    connection.execute(f"INSERT INTO events VALUES ({', '.join('?' * len(COLUMNS))})", to_row(subject))
    found = connection.execute(f"SELECT count(*) FROM events WHERE {condition}", values).fetchone()[0]
    connection.close()
    assert in_memory == bool(found), (text, condition, values)
    return in_memory


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model:gpt-4o",
        "model:gpt-4*,claude-*",
        "model:claude-*,gpt-4o",
        "variant:a",
        "variant:variant-a",
        "tag:variant-?",
        "status:2xx",
        "status:200",
        "status:200..299",
        "status<4xx",
        "status!=5xx",
        "latency>800ms",
        "latency<=0.812s",
        "latency:1ms..1s",
        "latency>811",
        "cost>=0.004",
        "cost:$0.00412",
        "prompt_tokens<8k",
        "input_tokens:120",
        "policy:ab-test-models",
        "policy:ab-*",
        "user:u-1",
        "key:team-search",
        "phase:canary version:3fa9c1e",
        "has:cost not has:error",
        "-1h..",
        "-1d..-0s",
        "since:1h",
        "time>=2026-06-01 and time<2027-01-01",
        "stream:false",
        "attempts:1",
        "id:01976b2e",
        "not error:timeout",
        "not (status:5xx or status:4xx)",
        "nothing or VARIANT",
        "'ab-test'",
        "metadata.team:blue",
        "meta.team:b*",
        "metadata.team!=red",
        "NOT status:5xx AND model:gpt-4o",
        "status:500 or model:gpt-4o and variant:a",
        "! status:500",
    ],
)
def test_what_holds(text: str) -> None:
    assert meets(text, event())


@pytest.mark.parametrize(
    "text",
    [
        "model:gpt",
        "model:GPT-4o",
        'model:"gpt-4*"',
        "variant:b",
        "variant:ant-a",
        "status:5xx",
        "status>2xx",
        "latency>2s",
        "cost>0.00412",
        "has:error",
        "ttft>0",
        "not has:model",
        "ttft<1h",
        "user:u-2",
        "version:4",
        "-7d..-1d",
        "until:1h",
        "policy:ab",
        "timeout",
        "metadata.team:red",
        "metadata.other:*",
        "status:500 or model:x and variant:a",
    ],
)
def test_what_does_not_hold(text: str) -> None:
    assert not meets(text, event())


def test_an_unknown_figure_meets_no_bound_and_its_negation_does() -> None:
    unknown = event(cost_nanos=None, cost_status="unpriced", input_tokens=None)
    assert not meets("cost<1", unknown) and not meets("cost>=0", unknown) and meets("not cost<1", unknown)
    assert not meets("input_tokens:0", unknown)


def test_a_user_is_found_when_the_variant_was_chosen_by_something_else() -> None:
    other = event(
        unit_kind="safety_identifier",
        unit_digest=unit_digest("safety_identifier", "s"),
        facts={"units": {"user": unit_digest("user", "u-9")}},
    )
    assert meets("user:u-9", other) and not meets("user:s", other)


@pytest.mark.parametrize(
    ("text", "start", "end", "part"),
    [
        ("modl:gpt-4o", 0, 4, "did you mean model?"),
        ("a and nosuch>3", 6, 12, "no field 'nosuch'"),
        ("latency>fast", 8, 12, "a span such as"),
        ("prompt_tokens>8kb", 14, 17, "8k"),
        ("model>gpt", 6, 9, "not a number"),
        ("(status:5xx", 0, 1, "not closed"),
        ("status:5xx)", 10, 11, "closes nothing"),
        ("status:", 0, 7, "needs a value"),
        ("model:'x", 6, 8, "not closed"),
        ("a or", 2, 4, "or needs a term"),
        ("or a", 0, 2, "or needs a term before it"),
        ("not", 0, 3, "not needs a term"),
        ("has:nothing", 4, 11, "no field"),
        ("stream:maybe", 7, 12, "true or false"),
        ("time>=yesterday", 6, 15, "not a time"),
        ("status:abc", 7, 10, "5xx"),
        ("a , b", 2, 3, "no meaning"),
        ("model:" + "*a" * 5, 6, 16, "stars"),
        ("()", 1, 2, "term is missing"),
        ("''", 0, 2, "in everything"),
        ("cost>" + "9" * 20, 5, 25, "dollars"),
        ("model:'a\0b'", 8, 9, "NUL"),
    ],
)
def test_an_error_says_where(text: str, start: int, end: int, part: str) -> None:
    with pytest.raises(FilterError) as raised:
        parse(text, NOW)
    assert (raised.value.start, raised.value.end) == (start, end), raised.value
    assert part in str(raised.value) and f"column {start + 1}:" in str(raised.value)


def test_bounds_are_those_of_the_whole_filter_only() -> None:
    assert bounds(parse("-7d..-1d model:x", NOW)) == (NOW - 7 * DAY, NOW - DAY)
    assert bounds(parse("model:x", NOW)) == (None, None)
    assert bounds(parse("-7d.. or model:x", NOW)) == (None, None)
    assert bounds(parse("not -7d..", NOW)) == (None, None)
    assert bounds(parse("since:1h (until:1m model:x)", NOW)) == (NOW - 3_600_000, NOW - 60_000)


@pytest.mark.parametrize("field", ALL, ids=lambda field: field.name)
def test_every_field_can_be_asked_by_every_name_and_its_example_is_read(field: Any) -> None:
    meets(field.example, event())
    assert any(field.example.startswith(name) for name in (field.name, *field.aliases))
    for name in (field.name, *field.aliases):
        assert FIELDS[name] is field
        if field.nullable:
            assert meets(f"has:{name}", event()) == (getattr(event(), field.column) is not None)


TEXTS = st.sampled_from(
    ["gpt-4o", "gpt-4o-mini", "variant-a", "b", "x[1]", "é", "A*b", "", "timeout", "Grüße", "a-b-c"]
)
EVENTS = st.builds(
    event,
    model=TEXTS, error=st.none() | TEXTS, error_message=st.none() | TEXTS, ab_tag=st.none() | TEXTS,
    key=st.none() | TEXTS, status=st.sampled_from([200, 400, 429, 499, 500, 529]),
    latency_ms=st.sampled_from([0.0, 0.5, 812.0, 2000.0]), ttft_ms=st.none() | st.sampled_from([0.0, 800.0]),
    cost_nanos=st.none() | st.integers(0, 10**8), input_tokens=st.none() | st.integers(0, 10_000),
    stream=st.booleans(), policies_triggered=st.lists(TEXTS, max_size=3),
    request_metadata=st.dictionaries(st.sampled_from(["team", "a.b"]), TEXTS, max_size=2),
    timestamp_ms=st.sampled_from([NOW, NOW - DAY, NOW - 3 * DAY]),
)  # fmt: skip
PATTERNS = st.text(st.sampled_from("gpt4o-ab*?[]xé"), min_size=1, max_size=8).filter(
    lambda t: t.count("*") < 5
)
VALUES = st.one_of(PATTERNS, TEXTS.filter(bool).map(lambda text: '"' + text + '"'))
TERMS = st.one_of(
    st.tuples(st.sampled_from(["model", "variant", "error", "key", "policy", "metadata.team"]), VALUES).map(
        lambda pair: f"{pair[0]}:{pair[1]}"
    ),
    st.sampled_from(
        ["status:5xx", "status:4xx..", "status>=429", "latency>2s", "latency<1ms", "ttft<=800ms", "cost>0.01",
         "cost<0.05", "prompt_tokens>8k", "has:cost", "has:error", "stream:true", "-2d..", "..-1d", "timeout"]
    ).filter(lambda text: text != "status:4xx.."),
)  # fmt: skip
FILTERS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        inner.map(lambda text: f"not ({text})"),
        st.tuples(inner, st.sampled_from([" and ", " or ", " "]), inner).map(lambda parts: f"({''.join(parts)})"),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(FILTERS, EVENTS)
def test_the_store_and_memory_agree(text: str, subject: Event) -> None:
    meets(text, subject)


@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=60)
    | st.text(st.sampled_from("modelstatus:=<>()'\"\\*?., -0123456789andornot!|&"), max_size=60)
)
def test_any_text_is_read_or_refused_at_a_place(text: str) -> None:
    try:
        expression = parse(text, NOW)
    except FilterError as error:
        assert 0 <= error.start <= len(text) and error.start < error.end <= max(len(text), error.start + 1)
    else:
        # SQLite takes the condition, and memory says the same.
        meets(text, event())
        assert len(repr(expression)) < 1_000 * (len(text) + 1)


@pytest.mark.parametrize(
    "hostile",
    ["x'; DROP TABLE events; --", "' OR 1=1 --", "1) OR (1=1", "model' UNION SELECT 1 --"],
)
def test_a_value_is_never_part_of_the_sql(hostile: str) -> None:
    quoted = hostile.replace("\\", "\\\\").replace('"', '\\"')
    condition, values = to_sql(parse(f'model:"{quoted}" or "{quoted}"', NOW))
    assert hostile not in condition and hostile in values
    assert not meets(f'model:"{quoted}"', event())


def test_too_much_is_refused() -> None:
    for text in ("(" * 40 + "a" + ")" * 40, "a " * 200, "a" * 5000, "not " * 40 + "a"):
        with pytest.raises(FilterError):
            parse(text, NOW)
