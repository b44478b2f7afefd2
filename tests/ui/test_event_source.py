"""Pages, search and tail as the screen reads them, against the fake control API."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta

import pytest
from fake_api import NOW, FakeGateway, event

from ktui.answers import EventRow
from ktui.event_source import EventSource, Found
from ktui.link import Refused


def gateway(count: int) -> FakeGateway:
    fake = FakeGateway()
    start = NOW - timedelta(seconds=count)
    fake.events = [event(i, start + timedelta(seconds=i)) for i in range(count)]
    return fake


def seqs(rows: tuple[EventRow, ...]) -> list[int]:
    return [row.seq for row in rows]


async def test_pages_go_both_ways_and_say_where_they_end() -> None:
    source = EventSource(gateway(10).link())
    page = await source.older(None, 4)
    assert (seqs(page.rows), page.ended) == ([7, 8, 9, 10], False)
    page = await source.older(3, 4)
    assert (seqs(page.rows), page.ended) == ([1, 2], True)
    page = await source.newer(3, 4)
    assert (seqs(page.rows), page.ended) == ([4, 5, 6, 7], False)
    page = await source.newer(8, 4)
    assert (seqs(page.rows), page.ended) == ([9, 10], True)
    assert seqs((await source.oldest(3)).rows) == [1, 2, 3]


async def test_a_page_around_a_moment_has_the_first_request_at_or_after_it() -> None:
    source = EventSource(gateway(20).link())
    around = await source.around(NOW - timedelta(seconds=10.5), 6)
    assert seqs(around.rows) == [8, 9, 10, 11, 12, 13]
    assert around.cursor_seq == 11
    assert not around.oldest_known and not around.newest_known
    late = await source.around(NOW + timedelta(hours=1), 6)
    assert late.cursor_seq == 20 and late.newest_known
    early = await source.around(NOW - timedelta(hours=1), 6)
    assert early.cursor_seq == 1 and early.oldest_known
    one = await source.around_seq(11, 6)
    assert (seqs(one.rows), one.cursor_seq) == ([9, 10, 11, 12, 13, 14], 11)
    assert (await EventSource(gateway(0).link()).around(NOW)).cursor_seq is None


async def searched(source: EventSource, before: int | None, limit: int) -> list[Found]:
    async with aclosing(source.search(before, limit)) as steps:
        return [step async for step in steps]


async def test_a_search_gives_rows_as_they_are_found_and_says_how_far_it_is() -> None:
    source = EventSource(gateway(1_900).link(), "status:503")
    steps = await searched(source, None, 60)
    rows = [row for step in steps for row in step.rows]
    assert len(rows) == 60 and all(row.status == 503 for row in rows)
    assert [row.seq for row in rows] == sorted((row.seq for row in rows), reverse=True)
    done = steps[-1].progress
    assert done is not None and done.done and not done.complete
    assert done.before_seq == rows[-1].seq
    assert 0 < done.searched < done.total == 1_900
    rest = await searched(source, done.before_seq, 60)
    more = [row for step in rest for row in step.rows]
    assert len(more) == 40 and more[0].seq < rows[-1].seq
    last = rest[-1].progress
    assert last is not None and last.done and last.complete and last.before_seq is None


async def test_a_gateway_that_cannot_search_is_asked_for_a_page() -> None:
    fake = gateway(40)
    plain = fake._list
    fake._list = lambda path, params: None if path.endswith("search") else plain(path, params)  # type: ignore[method-assign]
    steps = await searched(EventSource(fake.link(), "status:503"), None, 500)
    assert [row.status for step in steps for row in step.rows] == [503, 503]
    assert steps[-1].progress is not None and steps[-1].progress.complete


async def test_a_bad_filter_says_where() -> None:
    source = EventSource(gateway(3).link(), "vriant:b")
    with pytest.raises(Refused, match="no field 'vriant'; did you mean variant") as refused:
        await searched(source, None, 5)
    assert refused.value.columns == (1, 7)


async def test_what_arrives_is_filtered_too() -> None:
    fake = gateway(19)
    source = EventSource(fake.link(), "decision:block")
    async with aclosing(source.follow(0)) as rows:
        assert (await anext(rows)).seq == 14
        fake.add_events(19)
        assert (await anext(rows)).seq == 33
