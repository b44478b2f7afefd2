"""The rows of the event table: in order, without hole or repeat, the cursor on its request, memory bounded."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ktui.answers import EventRow
from ktui.event_rows import EventRows

LIMIT, WINDOW, PAGE = 12, 10, 4


def row(seq: int) -> EventRow:
    return EventRow(id=f"e{seq}", timestamp="2026-06-11T14:32:07.000Z", seq=seq)


def seqs(rows: EventRows) -> list[int]:
    return [rows[index].seq for index in range(len(rows))]


def filled(count: int, limit: int = LIMIT) -> EventRows:
    rows = EventRows(limit, WINDOW)
    rows.arrive(row(seq) for seq in range(1, count + 1))
    return rows


class Reading(RuleBasedStateMachine):
    """A store that grows, a stream that tells of it late, pages that are answered late, and a reader."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = EventRows(LIMIT, WINDOW)
        self.stored: list[int] = []
        self.untold: list[int] = []
        self.asked: list[tuple[str, int | None]] = []
        self.pinned: int | None = None

    @rule(steps=st.lists(st.integers(1, 3), min_size=1, max_size=9))
    def requests_are_stored(self, steps: list[int]) -> None:
        for step in steps:
            self.stored.append((self.stored[-1] if self.stored else 0) + step)
            self.untold.append(self.stored[-1])

    @rule(count=st.integers(1, 9), again=st.integers(0, 3), backwards=st.booleans())
    def the_stream_tells(self, count: int, again: int, backwards: bool) -> None:
        told = self.untold[:count]
        del self.untold[:count]
        before = self.stored[: self.stored.index(told[0])] if told else []
        told = before[len(before) - again :] + told
        self.rows.offer(row(seq) for seq in (reversed(told) if backwards else told))
        self.rows.take()

    @rule()
    def the_stream_breaks(self) -> None:
        self.untold.clear()
        self.rows.restart()
        if not self.rows.following and self.rows.cursor_seq is not None:
            assert len(self.rows)

    @rule()
    def an_older_page_is_asked_for(self) -> None:
        self.asked.append(("older", self.rows.first_seq))

    @rule()
    def a_newer_page_is_asked_for(self) -> None:
        self.asked.append(("newer", self.rows.last_seq))

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 9))
    def a_page_comes(self, which: int) -> None:
        kind, seq = self.asked.pop(which % len(self.asked))
        if kind == "older":
            if seq is None and (len(self.rows) or self.untold):
                return
            found = [s for s in self.stored if seq is None or s < seq][-PAGE:]
            self.rows.extend_older([row(s) for s in found], seq, ended=len(found) < PAGE)
        elif seq is not None:
            found = [s for s in self.stored if s > seq][:PAGE]
            self.rows.extend_newer([row(s) for s in found], seq, ended=len(found) < PAGE)

    @precondition(lambda self: self.stored)
    @rule(place=st.integers(0, 10_000))
    def the_reader_jumps(self, place: int) -> None:
        at = place % len(self.stored)
        page = self.stored[max(at - PAGE, 0) : at + PAGE]
        self.rows.jump(
            [row(seq) for seq in page],
            self.stored[at],
            oldest_known=at <= PAGE,
            newest_known=at + PAGE >= len(self.stored),
        )
        self.pinned = self.stored[at]

    @precondition(lambda self: len(self.rows))
    @rule(place=st.integers(0, 10_000))
    def the_reader_moves(self, place: int) -> None:
        self.rows.stop()
        self.rows.point(place % len(self.rows))
        self.pinned = self.rows.cursor_seq

    @rule()
    def the_reader_follows(self) -> None:
        self.rows.follow()
        self.pinned = None

    @invariant()
    def what_is_shown_is_a_stretch_of_the_store(self) -> None:
        shown = seqs(self.rows)
        if shown:
            first, last = self.stored.index(shown[0]), self.stored.index(shown[-1])
            assert shown == self.stored[first : last + 1]

    @invariant()
    def the_ends_say_the_truth(self) -> None:
        shown = seqs(self.rows)
        if shown and self.rows.older == "end":
            assert shown[0] == self.stored[0]
        if shown and self.rows.newer == "end":
            assert {seq for seq in self.stored if seq > shown[-1]} <= set(self.untold)

    @invariant()
    def the_cursor_stays_on_its_request(self) -> None:
        if self.rows.following:
            if len(self.rows):
                assert self.rows.cursor == len(self.rows) - 1
        elif self.pinned is not None:
            assert self.rows.index_of(self.pinned) == self.rows.cursor

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.rows.window) <= WINDOW
        assert len(self.rows.tail) <= LIMIT


Reading.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestReading = Reading.TestCase


def test_rows_come_in_order_and_once() -> None:
    rows = filled(3)
    assert rows.arrive([row(3), row(5), row(4)]) == 2
    assert seqs(rows) == [1, 2, 3, 4, 5]
    assert rows.index_of(4) == 3
    assert rows.index_of(9) is None


def test_following_keeps_the_newest_only() -> None:
    rows = filled(30)
    assert seqs(rows) == list(range(19, 31))
    assert rows.cursor == 11
    assert (rows.older, rows.paged) == ("open", True)


def test_a_reader_who_stopped_keeps_what_is_on_the_screen() -> None:
    rows = filled(12)
    rows.stop()
    rows.point(0)
    rows.arrive(row(seq) for seq in range(13, 41))
    assert rows[rows.cursor].seq == 1
    assert rows.new_below == 28
    assert rows.gap
    rows.follow()
    assert seqs(rows) == list(range(29, 41))


def test_older_pages_join_on_and_the_first_one_ends_it() -> None:
    rows = EventRows(LIMIT, WINDOW)
    rows.arrive([row(7), row(8)])
    rows.stop()
    assert rows.extend_older([row(4), row(5), row(6)], 7, ended=False)
    assert not rows.extend_older([row(4)], 7, ended=False)
    assert rows.extend_older([row(2), row(3)], 4, ended=True)
    assert seqs(rows) == [2, 3, 4, 5, 6, 7, 8]
    assert rows.older == "end"
    assert rows[rows.cursor].seq == 8


def test_waiting_rows_beyond_the_bound_are_a_known_hole() -> None:
    rows = filled(5)
    rows.stop()
    rows.point(2)
    rows.offer(row(seq) for seq in range(6, 60))
    assert rows.waiting == LIMIT
    rows.take()
    assert rows.gap and seqs(rows) == [1, 2, 3, 4, 5]
    assert rows.extend_newer([row(seq) for seq in range(6, 50)], 5, ended=False)
    assert rows[rows.cursor].seq == 3
