"""ColumnChooser: which columns the event table shows, and in which order; the table behind it follows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click
from textual.screen import ModalScreen
from textual.widgets import Static

from ktui.column_registry import BY_ID, DEFAULTS, KINDS, chosen
from ktui.themes import role
from ktui.widgets.row_list import RowList, cell

Preview = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Shows columns and gives back those for which there is no room."""


class ColumnChooser(ModalScreen[tuple[str, ...]]):
    """Gives the columns in order. `enter` and `esc` both keep what the table shows; `u` takes all changes back."""

    DEFAULT_CSS = """
    ColumnChooser { align: right top; background: transparent; }
    ColumnChooser > Vertical {
        width: 66; max-width: 98%; height: auto; max-height: 70%; margin: 3 1 0 0; padding: 0 1;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-subtitle-color: $kt-muted;
    }
    ColumnChooser RowList { height: auto; max-height: 11; background: $kt-dialog; }
    ColumnChooser.-short { align: right bottom; }
    ColumnChooser.-short > Vertical { margin: 0 1 2 0; }
    ColumnChooser.-short RowList { max-height: 9; }
    ColumnChooser Static { height: auto; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,o,q", "leave", show=False),
        Binding("space", "switch", show=False),
        Binding("less_than_sign,K,shift+up", "move(-1)", show=False),
        Binding("greater_than_sign,J,shift+down", "move(1)", show=False),
        Binding("r", "defaults", show=False),
        Binding("u", "undo", show=False),
    ]

    def __init__(self, columns: tuple[str, ...], preview: Preview) -> None:
        super().__init__()
        self._before = self._on = chosen(columns)
        self._preview = preview
        self._left_out: tuple[str, ...] = ()
        self.list: RowList[str] = RowList(self._paint, ground="dialog", follow_content=True)
        self._said = Static(markup=False)

    def compose(self) -> ComposeResult:
        """The shown columns in their order, then the others; below, what does not fit."""
        with Vertical() as box:
            box.border_title = "Columns"
            box.border_subtitle = "space on, off · < > move · r defaults · u undo · esc keeps"
            yield self.list
            yield self._said

    def on_mount(self) -> None:
        """As it is now."""
        self._show(self._on[0])
        self.list.focus()

    def _paint(self, name: str, width: int) -> Text:
        kind, on = BY_ID[name], name in self._on
        line = Text(no_wrap=True, end="")
        line.append("✓ " if on else "  ", role(self.app, "ok"))
        line.append(cell(kind.title, 16), role(self.app, "strong" if on else "text"))
        if name in self._left_out:
            return line.append("no room at this width", role(self.app, "warn"))
        return line.append(cell(kind.doc, max(width - 18, 2)), role(self.app, "muted"))

    def _show(self, at: str) -> None:
        """Paints the list with the cursor on a column, and the table behind it."""
        self._left_out = self._preview(self._on)
        names = (*self._on, *(kind.id for kind in KINDS if kind.id not in self._on))
        self.list.show(names, cursor=names.index(at))
        words = Text(style=role(self.app, "muted"))
        if self._left_out:
            titles = ", ".join(BY_ID[name].title.partition(",")[0] for name in self._left_out)
            words.append(f"! no room for {titles}: a wider terminal shows them", role(self.app, "warn"))
        else:
            words.append(f"{len(self._on)} columns, all of them fit")
        self._said.update(words)

    def action_switch(self) -> None:
        """On or off; one column stays."""
        name = self.list.current
        if name is None or self._on == (name,):
            return
        self._on = tuple(item for item in self._on if item != name) if name in self._on else (*self._on, name)
        self._show(name)

    def action_move(self, by: int) -> None:
        """To the left or right in the table."""
        name = self.list.current
        if name is None or name not in self._on:
            return
        order = list(self._on)
        place = order.index(name)
        order.insert(min(max(place + by, 0), len(order) - 1), order.pop(place))
        self._on = tuple(order)
        self._show(name)

    def action_defaults(self) -> None:
        """The columns it came with."""
        self._on = DEFAULTS
        self._show(self.list.current or DEFAULTS[0])

    def action_undo(self) -> None:
        """As it was when this opened."""
        self._on = self._before
        self._show(self.list.current or self._on[0])

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """`enter` keeps."""
        event.stop()
        self.action_leave()

    def action_leave(self) -> None:
        """Keeps what is shown."""
        self.dismiss(self._on)

    def on_click(self, event: Click) -> None:
        """A click beside the box keeps too."""
        if event.widget is self:
            self.action_leave()
