"""The draft of a policy file: what it began from, what it says now, and whether the file moved on meanwhile. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ktui.answers import Config


@dataclass(slots=True)
class Draft:
    """`base` is the text of the file the draft began from, `hash` its identity for the next apply."""

    base: str = ""
    hash: str = ""
    text: str = ""
    theirs: Config | None = None
    """The file as someone else saved it while this draft was open; None when there is nothing to ask."""

    @property
    def dirty(self) -> bool:
        """Whether the draft says something the file does not."""
        return self.text != self.base

    def begin(self, text: str, digest: str) -> None:
        """Start over from the file."""
        self.base = self.text = text
        self.hash = digest
        self.theirs = None

    def keep(self, text: str, digest: str) -> None:
        """Keep the draft, on top of the file as it is now."""
        self.base, self.hash, self.theirs = text, digest, None

    def meet(self, config: Config) -> bool:
        """The file is now `config`; whether the editor should load it. A dirty draft is never overwritten."""
        text, digest = file_of(config)
        if digest == self.hash:
            # Also when it came back to what the draft was made on: then there is nothing to ask any more.
            self.theirs = None
            return False
        if not self.dirty or text == self.text:
            return True
        self.theirs = config
        return False


def file_of(config: Config) -> tuple[str, str]:
    """Text and hash of the file; where it cannot be read, of what runs."""
    if config.file.text is not None and config.file.hash is not None:
        return config.file.text, config.file.hash
    return config.text, config.hash


def changed_lines(before: str, after: str) -> set[int]:
    """Lines of `after` (from 0) that `before` does not have there; a removal marks the line it stood above."""
    if before == after:
        return set()
    a, b = before.split("\n"), after.split("\n")
    # One key changes one place: without the equal ends the matcher's time no longer grows with the file.
    head = _equal_start(a, b)
    tail = _equal_start(a[head:][::-1], b[head:][::-1])
    inner_a, inner_b = a[head : len(a) - tail], b[head : len(b) - tail]
    changed: set[int] = set()
    for tag, _, _, start, end in difflib.SequenceMatcher(None, inner_a, inner_b).get_opcodes():
        if tag == "delete":
            changed.add(min(head + start, len(b) - 1))
        elif tag != "equal":
            changed.update(range(head + start, head + end))
    return changed


def _equal_start(a: list[str], b: list[str]) -> int:
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))
