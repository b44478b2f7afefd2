"""ChangePanel: which values a draft changes, and what applying it would make of it."""

from __future__ import annotations

import re

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from ktui.answers import Difference, ValueChange
from ktui.themes import role
from ktui.widgets.heading import Heading
from proxy.base.sanitise import sanitise

_SHOWN_VALUES = 8


class ChangePanel(Vertical):
    """Heading, values before and after, and the key that applies."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._heading = Heading("Change", "")
        self._body = Static(id="policy-change", markup=False)

    def compose(self) -> ComposeResult:
        """Heading and values."""
        yield self._heading
        yield self._body

    def show(
        self, difference: Difference, *, dirty: bool, readable: bool, errors: bool, next_number: int
    ) -> None:
        """Shows what `difference` says; nothing stands here when the draft says what runs.

        `readable`: the draft is YAML; else its values are not known, and none of them is gone.
        """
        self.display = dirty or bool(difference.unified)
        if not self.display:
            return
        values = difference.values if readable else ()
        self._heading.update(meta=f"{len(values)} value{'s' if len(values) != 1 else ''}" if values else "")
        lines = [self._line(value) for value in values[:_SHOWN_VALUES]]
        if len(values) > _SHOWN_VALUES:
            lines.append(Text(f" and {len(values) - _SHOWN_VALUES} more", style=role(self.app, "muted")))
        if not values:
            why = "comments or spelling only" if readable else "not known until the draft can be read"
            lines = [Text(f" {why}", style=role(self.app, "muted"))]
        keys = Text(" ctrl+s", style=f"bold {role(self.app, 'accent')}")
        said = " waits for a clean lint" if errors else f" apply as v{next_number}"
        lines.append(keys.append(said, role(self.app, "muted")))
        self._body.update(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))

    def _line(self, value: ValueChange) -> Text:
        line = Text(
            f" {_short(sanitise(value.path, 200))}  ", style=role(self.app, "muted"), overflow="ellipsis"
        )
        before, after = (_word(item) for item in (value.before, value.after))
        line.append(before, role(self.app, "text")).append(" → ", role(self.app, "muted"))
        return line.append(after, role(self.app, "strong"))


def _short(path: str) -> str:
    """The part of a path that tells values apart: `variant-b weight`, `ab-test-models phase`."""
    steps = re.findall(r"\[(?:\w+=)?([^\]]+)\]|([^.\[\]]+)", path)
    return " ".join(named or plain for named, plain in steps[-2:])


def _word(value: object) -> str:
    return "none" if value is None else sanitise(value, 60) or "empty"
