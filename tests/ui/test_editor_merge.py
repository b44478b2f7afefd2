"""The three-way merge: laws that hold for all texts, and a few cases by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ktui.editor.merge import MARK_BASE, MARK_MIDDLE, MARK_MINE, MARK_THEIRS, merge

lines = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n", "\n", "ä \r\n"]), max_size=12)
texts = st.builds(lambda body, last: "".join(body) + last, lines, st.sampled_from(["", "end", "a"]))


@given(texts, texts)
def test_what_only_they_changed_is_theirs(base: str, theirs: str) -> None:
    merged = merge(base, base, theirs)
    assert merged.text == theirs and merged.conflicts == 0


@given(texts, texts)
def test_what_only_i_changed_is_mine(base: str, mine: str) -> None:
    merged = merge(base, mine, base)
    assert merged.text == mine and merged.conflicts == 0


@given(texts, texts)
def test_the_same_change_is_no_conflict(base: str, both: str) -> None:
    merged = merge(base, both, both)
    assert merged.text == both and merged.conflicts == 0


@given(texts, texts, texts)
def test_the_stretches_are_the_three_texts(base: str, mine: str, theirs: str) -> None:
    chunks = merge(base, mine, theirs).chunks
    for name, text in (("base", base), ("mine", mine), ("theirs", theirs)):
        assert "".join(line for chunk in chunks for line in getattr(chunk, name)) == text


@given(texts, texts, texts)
def test_sides_change_places(base: str, mine: str, theirs: str) -> None:
    one, other = merge(base, mine, theirs), merge(base, theirs, mine)
    assert one.conflicts == other.conflicts
    assert one.count("mine") == other.count("theirs")
    if not one.conflicts:
        assert one.text == other.text


@given(texts, texts, texts)
def test_a_clean_merge_holds_every_new_line_of_both(base: str, mine: str, theirs: str) -> None:
    merged = merge(base, mine, theirs)
    if not merged.conflicts:
        kept = set(merged.text.split("\n"))
        new = (set(mine.split("\n")) | set(theirs.split("\n"))) - set(base.split("\n"))
        assert new <= kept


BASE = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n"


def test_changes_at_different_places_go_together() -> None:
    merged = merge(BASE, BASE.replace("a: 1", "a: 9"), BASE.replace("e: 5\n", "e: 5\nf: 6\n"))
    assert merged.text == "a: 9\nb: 2\nc: 3\nd: 4\ne: 5\nf: 6\n"
    assert (merged.count("mine"), merged.count("theirs"), merged.conflicts) == (1, 1, 0)


def test_a_conflict_is_marked_with_all_three() -> None:
    merged = merge(BASE, BASE.replace("c: 3", "c: 30"), BASE.replace("c: 3", "c: 33"))
    assert merged.conflicts == 1
    assert merged.text == (
        f"a: 1\nb: 2\n{MARK_MINE}\nc: 30\n{MARK_BASE}\nc: 3\n{MARK_MIDDLE}\nc: 33\n{MARK_THEIRS}\nd: 4\ne: 5\n"
    )


def test_marks_stand_on_lines_of_their_own_at_an_unended_last_line() -> None:
    text = merge("x", "y", "z").text
    assert text == f"{MARK_MINE}\ny\n{MARK_BASE}\nx\n{MARK_MIDDLE}\nz\n{MARK_THEIRS}\n"
