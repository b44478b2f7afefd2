"""What is offered while a filter is typed."""

from __future__ import annotations

import msgspec
import pytest
from fake_api import FakeGateway, event

from ktui.answers import EventRow, FilterField, Status
from ktui.filter_offers import known_values, offers_at
from ktui.state import AppState
from proxy.events.filter import parse
from proxy.events.filter.fields import ALL, field_json

FIELDS = [msgspec.convert(field_json(field), FilterField) for field in ALL]
KNOWN = {"model": ["gpt-4o", "gpt-4o-mini", "my model"], "variant": ["variant-a", "variant-b"]}
NAMED = {"slow ones": "latency>2s", "refused": "decision:block"}


def taken(line: str) -> list[str]:
    """The line after each offer was taken; `|` is the cursor."""
    cursor = line.index("|")
    text = line.replace("|", "")
    found = offers_at(text, cursor, FIELDS, KNOWN, NAMED)
    return [text[: found.start] + offer.insert + text[found.end :] for offer in found.offers]


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("mod|", "model:"),
        ("lat|", "latency>"),
        ("latency|", "latency>"),
        ("status:5xx and var|", "status:5xx and variant:"),
        ("(mod|)", "(model:)"),
        ("model:gpt-4o,|", "model:gpt-4o,gpt-4o-mini"),
        ("model:mini|", "model:gpt-4o-mini"),
        ("model:my|", 'model:"my model"'),
        ("tag:|", "tag:variant-a"),
        ("decision:b|", "decision:block"),
        ("stream:|", "stream:true"),
        ("has:err|", "has:error"),
        ("has:bo|", "has:body"),
        ("a o|", "a outcome:"),
        ("status:5xx o|", "status:5xx outcome:"),
        ("not mod|el", "not model:"),
    ],
)
def test_the_first_offer(line: str, first: str) -> None:
    assert taken(line)[0] == first


def test_operators_are_offered_for_a_whole_name_with_an_order() -> None:
    assert taken("latency|")[:6] == ["latency>", "latency>=", "latency<", "latency<=", "latency=", "latency:"]
    assert "latency>500ms" in taken("latency>|")


def test_saved_filters_stand_first_and_only_at_the_beginning() -> None:
    assert taken("|")[:2] == ["latency>2s", "decision:block"]
    assert taken("slow|") == ["latency>2s"]
    assert "latency>2s" not in taken("model:a slow|")


def test_nothing_is_offered_for_an_unknown_field() -> None:
    assert taken("nosuch:|") == []


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_what_is_offered_can_be_read(field: FilterField) -> None:
    for line in taken(f"{field.name}:|") + taken(f"{field.name}={'|'}"):
        parse(line, 0)


def test_values_come_from_the_gateway_and_from_the_rows() -> None:
    status = msgspec.convert(FakeGateway().status, Status, strict=False)
    rows = [msgspec.convert(event(i), EventRow, strict=False) for i in range(19)]
    known = known_values(AppState(status=status), rows)
    assert known["model"][0] == "gpt-4o"
    assert set(known["variant"]) == {"variant-a", "variant-b"}
    assert "canary" in known["phase"] and "complete" in known["phase"]
    assert known["policy"][0] == "ab-test-models"
    assert "policy_blocked" in known["error"]
