"""One registry: no key with two meanings, nothing bound that must not be, every action exists, the docs agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktui.app import KtuiApp
from ktui.commands import COMMANDS, NEVER_BOUND, PLACES, Command, bindings, clashes
from ktui.keys_doc import keys_page
from ktui.widgets.event_table import EventTable


def test_no_key_has_two_meanings_in_one_place() -> None:
    assert clashes() == []


def test_a_clash_is_found_and_named() -> None:
    extra = Command("x.y", "Something", ("f",), "live")
    assert clashes((*COMMANDS, extra)) == ["f means live.follow and x.y on live"]


def test_what_must_not_be_bound_is_not() -> None:
    bound = {key for command in COMMANDS for key in command.keys}
    assert not bound & NEVER_BOUND
    assert not {key for key in bound if key.startswith(("alt+", "ctrl+shift+"))}
    assert "ctrl+z" not in bound and "ctrl+c" not in bound


def test_ids_are_unique_and_places_known() -> None:
    ids = [command.id for command in COMMANDS]
    assert len(ids) == len(set(ids))
    assert {command.where for command in COMMANDS} <= set(PLACES)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.asks and c.keys], ids=lambda c: c.id)
def test_what_changes_traffic_has_a_capital_letter_or_ctrl(command: Command) -> None:
    for key in command.keys:
        assert key.startswith("ctrl+") or (len(key) == 1 and key.isupper())


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.asks], ids=lambda c: c.id)
def test_small_letters_never_change_traffic_and_capitals_only_move(command: Command) -> None:
    capitals = {key for key in command.keys if len(key) == 1 and key.isupper()}
    assert capitals <= {"G", "N"}


def test_never_the_only_key() -> None:
    for command in COMMANDS:
        if command.where == "everywhere" and command.keys:
            assert not set(command.keys) <= {"f1", "ctrl+p", "ctrl+q"}, command.id


@pytest.mark.parametrize("place", ["everywhere", "lists"])
def test_every_binding_has_its_action(place: str) -> None:
    owner = KtuiApp if place == "everywhere" else EventTable
    for binding in bindings(place):
        assert hasattr(owner, f"action_{binding.action}"), binding.action


def test_the_page_of_keys_is_current() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert page == keys_page(), "run: python -m ktui.keys_doc > docs/keys.md"
