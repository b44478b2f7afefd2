"""Rows of a unified diff: line numbers on both sides, what changed within a line, two columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ktui.unified import DiffRow, counts, rows_of, side_by_side
from proxy.policy.difference import unified

BEFORE = "a: 1\nb: 2\nc: {weight: 95, tag: x}\nd: 4\n"
AFTER = "a: 1\nb: 2\nc: {weight: 88.5, tag: x}\nd: 4\ne: 5\n"


def test_line_numbers_count_on_both_sides() -> None:
    rows = rows_of(unified(BEFORE, AFTER))
    assert [(row.kind, row.before, row.after) for row in rows] == [
        ("same", 1, 1),
        ("same", 2, 2),
        ("gone", 3, None),
        ("new", None, 3),
        ("same", 4, 4),
        ("new", None, 5),
    ]
    assert counts(rows) == (2, 1)


def test_a_changed_line_says_which_words_differ() -> None:
    rows = rows_of(unified(BEFORE, AFTER))
    gone, new = rows[2], rows[3]
    assert gone.changed is not None and new.changed is not None
    assert gone.text[slice(*gone.changed)] == "95"
    assert new.text[slice(*new.changed)] == "88.5"
    grown = rows_of(unified("weight: 5, tag: b\n", "weight: 15, tag: b\n"))
    assert [row.text[slice(*row.changed)] for row in grown if row.changed] == ["5", "15"]


def test_lines_left_out_are_a_gap() -> None:
    text = "".join(f"line {number}\n" for number in range(40))
    rows = rows_of(
        unified(text, text.replace("line 2\n", "line two\n").replace("line 30\n", "line thirty\n"))
    )
    assert [row.kind for row in rows].count("gap") == 1
    assert rows[-1].after == 34


def test_a_line_that_went_stands_beside_the_one_in_its_place() -> None:
    pairs = side_by_side(rows_of(unified(BEFORE, AFTER)))
    assert [(a and a.text, b and b.text) for a, b in pairs if a is not b] == [
        ("c: {weight: 95, tag: x}", "c: {weight: 88.5, tag: x}"),
        (None, "e: 5"),
    ]


LINES = st.lists(st.text("ab:- @+\\\x0c\u2028", max_size=6), max_size=12).map(
    lambda lines: "".join(f"{line}\n" for line in lines)
)


@given(LINES, LINES)
def test_both_sides_can_be_read_back(before: str, after: str) -> None:
    rows = rows_of(_unified_by_line_feed(before, after))

    def side(number: str, text: str) -> None:
        lines = text.split("\n")
        for row in rows:
            place = getattr(row, number)
            if place is not None:
                assert row.text == lines[place - 1]

    side("before", before)
    side("after", after)
    pairs = side_by_side(rows)
    left = [row for pair in pairs if (row := pair[0]) is not None and row.kind != "gap"]
    assert left == [row for row in rows if row.kind in ("same", "gone")]
    right = [row for pair in pairs if (row := pair[1]) is not None and row.kind != "gap"]
    assert right == [row for row in rows if row.kind in ("same", "new")]


def _unified_by_line_feed(before: str, after: str) -> str:
    import difflib

    a, b = (text.split("\n")[:-1] for text in (before, after))
    return "".join(f"{line}\n" for line in difflib.unified_diff(a, b, "a", "b", lineterm=""))


def test_what_is_no_diff_has_no_rows() -> None:
    assert rows_of("") == []
    assert rows_of("hello\nworld\n") == []
    assert DiffRow("gap") not in rows_of("@@ nonsense")
