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
        if digest == self.hash and text == self.base:
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
    changed: set[int] = set()
    for tag, _, _, start, end in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "delete":
            changed.add(min(start, len(b) - 1))
        elif tag != "equal":
            changed.update(range(start, end))
    return changed
