"""The event table's columns and words, and the header's lines: pure parts, at every width."""

from __future__ import annotations

import msgspec
import pytest
from fake_api import FakeGateway, event
from rich.text import Text

from ktui.answers import EventRow, Status
from ktui.number_words import clock, duration_ms, moment, percent, request_cost, share, sum_cost
from ktui.state import AppState
from ktui.themes import default_palette
from ktui.widgets.event_columns import columns_for, cost_words, row_line, title_line, variant_words, why
from ktui.widgets.header_lines import HeaderLines, Tab, short_tags

STYLE = default_palette().style


def row(index: int = 1, **changes: object) -> EventRow:
    return msgspec.convert(event(index) | changes, EventRow, strict=False)


def state(**traffic: object) -> AppState:
    body = FakeGateway().status
    body["traffic"] |= traffic
    return AppState(status=msgspec.convert(body, Status, strict=False))


def test_the_wide_table_is_drawn_as_designed() -> None:
    columns = columns_for(120)
    line = row_line(row(1), columns, 0, STYLE, cursor=False, focus=False).plain
    assert line == (
        "  14:32:03.5  ✓ 200  gpt-4o                    ■ variant-a  2.04 s  518 ms  1,310   344  $0.00672  "
        "allow               "
    ).replace("14:32:03.5", clock(moment(event(1)["timestamp"]), tenths=True))
    assert title_line(columns, STYLE).plain.rstrip() == (
        "  time ↓      status model                     variant     latency    ttft     in   out      cost  "
        "decision, why"
    )


@pytest.mark.parametrize("width", range(60, 260))
def test_every_line_fits_and_leaves_the_last_column_empty(width: int) -> None:
    columns = columns_for(width)
    assert columns.width <= width - 1
    rows = (
        row(1),
        row(6),
        row(13),
        row(2, model="m" * 300, cost="12.5"),
        row(3, latency_ms=83_000, input_tokens=1_234_567),
        row(4, metadata={"ab_tag": "a-very-long-variant-tag"}),
    )
    for entry in rows:
        line = row_line(entry, columns, None, STYLE, cursor=True, focus=True)
        assert line.cell_len <= width - 1, line.plain


def test_columns_go_in_the_order_in_ttft_decision() -> None:
    seen = []
    for width in range(130, 80, -1):
        columns = columns_for(width)
        gone = [name for name in ("in", "ttft", "decision") if name not in columns]
        if gone != seen:
            seen = gone
            assert gone == ["in", "ttft", "decision"][: len(gone)]
    assert seen == ["in", "ttft", "decision"]


def test_a_narrow_failed_row_gives_its_room_to_the_error() -> None:
    line = row_line(
        row(1, status=529, outcome="error", error="overloaded", output_tokens=None, cost=None),
        columns_for(80),
        0,
        STYLE,
        cursor=False,
        focus=False,
    )
    assert line.plain.endswith("overloaded")
    assert "$" not in line.plain


def test_nothing_from_outside_reaches_the_terminal_raw() -> None:
    evil = "gpt\x1b[2J\u202eo\u200b\n"
    entry = row(1, model=evil, error=evil, status=500, outcome="error", metadata={"ab_tag": evil}, attempt=1)
    for width in (80, 120, 200):
        line = row_line(entry, columns_for(width), 0, STYLE, cursor=False, focus=False).plain
        assert not set("\x1b\u202e\u200b\n") & set(line)


def test_unknown_is_never_zero() -> None:
    assert cost_words(row(1, cost=None, cost_status="unpriced")) == ("unpriced", "unknown")
    assert cost_words(row(1, cost=None, usage_status="unknown")) == ("unknown", "unknown")
    assert cost_words(row(13))[0] == "-"
    assert cost_words(row(1, cost="0"))[0] == "$0.00000"


def test_why_names_the_policy_or_the_failure() -> None:
    assert why(row(0)) == ("redirect route-simple-tasks", "text")
    assert why(row(6)) == ("failed after 2 tries", "muted")
    assert why(row(13)) == ("block model-routing", "bad")
    assert why(row(8)) == ("warn deprecation-warning", "warn")
    assert why(row(1, outcome="client_cancelled", status=499))[0] == "client left"
    assert variant_words(row(0), None) == ("-", "muted")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (duration_ms(640), "640 ms"), (duration_ms(0.3), "<1 ms"), (duration_ms(0), "0 ms"), (duration_ms(999.6), "1.00 s"), (duration_ms(1_840), "1.84 s"),
        (duration_ms(9_994), "9.99 s"), (duration_ms(12_360), "12.4 s"), (duration_ms(72_000), "1 m 12 s"), (duration_ms(None), "-"),
        (percent(0.0061), "0.61 %"), (percent(0), "0 %"), (percent(0.123), "12.3 %"), (percent(1), "100 %"),
        (percent(None), "no data"), (request_cost("0.00412"), "$0.00412"), (request_cost("12.5"), "$12.50"),
        (request_cost("nonsense"), "-"), (request_cost("NaN"), "-"), (sum_cost("63.6"), "$63.60"),
        (sum_cost("12345.6"), "$12,346"), (sum_cost("0.0042"), "$0.0042"), (sum_cost("0"), "$0.00"),
        (sum_cost(None), "unpriced"), (share(94.94), "94.9"), (share(100.0), "100"), (share(None), "?"),
        (clock(moment("nonsense")), "-"), (clock(moment(None)), "-"),
    ],
)  # fmt: skip
def test_numbers_are_words(made: str, said: str) -> None:
    assert made == said


def lines_at(width: int, source: AppState) -> list[str]:
    lines = HeaderLines(object(), source)
    tabs = [Tab("1", "Live", True), Tab("2", "Policy", False, "•"), Tab("3", "Rollout", False)]
    made = [lines.identity(width, Text())[0], lines.traffic(width)[0], lines.place(width, tabs)[0]]
    assert [line.cell_len for line in made] == [width] * 3
    return [line.plain.rstrip() for line in made]


def test_the_header_at_120_is_the_one_of_the_picture() -> None:
    identity, traffic, place = lines_at(120, state())
    assert identity.startswith(" ● serving  127.0.0.1:41002    v12 3fa9c1e = file  ")
    assert identity.endswith("ab-test-models  ● running  canary 1/5")
    assert traffic.startswith(" 6.1 req/s ")
    assert "errors 0.61 %   p95 2.21 s   $1.15/min" in traffic
    assert traffic.endswith("split ■ variant-a 95.0→94.9   ◆ variant-b 5.0→5.1 %")
    assert place.startswith("▐1 Live▌ 2 Policy•  3 Rollout")
    assert "8,214,806 stored · " in place


def test_the_header_gives_things_up_in_order_and_never_the_errors() -> None:
    for width in range(200, 59, -1):
        identity, traffic, place = lines_at(width, state())
        assert "serving" in identity
        assert "v12" in identity
        assert "0.61 %" in traffic
        assert "95.0→94.9" in traffic
        assert "1 Live" in place
    assert "$1.15" not in lines_at(60, state())[1]
    assert "variant-a" not in lines_at(80, state())[1]
    assert "■ a 95.0→94.9" in lines_at(80, state())[1]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_what_must_be_seen_is_seen_at_every_width(width: int) -> None:
    source = state()
    body = FakeGateway().status
    body["config"]["file"] = {"state": "differs", "reason": "2 errors", "diagnostics": []}
    body["config"]["not_enforced"] = [
        {"policy": f"limit-{i}", "type": "cost_limit", "line": i} for i in range(3)
    ]
    body["events"]["dropped"] = {"disk_full": 3}
    body["badges"] = ["demo ×7200"]
    source.status = msgspec.convert(body, Status, strict=False)
    identity, _, place = lines_at(width, source)
    assert "≠ file: 2 errors" in identity
    assert "! 3" in identity
    assert "! 3 dropped" in place
    if width >= 120:
        assert "! 3 not enforced: limit-0, limit-1 +1" in identity


def test_no_data_is_said_and_not_zero() -> None:
    source = state(error_rate=None, latency_ms=None, cost_per_min=None, requests_per_s=0.0, unpriced=4)
    traffic = lines_at(120, source)[1]
    assert "errors no data" in traffic
    assert "p95 no data" in traffic
    assert "unpriced" in traffic
    assert "$0" not in traffic


def test_tags_lose_what_they_share() -> None:
    assert short_tags(["variant-a", "variant-b"]) == ["a", "b"]
    assert short_tags(["control", "candidate"]) == ["control", "candidate"]
    assert short_tags(["a", "ab"]) == ["a", "ab"]
    assert short_tags(["only-one"]) == ["only-one"]
    assert short_tags([]) == []
