"""Charts: the canvas is exact, lines may cross, gaps stay gaps, labels and marks stand where they belong."""

from __future__ import annotations

import pytest

from ktui.answers import Line, Marker, Series
from ktui.glyphs import to_ascii, wants_ascii
from ktui.widgets.canvas import braille, dots
from ktui.widgets.chart import GUTTER, Plot, arm_look, paint
from ktui.widgets.chart_lines import trimmed
from ktui.widgets.sparkline import spark


def test_a_rising_line_is_drawn_dot_by_dot() -> None:
    assert braille([0, 1, 2, 3], 2, 1, 0, 3) == ["⡠⠊"]


def test_the_whole_height_is_used() -> None:
    rows = braille([0, 10], 10, 3, 0, 10)
    assert len(rows) == 3
    assert all(len(line) == 10 for line in rows)
    assert rows[0].rstrip() and rows[2].strip()


def test_a_canvas_is_not_limited_by_the_terminal() -> None:
    assert [len(line) for line in braille([1, 2, 3], 300, 2, 0, 4)] == [300, 300]


def test_a_gap_stays_a_gap() -> None:
    line = braille([5, 5, None, None, None, 5, 5], 14, 1, 0, 10)[0]
    assert "    " in line.strip()


def test_a_steep_line_has_no_holes() -> None:
    xs, ys = dots([0, 0, 100, 0, 0], 20, 40, 0, 100)
    for (x1, y1), (x2, y2) in zip(zip(xs, ys, strict=True), list(zip(xs, ys, strict=True))[1:], strict=False):
        assert abs(x1 - x2) <= 1
        assert abs(y1 - y2) <= 1


@pytest.mark.parametrize("values", [[], [None], [None, None]])
def test_nothing_known_draws_nothing(values: list[float | None]) -> None:
    assert braille(values, 4, 2, 0, 1) == ["    ", "    "]


def plot(a: list[float | None], b: list[float | None], markers: tuple[Marker, ...] = ()) -> Plot:
    times = tuple(float(1_000 + 10 * i) for i in range(max(len(a), len(b))))
    lines = (Line("variant-a", "s", tuple(a)), Line("variant-b", "s", tuple(b)))
    series = Series("latency_p95", "ms", 10, times, lines, markers)
    return Plot(series, (arm_look(0), arm_look(1)), lambda v: f"{v:.0f} ms", lambda t: f"t{t:.0f}")


def text(cells: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(character for character, _ in row) for row in cells]


def test_each_line_ends_with_the_glyph_of_its_variant_in_its_colour() -> None:
    cells = paint(plot([1, 2, 9], [9, 5, 1]), 60, 9)
    assert cells is not None
    ends = {row[58]: y for y, row in enumerate(cells) if row[58][0] in "■◆"}
    assert ends[("■", "control")] < ends[("◆", "challenger")]


def test_ends_that_meet_are_both_seen() -> None:
    cells = paint(plot([1, 5, 5], [9, 5, 5]), 60, 9)
    assert cells is not None
    assert {row[58][0] for row in cells} >= {"■", "◆"}


def test_labels_axis_and_marks() -> None:
    marks = (Marker(1_450.0, "v12"), Marker(99.0, "v1"))
    cells = paint(plot([100.0] * 90, [200.0] * 90, marks), 60, 9)
    assert cells is not None
    rows = text(cells)
    assert len(rows) == 9
    assert rows[0].startswith(" 198 ms ")
    assert rows[6].strip() == ""
    assert set(rows[7].strip()) == {"─"}
    assert rows[8][GUTTER:].startswith("t1000")
    assert rows[8].rstrip().endswith("t1890")
    assert "╵ v12" in rows[8]
    assert "v1 " not in rows[8].replace("v12", "")
    middle = rows[8].index("╵") - GUTTER
    assert abs(middle - 25) <= 1


def test_no_data_and_no_room_paint_nothing() -> None:
    assert paint(plot([None], [None]), 60, 9) is None
    assert paint(plot([1, 2], [2, 1]), 12, 9) is None
    assert paint(plot([1, 2], [2, 1]), 60, 4) is None


def test_a_flat_line_and_a_single_point_are_drawn() -> None:
    for values in ([5.0], [5.0, 5.0], [0.0, 0.0]):
        cells = paint(plot(list(values), [None]), 40, 9)
        assert cells is not None
        assert "■" in "".join(text(cells))


def test_a_young_gateway_fills_its_chart() -> None:
    def shown(known_points: int) -> tuple[int, str]:
        values: tuple[float | None, ...] = (*[None] * (90 - known_points), *[1.0] * known_points)
        times = tuple(float(10 * i) for i in range(90))
        series, name = trimmed(Series("cost_per_1k", "$", 10, times, (Line("a", None, values),)))
        assert len(series.times) == len(series.series[0].values)
        return len(series.times), name

    assert shown(3) == (12, "2 min")
    assert shown(12) == (12, "2 min")
    assert shown(13) == (30, "5 min")
    assert shown(31) == (90, "15 min")
    assert shown(0) == (90, "15 min")


def test_sparklines() -> None:
    assert spark([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert spark([1, None, 8], 3) == "▁ █"
    assert spark([3, 3, 3], 3) == "▄▄▄"
    assert spark([], 4) == "    "
    assert spark([5, 5], 4) == "  ▄▄"
    assert spark([0, 0, 0], 3, from_zero=True) == "▁▁▁"
    assert len(spark(list(range(100)), 7)) == 7


def test_ascii_swaps_cell_for_cell() -> None:
    line = "● ■ a ▁▂▃ ≠ ━━ ⣀⠔ … → é"
    assert len(to_ascii(line)) == len(line)
    assert to_ascii(line) == "* A a _.- # == ** > > é"
    assert wants_ascii({"TERM": "linux", "LANG": "en_US.UTF-8"})
    assert wants_ascii({"TERM": "xterm", "LANG": "de_DE.ISO-8859-1"})
    assert not wants_ascii({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"})
