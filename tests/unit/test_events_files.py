"""Exported files read back as events, and made a store again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from events_factory import T0, make_event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.events.event import CostStatus, Event, Outcome, UsageStatus
from proxy.events.export import FileFormat, exported, layout
from proxy.events.file_rows import FileError, read_events
from proxy.events.import_file import import_file
from proxy.events.parquet import write
from proxy.events.sqlite_reader import EventReader
from proxy.events.store import EventQuery
from proxy.events.wire_form import event_json

FORMATS = get_args(FileFormat)
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).filter(
    # In CSV a text that begins so cannot be told from one that was kept from being a formula.
    lambda text: not text.startswith("'")
)
names = words.filter(lambda text: ";" not in text)
counts = st.integers(0, 2**40)


@st.composite
def events(draw: st.DrawFn) -> Event:
    usage = draw(st.sampled_from(get_args(UsageStatus)))
    known = usage in ("reported", "estimated")
    cost_status = draw(st.sampled_from(get_args(CostStatus)))
    return replace(
        make_event(id="-"),
        id=draw(st.uuids()).hex,
        seq=draw(st.integers(1, 2**50)),
        timestamp_ms=draw(st.integers(0, 4 * 10**12)),
        model=draw(words),
        status=draw(st.integers(100, 599)),
        outcome=draw(st.sampled_from(get_args(Outcome))),
        latency_ms=round(draw(st.floats(0, 1e6)), 3),
        stream=draw(st.booleans()),
        error=draw(st.none() | words),
        error_message=draw(st.none() | words),
        ttft_ms=draw(st.none() | st.floats(0, 1e6).map(lambda number: round(number, 3))),
        input_tokens=draw(counts) if known else None,
        output_tokens=draw(counts) if known else None,
        usage_status=usage,
        cost_nanos=draw(counts) if cost_status in ("priced", "estimated") else None,
        cost_status=cost_status,
        policies_triggered=draw(st.lists(names, max_size=3)),
        ab_tag=draw(st.none() | words),
        split=draw(st.none() | words),
        key=draw(st.none() | words),
        quality_score=draw(st.none() | st.floats(0, 1)),
        config_version=draw(st.none() | words) or "",
    )


def write_file(path: Path, form: FileFormat, records: list[dict[str, Any]]) -> None:
    rows = [exported(record) for record in records]
    if form == "parquet":
        lines = path.with_suffix(".rows")
        lines.write_bytes(b"".join(layout("jsonl").row(row) for row in rows))
        write(lines, path, {}, lambda _rows: None)
        return
    how = layout(form)
    path.write_bytes(how.head + how.separator.join(how.row(row) for row in rows) + how.tail)


def told(event: Event) -> dict[str, Any]:
    return event_json(event, unknown_null=True)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(events(), max_size=4))
def test_what_is_exported_is_read_back(tmp_path: Path, form: FileFormat, made: list[Event]) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"events.{form}"
    write_file(path, form, [told(event) for event in made])
    back = [told(event) for event in read_events(path)]
    for before, after in zip([told(event) for event in made], back, strict=True):
        if form == "csv":
            # CSV has no column for them.
            before["metadata"]["request"], before["metadata"]["dropped_params"] = {}, []
        assert after == before


@pytest.mark.parametrize("layout_of", [lambda rows: json.dumps(rows, indent=2), json.dumps])
def test_the_list_of_the_api_is_read_too(tmp_path: Path, layout_of: Any) -> None:
    made = [
        replace(make_event(), seq=2, usage_status="unknown", cost_status="unpriced", cost_nanos=None,
                input_tokens=None, output_tokens=None),
        make_event(seq=1),
    ]  # fmt: skip
    path = tmp_path / "list.json"
    path.write_text(layout_of([event_json(event) for event in made]))
    assert [told(event) for event in read_events(path)] == [told(event) for event in made]


BROKEN = {
    "cut": (b'{"id": "a", "seq": 1', "line 1, is not JSON"),
    "second line": (b"{}\n", "line 1, is not an event of an export: it has no 'id'"),
    "no export": (b"name,age\r\nx,2\r\n", "its first line names no column id"),
    "array": (b'[{"id": 1},\n 3]', "is not an event of an export"),
    "bytes": (b"\xff\xfe\x00", "is not CSV"),
    "parquet": (b"PAR1 and then nothing", "is not a Parquet file"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_export_is_said_in_one_sentence(tmp_path: Path, case: str) -> None:
    text, sentence = BROKEN[case]
    if case == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "broken"
    path.write_bytes(text)
    with pytest.raises(FileError) as caught:
        list(read_events(path))
    assert sentence in str(caught.value) and "\n" not in str(caught.value) and str(path) in str(caught.value)


@given(text=st.binary(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_events_or_a_sentence(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(text)
    try:
        list(read_events(path))
    except FileError as error:
        assert str(path) in str(error)


async def test_a_file_becomes_a_store_in_the_order_of_its_events(tmp_path: Path) -> None:
    made = [make_event(seq=number, timestamp_ms=T0 + number) for number in range(9, 0, -1)]
    source = tmp_path / "export.jsonl"
    write_file(source, "jsonl", [told(event) for event in made])
    steps: list[tuple[str, int]] = []
    store = tmp_path / "events.db"
    found = await import_file(source, store, lambda what, count: steps.append((what, count)))
    assert (
        found.events == 9
        and found.first_ms == made[-1].timestamp_ms
        and found.last_ms == made[0].timestamp_ms
    )
    assert steps == [("reading", 9), ("storing", 9), ("counting", 9)]
    reader = EventReader(store)
    try:
        kept = [event async for event in reader.query(EventQuery())]
    finally:
        await reader.close()
    assert [event.id for event in kept] == [event.id for event in made]
    assert not list(_beside(tmp_path, "staged"))


def _beside(directory: Path, word: str) -> Iterator[Path]:
    return (path for path in directory.iterdir() if word in path.name)
