"""A draft and a file that moves on under it."""

from __future__ import annotations

from ktui.answers import Config, FileState
from ktui.draft import Draft, changed_lines, file_of


def config(text: str, digest: str) -> Config:
    return Config(1, "running", "running text", file=FileState("same", None, digest, text))


def test_a_clean_draft_follows_the_file() -> None:
    draft = Draft()
    draft.begin("one", "h1")
    assert draft.meet(config("two", "h2"))


def test_a_dirty_draft_is_kept_and_asks() -> None:
    draft = Draft()
    draft.begin("one", "h1")
    draft.text = "mine"
    assert not draft.meet(config("theirs", "h2"))
    assert draft.theirs is not None and draft.text == "mine" and draft.hash == "h1"
    draft.keep("theirs", "h2")
    assert draft.dirty and draft.theirs is None and draft.hash == "h2"


def test_a_file_that_came_to_say_what_the_draft_says_asks_nothing() -> None:
    draft = Draft()
    draft.begin("one", "h1")
    draft.text = "two"
    assert draft.meet(config("two", "h2"))


def test_the_same_file_again_is_no_news() -> None:
    draft = Draft()
    draft.begin("one", "h1")
    draft.text = "mine"
    assert not draft.meet(config("one", "h1"))
    assert draft.theirs is None


def test_without_a_readable_file_the_running_text_is_shown() -> None:
    assert file_of(Config(1, "h", "running", file=FileState("unreadable", "gone"))) == ("running", "h")


def test_changed_lines() -> None:
    assert changed_lines("a\nb\nc", "a\nB\nc\nd") == {1, 3}
    assert changed_lines("a\nb\nc", "a\nc") == {1}
    assert changed_lines("a", "a") == set()
