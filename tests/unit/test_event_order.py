"""Columns of the event table and rows in another order: pure parts."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ktui.answers import Bodies, Body, EventRow, Try
from ktui.column_registry import BY_ID, DEFAULTS, KINDS, chosen, cost_per_1k, tokens_per_s
from ktui.event_details import body_lines, details
from ktui.event_sort import Order, SortedRows, in_order, next_order, picked
from ktui.themes import default_palette
from ktui.waterfall import bar, spans
from ktui.widgets.event_columns import columns_for, row_line, title_line

STYLE = default_palette().style
EVIL = "a\x1b[2J\u202e\n"


def row(seq: int, **more: object) -> EventRow:
    return EventRow(id=f"id-{seq}", timestamp="2026-06-11T14:32:07Z", seq=seq, **more)  # type: ignore[arg-type]


def full(seq: int = 1) -> EventRow:
    return row(
        seq, model=EVIL, requested_model=EVIL, upstream_model=EVIL, provider=EVIL, target=EVIL, decision="allow", status=200,
        latency_ms=1_000.0, ttft_ms=200.0, overhead_us=1_500.0, cost="0.002", cost_status="priced", usage_status="reported",
        input_tokens=600, output_tokens=400, cached_tokens=100, reasoning_tokens=50, policies_triggered=(EVIL, "b"),
        severity=EVIL, attempts=2, stream=True, key=EVIL, endpoint=EVIL, config_version=EVIL * 3, finish_reason=EVIL,
        quality_score=0.5, metadata={"ab_tag": EVIL, "experiment": EVIL, "phase": EVIL, "unit_kind": EVIL},
    )  # fmt: skip


@given(
    st.lists(st.sampled_from([kind.id for kind in KINDS]), unique=True, min_size=1),
    st.integers(min_value=60, max_value=320),
)
def test_any_choice_fits_any_width_and_what_does_not_is_named(wanted: list[str], width: int) -> None:
    columns = columns_for(width, wanted)
    shown = [column.name for column in columns.columns]
    assert columns.width <= width - 1
    assert shown == [name for name in wanted if name in shown], "the order is the reader's"
    assert sorted([*shown, *columns.left_out]) == sorted(wanted)
    for entry in (full(), row(2), row(3, status=500, error=EVIL, outcome="error")):
        line = row_line(entry, columns, None, STYLE, cursor=False, focus=False)
        assert line.cell_len <= width - 1
        assert not set("\x1b\u202e\n") & set(line.plain)
    for name in shown:
        title = title_line(columns, STYLE, name, up=True)
        assert title.cell_len <= width and "↑" in title.plain


def test_a_wide_table_shows_everything_that_was_chosen() -> None:
    wanted = (*DEFAULTS, "key", "rate", "per_1k")
    columns = columns_for(200, wanted)
    assert not columns.left_out
    line = row_line(full(), columns, 0, STYLE, cursor=False, focus=False).plain
    assert "500.0" in line and "$0.00200" in line
    assert columns_for(200, ("no-such",)).columns[0].name == "time"
    assert chosen(("key", "key", "no-such")) == ("key",)


def test_a_click_finds_the_column_it_points_at() -> None:
    columns = columns_for(120)
    title = title_line(columns, STYLE).plain
    for name in ("status", "variant", "ttft", "cost"):
        column = columns.at(title.index(name))
        assert column is not None and column.name == name
    assert columns.at(119) is None


def test_a_failed_row_keeps_the_figures_it_has() -> None:
    failed = row(
        1,
        model="m",
        status=500,
        outcome="error",
        error="timeout",
        latency_ms=5.0,
        cost="0.1",
        output_tokens=7,
    )
    wanted = ("time", "model", "latency", "ttft", "reasoning", "out", "cost")
    line = row_line(failed, columns_for(90, wanted), None, STYLE, cursor=False, focus=False).plain
    assert "timeout" in line and "$0.10" in line and line.index("timeout") < line.index("$0.10")


@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=False)), max_size=30),
    st.booleans(),
)
def test_an_order_keeps_every_row_and_puts_the_unknown_last(values: list[float | None], other: bool) -> None:
    rows = [row(seq, latency_ms=value) for seq, value in enumerate(values)]
    order = Order("latency", other)
    done = in_order(rows, order)
    assert sorted(item.seq for item in done) == list(range(len(rows)))
    known = [
        item.latency_ms for item in done if item.latency_ms is not None and item.latency_ms == item.latency_ms
    ]
    assert known == sorted(known, reverse=not other)
    assert all(item.latency_ms is not None for item in done[: len(known)])
    view = SortedRows(rows, order)
    for place in range(len(view)):
        assert view.place_of(view[place].seq) == place
    assert view.place_of(10_000) == (0 if rows else -1)


def test_the_page_lists_every_column() -> None:
    page = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"| {kind.title} | {kind.doc} |" in page


def test_every_column_can_be_sorted_by() -> None:
    rows = [full(1), row(2), full(3)]
    for kind in KINDS:
        for other in (False, True):
            assert len(in_order(rows, Order(kind.id, other))) == 3
            assert Order(kind.id, other).words


def test_s_goes_on_and_a_second_click_turns_round() -> None:
    order = Order()
    assert order.by_time and order.grows_down
    order = next_order(order, ["time", "status", "latency"])
    assert order == Order("status")
    order = next_order(order, ["time", "status", "latency"])
    assert order.words == "latency, largest first" and not order.grows_down
    assert picked(order, "latency").words == "latency, smallest first"
    assert next_order(order, ["time", "status", "latency"]).by_time
    assert next_order(order, ["cost"]) == Order("cost")
    assert picked(Order(), "model").words == "model, first name first"
    assert not Order("time", True).by_time


def test_derived_figures_are_unknown_rather_than_wrong() -> None:
    assert tokens_per_s(full()) == 500.0
    assert str(cost_per_1k(full())) == "0.002"
    assert cost_per_1k(row(1, cost="0.1", cost_status="priced", input_tokens=3)) is None
    assert cost_per_1k(row(1, cost="x", cost_status="priced", input_tokens=3, output_tokens=1)) is None
    assert tokens_per_s(row(1, output_tokens=0, latency_ms=5.0)) is None
    assert tokens_per_s(row(1, output_tokens=5, latency_ms=5.0, ttft_ms=5.0)) is None
    assert BY_ID["rate"].words(row(1), None) == ("-", "muted")


def test_the_waterfall_follows_what_was_recorded() -> None:
    made = spans(full())
    assert [(span.label, span.start, span.length) for span in made] == [
        ("queue, policies", 0.0, 1.5),
        ("first token", 1.5, 198.5),
        ("stream", 200.0, 800.0),
    ]
    tried = spans(full(), (Try("a", "m", 503, "bad", 100.0, "status"), Try("b", "m", 200, None, 90.0, None)))
    assert [(span.label, span.start) for span in tried] == [
        ("queue, policies", 0.0),
        ("try 1", 1.5),
        ("try 2", 101.5),
        ("first token", 101.5),
        ("stream", 200.0),
    ]
    waited = spans(
        full(), (Try("a", "m", 503, None, 50.0, "status", 2.0), Try("b", "m", 200, None, 90.0, None, 150.0))
    )
    assert [(span.label, span.start, span.length) for span in waited][1:4] == [
        ("try 1", 2.0, 50.0),
        ("wait", 52.0, 98.0),
        ("try 2", 150.0, 90.0),
    ]
    unknown = spans(row(1, latency_ms=10.0, attempts=1))
    assert unknown[0].length is None and unknown[0].told == "not recorded"
    assert unknown[1].length == 10.0
    refused = spans(row(1, latency_ms=2.0, attempts=0, status=403))
    assert refused[0].told == "answered here, nothing went upstream"


@given(
    st.floats(min_value=0, max_value=1e7), st.floats(min_value=0, max_value=1e7),
    st.floats(min_value=0, max_value=1e7), st.integers(min_value=1, max_value=200),
)  # fmt: skip
def test_a_bar_never_leaves_its_room(start: float, length: float, whole: float, width: int) -> None:
    item = spans(row(1, latency_ms=length, attempts=1, overhead_us=start * 1_000))[0]
    before, cells = bar(item, whole, width)
    assert before >= 0 and cells >= 0 and before + cells <= width


def test_bodies_are_shown_or_it_is_said_why_not() -> None:
    kept = Bodies(Body(20, True, "application/json", 'a\x1b[2J"\nb\tc'), Body(3, False, None, None, "AAAA"))
    text = "\n".join(line.plain for line in body_lines(kept, "", STYLE, 60))
    assert "request 20 bytes" in text and "only its beginning was kept" in text and "not text" in text
    assert "\x1b" not in text and "\t" not in text and "\nb   c" in text
    assert "none was kept" in "\n".join(line.plain for line in body_lines(Bodies(), "", STYLE, 60))
    assert body_lines(None, "not kept: bodies are off", STYLE, 60)[-1].plain == "not kept: bodies are off"
    long = Bodies(Body(10, False, None, "x\n" * 500))
    lines = body_lines(long, "", STYLE, 60)
    assert len(lines) < 80 and any("left out here" in line.plain for line in lines)


def test_details_say_unknown_and_never_zero() -> None:
    asked = row(
        1, model="m", status=200, usage_status="unknown", cost_status="unpriced", latency_ms=5.0, attempts=1
    )
    text = "\n".join(line.plain for line in details(asked, None, STYLE, 90))
    assert "in unknown" in text and "out unknown" in text and "cost unpriced" in text
    assert "price the model has no price" in text and "not recorded" in text
    assert "parameters dropped none" in text and "policies in order none acted" in text
    refused = row(
        1,
        status=403,
        decision="block",
        policies_triggered=("guard",),
        attempts=0,
        latency_ms=2.0,
        usage_status="none",
    )
    text = "\n".join(line.plain for line in details(refused, None, STYLE, 90))
    assert "nothing went upstream" in text and "block guard" in text and "1 guard" in text
