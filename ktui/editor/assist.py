"""Assist: completion and key help of one editor; the popups follow the cursor, the editor keeps the focus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.geometry import Offset
from textual.widget import Widget

from ktui.editor.completion import Completion, Known, Offer, complete
from ktui.editor.fields import Fields, policy_fields
from ktui.editor.hover import Help, help_at
from ktui.editor.popup import HelpCard, OfferList
from ktui.widgets.policy_editor import PolicyEditor

_LONGEST_TEXT = 20_000
"""Lines up to which offers open by themselves."""
_OWN_KEYS = frozenset({"tab", "enter", "up", "down", "pageup", "pagedown"})
_AUTO_KEYS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")


class Assist:
    """Glue between an editor, its popups and what is known. Call `prepare` once; until then nothing is offered."""

    def __init__(
        self, editor: PolicyEditor, container: Callable[[], Widget], known: Callable[[], Known]
    ) -> None:
        self.offers = OfferList(id="offers")
        self.card = HelpCard(id="key-card")
        self._editor = editor
        self._container = container
        self._known = known
        self._fields: Fields | None = None
        self._completion: Completion | None = None
        self._asked = False
        self._moved = False
        self._pending: tuple[str | None] | None = None

    async def prepare(self) -> None:
        """Builds the schema in a thread."""
        self._fields = await asyncio.to_thread(policy_fields)

    @property
    def ready(self) -> bool:
        """Whether something can be offered."""
        return self._fields is not None

    @property
    def open(self) -> bool:
        """Whether offers stand there."""
        return self.offers.display

    def close(self) -> None:
        """Takes both popups away."""
        self._completion = self._pending = None
        self.offers.display = False
        self.card.display = False

    def ask(self) -> bool:
        """Offers what can be written at the cursor; False when there is nothing."""
        self.close()
        self._asked = True
        return self._show(alone=True)

    def typed(self, key: str | None) -> None:
        """The text has changed through `key` (None: otherwise); `settle` sees to it once it is painted."""
        self._pending = (key,)

    def settle(self) -> None:
        """Offers follow what was typed, or open where they help."""
        if self._pending is None:
            return
        (key,), self._pending = self._pending, None
        self.card.display = False
        if not self._editor.has_focus or self._editor.document.line_count > _LONGEST_TEXT:
            self.close()
        elif self.open:
            if not self._show(alone=self._asked):
                self.close()
        elif key is not None and (key in _AUTO_KEYS or key == " "):
            self._asked = False
            completion = self._find()
            # A space opens only after `key: `, where the values are few and known.
            if completion is not None and (key != " " or _is_value(completion, self._lines())):
                self._show(alone=False)

    def moved(self) -> None:
        """The cursor moved without typing."""
        self.card.display = False
        completion = self._completion
        row, column = self._editor.cursor_location
        if completion is not None and (
            row != completion.row or not completion.start <= column <= completion.end + 1
        ):
            self.close()

    def key(self, key: str) -> bool:
        """A key of the editor while offers or the card stand there; whether it was for them."""
        if self.open and key in _OWN_KEYS:
            self.settle()
        if key == "escape" and (self.open or self.card.display):
            self.close()
            return True
        if not self.open:
            return False
        steps = {"down": 1, "up": -1, "pagedown": 8, "pageup": -8}
        if key in steps:
            self.offers.step(steps[key])
            self._moved = True
            return True
        # Offers that opened by themselves leave enter alone until one was chosen with the arrows.
        if key == "tab" or (key == "enter" and (self._asked or self._moved)):
            self.take(self.offers.cursor)
            return True
        return False

    def take(self, index: int) -> None:
        """Writes an offer in place of the word."""
        completion = self._completion
        if completion is None or not 0 <= index < len(completion.offers):
            return
        offer = completion.offers[index]
        self.close()
        row, (line, end) = completion.row, self._line_and_end(completion)
        insert = offer.insert
        # What stands there already is not written twice.
        if offer.sort == "key" and line[end : end + 1] == ":":
            insert = offer.label
        result = self._editor.replace(
            insert, (row, completion.start), (row, end), maintain_selection_offset=False
        )
        self._editor.move_cursor(_cursor_after(completion.start, result.end_location, offer, insert))
        self._editor.focus()

    def _line_and_end(self, completion: Completion) -> tuple[str, int]:
        line = self._editor.document.get_line(completion.row)
        return line, min(completion.end, len(line))

    def _lines(self) -> list[str]:
        return self._editor.text.split("\n")

    def _find(self) -> Completion | None:
        if self._fields is None:
            return None
        row, column = self._editor.cursor_location
        return complete(self._fields, self._known(), self._lines(), row, column)

    def _show(self, *, alone: bool) -> bool:
        completion = self._find()
        if completion is None:
            return False
        line, end = self._line_and_end(completion)
        word = line[completion.start : end]
        if not alone and all(offer.label == word for offer in completion.offers[:1]):
            return False
        self._completion, self._moved = completion, False
        self.offers.show(completion.offers, self._place(completion.start), self._container().size)
        return True

    def _place(self, column: int) -> Offset:
        """Where a column of the cursor's line is, in the container's cells."""
        editor, container = self._editor, self._container()
        row, at = editor.cursor_location
        back = editor.get_column_width(row, at) - editor.get_column_width(row, column)
        return editor.cursor_screen_offset - container.content_region.offset - Offset(back, 0)

    def help(self) -> Help | None:
        """What the schema says of the key under the cursor."""
        if self._fields is None:
            return None
        row, column = self._editor.cursor_location
        return help_at(self._fields, self._lines(), row, column)

    def describe(self) -> bool:
        """Shows the card about the key under the cursor, or takes it away; False when there is no key."""
        if self.card.display:
            self.card.display = False
            return True
        found = self.help()
        if found is None:
            return False
        self.close()
        self.card.show(found, self._place(self._editor.cursor_location[1]), self._container().size)
        return True


def _is_value(completion: Completion, lines: list[str]) -> bool:
    before = lines[completion.row][: completion.start].rstrip()
    return before.endswith(":") and completion.offers[0].sort == "value"


def _cursor_after(start: int, end: tuple[int, int], offer: Offer, insert: str) -> tuple[int, int]:
    """Where the cursor goes after `insert` was written from column `start` to `end`."""
    if insert != offer.insert or not offer.back:
        return end
    before, after = insert[: -offer.back], insert[-offer.back :]
    if "\n" not in after:
        return end[0], end[1] - offer.back
    head, _, last = before.rpartition("\n")
    return end[0] - after.count("\n"), len(last) + (start if not head else 0)
