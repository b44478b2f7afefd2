"""Events as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from events_factory import T0, make_event

from proxy.events.wire_form import csv_header, csv_row, event_json


def record(**changes: Any) -> dict[str, str]:
    text = csv_header() + csv_row(make_event(**changes))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 1
    assert None not in rows[0]
    return rows[0]


def test_the_form_of_the_events_api() -> None:
    event = make_event(
        timestamp_ms=T0 + 413,
        split="ab-test-models",
        ab_tag="variant-a",
        phase="canary",
        unit_kind="user",
        unit_digest="ab12",
        salt="",
        request_metadata={"team": "red"},
        policies_triggered=["ab-test-models"],
        config_version="3fa9",
        seq=7,
    )
    body = event_json(event)
    assert body["id"] == body["request_id"] == event.id
    assert body["timestamp"] == "2025-10-09T08:53:20.413Z"
    assert body["latency_ms"] == 412.5
    assert body["cost"] == "0.0035"
    assert body["cost_status"] == "priced"
    assert (body["input_tokens"], body["output_tokens"]) == (1000, 100)
    assert body["policies_triggered"] == ["ab-test-models"]
    assert body["seq"] == 7
    assert body["attempt"] == body["attempts"] == 1
    assert body["metadata"] == {
        "ab_tag": "variant-a",
        "experiment": "ab-test-models",
        "phase": "canary",
        "unit_kind": "user",
        "unit_digest": "ab12",
        "salt": "",
        "request": {"team": "red"},
        "dropped_params": [],
    }
    json.dumps(body, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "plain", "nullable"),
    [
        ({}, ("0.0035", 1000, 100), ("0.0035", 1000, 100)),
        ({"cost_nanos": None, "cost_status": "unpriced"}, ("0", 1000, 100), (None, 1000, 100)),
        (
            {
                "cost_nanos": None,
                "cost_status": "unpriced",
                "input_tokens": None,
                "output_tokens": None,
                "usage_status": "unknown",
            },
            ("0", 0, 0),
            (None, None, None),
        ),
        (
            {
                "cost_nanos": None,
                "cost_status": "none",
                "input_tokens": None,
                "output_tokens": None,
                "usage_status": "none",
                "attempts": 0,
            },
            ("0", 0, 0),
            ("0", 0, 0),
        ),
        ({"cost_nanos": 1}, ("0.000000001", 1000, 100), ("0.000000001", 1000, 100)),
    ],
)
def test_unknown_is_null_only_when_asked_for(
    changes: dict[str, Any], plain: tuple[Any, ...], nullable: tuple[Any, ...]
) -> None:
    event = make_event(**changes)
    names = ("cost", "input_tokens", "output_tokens")
    assert tuple(event_json(event)[name] for name in names) == plain
    assert tuple(event_json(event, unknown_null=True)[name] for name in names) == nullable


def test_csv_keeps_every_column_and_unknown_stays_empty() -> None:
    row = record(cost_nanos=None, cost_status="unpriced", input_tokens=None, ttft_ms=None)
    assert (row["cost"], row["input_tokens"], row["ttft_ms"], row["ab_tag"]) == ("", "", "", "")
    assert row["cost_status"] == "unpriced"
    assert row["output_tokens"] == "100"
    assert row["latency_ms"] == "412.5"
    assert csv_header().endswith("\r\n")


@pytest.mark.parametrize("text", ['a,"b"', "line\nfeed", "cr\r\nlf", 'quote"', "naïve ✓", ",,"])
def test_csv_is_read_back_as_it_was(text: str) -> None:
    assert record(error_message=text)["error_message"] == text


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_that_is_a_formula_is_made_harmless(formula: str) -> None:
    row = record(model=formula, error_message=formula)
    assert row["model"] == row["error_message"] == f"'{formula}"


def test_a_negative_number_is_no_formula() -> None:
    row = record(quality_score=-0.5, cost_nanos=-3_500_000, input_tokens=-1)
    assert (row["quality_score"], row["cost"], row["input_tokens"]) == ("-0.5", "-0.0035", "-1")
