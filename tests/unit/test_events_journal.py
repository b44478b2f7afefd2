"""The journal: one line per event, torn and damaged lines, segments that come and go."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest
from events_factory import make_event, until
from hypothesis import given
from hypothesis import strategies as st

from proxy.events import journal as journal_module
from proxy.events.codec import decode, prepare
from proxy.events.journal import Journal, JournalError, read_segment
from proxy.events.sqlite_store import SqliteEventStore


def opened(folder: Path, **options: int) -> Journal:
    journal = Journal(folder, **options)
    journal.open()
    return journal


def test_a_torn_last_line_is_passed_over_and_a_damaged_one_told(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    segment = journal.append(b'{"a":1}')
    journal.append(b'{"b":2}')
    journal.append(b'{"c":3}')
    segment.queued = 1
    journal.close()
    lines = segment.path.read_bytes().splitlines(keepends=True)
    segment.path.write_bytes(lines[0] + lines[1].replace(b"2", b"7") + b"zz\n" + lines[2] + lines[0][:-3])
    assert list(read_segment(segment.path)) == [b'{"a":1}', None, None, b'{"c":3}']


def test_a_short_write_is_taken_back(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    segment = journal.append(b"x" * 100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.size + 50, limits[1]))
    try:
        for _ in range(3):
            with pytest.raises(JournalError) as failed:
                journal.append(b"y" * 100)
            assert failed.value.reason == "disk-full"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.append(b"z" * 100)
    assert list(read_segment(segment.path)) == [b"x" * 100, b"z" * 100]
    journal.close()


def test_segments_end_and_finished_ones_go(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=1_000)
    segments = [journal.append(b"x" * 300) for _ in range(9)]
    for segment in segments:
        segment.queued += 1
    assert len({segment.path for segment in segments}) == 3
    for segment in segments[:3]:
        segment.queued -= 1
    journal.tidy()
    assert not segments[0].path.exists()
    assert segments[3].path.exists()
    for segment in segments[3:]:
        segment.queued -= 1
    journal.close()
    assert list(tmp_path.glob("*.journal")) == []


def test_the_whole_journal_is_bounded(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=1_000, total_bytes=2_500)
    taken = 0
    with pytest.raises(JournalError, match="used up"):
        for _ in range(100):
            journal.append(b"x" * 300).queued += 1
            taken += 1
    assert 6 <= taken <= 12
    journal.close()


def test_a_directory_that_vanishes_is_a_failure_and_no_crash(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = opened(folder)
    (folder / "lock").unlink()
    folder.rmdir()
    with pytest.raises(JournalError) as failed:
        journal.append(b"x")
    assert failed.value.reason == "disk-error"
    assert journal.trouble is not None
    journal.close()


async def test_what_an_earlier_process_left_is_stored_once(tmp_path: Path) -> None:
    kept, already = make_event(), make_event()
    store = SqliteEventStore(tmp_path / "events.db", tmp_path / "journal")
    await store.start()
    store.append(already)
    await until(lambda: store.counters().stored == 1)
    await store.close()
    journal = opened(tmp_path / "journal")
    for event in (already, kept):
        journal.append(prepare(event)[1]).queued += 1
    segment = journal.append(b"not json at all")
    journal.close()
    with segment.path.open("ab") as file:
        file.write(b"0000")
    again = SqliteEventStore(tmp_path / "events.db", tmp_path / "journal")
    await again.start()
    try:
        assert again.total() == 2
        assert await again.get(kept.id) is not None
        numbers = again.counters()
        assert (numbers.accepted, numbers.stored, numbers.spilled, numbers.dropped) == (1, 1, 0, {})
        assert os.listdir(tmp_path / "journal") == ["lock"]
    finally:
        await again.close()


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40), st.lists(st.text(max_size=5))
)


@given(
    st.fixed_dictionaries(
        dict.fromkeys(("model", "status", "latency_ms", "error", "input_tokens", "ttft_ms", "draw"), VALUES)
    ),
    st.dictionaries(st.text(max_size=5), VALUES, max_size=4),
)
def test_any_value_becomes_a_line_and_comes_back(values: dict[str, object], facts: dict[str, object]) -> None:
    event, payload = prepare(make_event(**values, facts=facts))
    assert b"\n" not in payload
    assert prepare(decode(payload))[1] == payload
    assert event.id == decode(payload).id


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b'{"id":"x"}', b"\xff"])
def test_what_is_no_event_is_told(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not"):
        decode(payload)


def test_trouble_ends_without_another_event_and_leaves_no_trace(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    segment = journal.append(b"x" * 100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.size + 50, limits[1]))
    try:
        with pytest.raises(JournalError):
            journal.append(b"y" * 100)
        journal.try_again()
        assert journal.trouble is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.try_again()
    assert journal.trouble is None
    journal.append(b"z" * 100)
    assert list(read_segment(segment.path)) == [b"x" * 100, b"z" * 100]
    journal.close()


def test_a_segment_that_cannot_be_made_keeps_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "open", full)
        troubles = set()
        for _ in range(3):
            with pytest.raises(JournalError) as failed:
                journal.append(b"x")
            assert failed.value.reason == "disk-full"
            troubles.add(journal.trouble)
    assert len(troubles) == 1
    journal.close()
