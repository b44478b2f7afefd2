"""OrderedTable: the half of the event table that knows columns and order."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message
from textual.scroll_view import ScrollView

from ktui.event_rows import EventRows, RowView
from ktui.event_sort import Order, SortedRows, next_order, picked
from ktui.state import AppState
from ktui.widgets.event_columns import Columns, columns_for


class OrderedTable(ScrollView):
    """Columns as the reader chose them; rows in the order of one of them, or of time."""

    class Ordered(Message):
        """The rows stand in another order."""

    rows: EventRows
    view: RowView
    _state: AppState
    columns: Columns = columns_for(80)
    order: Order = Order()

    def forget(self) -> None:
        """Drops painted rows."""
        raise NotImplementedError

    def show_cursor(self) -> None:
        """Makes the row under the cursor visible."""
        raise NotImplementedError

    @property
    def is_sorted(self) -> bool:
        """Whether the rows stand in another order than that of time."""
        return self.view is not self.rows

    def lay_out(self, wanted: Sequence[str] | None = None) -> None:
        """Lays the columns out for the present width; `wanted` only for now, else those of the settings."""
        names = self._state.settings.now.columns if wanted is None else wanted
        self.columns = columns_for(self.size.width, names)
        self.forget()

    def in_time_order(self) -> None:
        """The order in which requests were stored; the caller shows it."""
        self.view, self.order = self.rows, Order()

    def set_order(self, order: Order) -> None:
        """Sorts what is in memory now. The picture stands then: nothing moves in it until it is sorted again."""
        self.rows.stop()
        if order.by_time:
            self.in_time_order()
        else:
            loaded = (self.rows[index] for index in range(len(self.rows)))
            self.view, self.order = SortedRows(loaded, order), order
            if len(self.view):
                self.rows.cursor_seq = self.view[0].seq
        self.show_cursor()
        if self.is_sorted:
            self.scroll_to(y=0, animate=False, immediate=True, force=True)
        self.post_message(self.Ordered())

    def action_table_sort(self) -> None:
        """By the next column that is shown."""
        self.set_order(next_order(self.order, [column.name for column in self.columns.columns]))

    def action_table_reverse(self) -> None:
        """The same column the other way."""
        self.set_order(picked(self.order, self.order.column))

    def click_title(self, x: int) -> None:
        """A click on a title: by its column, or the other way."""
        column = self.columns.at(x)
        if column is not None:
            self.set_order(picked(self.order, column.name))
