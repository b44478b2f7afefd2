"""EventDrawer: one request in full, over the table, and why it went where it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.screen import ModalScreen

from ktui.answers import EventRow
from ktui.column_registry import chosen
from ktui.link import GatewayLink
from ktui.screens.copying import copy_rows, copy_text
from ktui.screens.explain_view import ExplainPanel
from ktui.state import AppState
from ktui.widgets.request_panel import RequestPanel
from proxy.base.sanitise import sanitise

Step = Callable[[int], EventRow | None]
"""The next request (1) or the one before (-1) in the list behind the drawer; None at its end."""


@runtime_checkable
class PolicyLines(Protocol):
    """An application that can show a line of the policy."""

    def close_dialogs(self) -> None:
        """Closes everything that stands over the screens."""

    def show_policy_line(self, policy: str, line: int, version: str) -> None:
        """Shows `policy` in the editor; `line` is its place in the version of that hash."""


class EventDrawer(ModalScreen[None]):
    """Timing, tokens, money, policies and bodies of one request; `x` explains its decision, `esc` closes."""

    DEFAULT_CSS = """
    EventDrawer { align: center top; background: transparent; }
    EventDrawer.-below { align: center bottom; }
    EventDrawer > RequestPanel { width: 100%; max-width: 112; max-height: 90%; margin: 3 1 2 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "Close", show=False),
        Binding("x", "live_explain", "Explain the decision of this request", id="live.explain"),
        Binding("n", "step(1)", "Next request", show=False),
        Binding("N", "step(-1)", "Request before", show=False),
        Binding("e", "item_edit", "Its line in the editor", show=False),
        Binding("y,c", "copy", "Copy it", show=False),
    ]

    def __init__(
        self,
        row: EventRow,
        state: AppState,
        *,
        below: bool = True,
        link: GatewayLink | None = None,
        explain: bool = False,
        step: Step | None = None,
        place: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(classes="-below" if below else "")
        self._row = row
        self._state = state
        self._link = link
        self._explain_at_once = explain
        self._step = step
        self._place = place
        """Whether the drawer belongs below now, so that it is never over the row it speaks of."""
        more = "n N next, previous · " if step is not None else ""
        self.panel = RequestPanel(state, link, f"{more}x explains · e policy line · y copies · esc closes")

    @property
    def explained(self) -> ExplainPanel:
        """The explanation, shown or not."""
        return self.panel.explained

    def compose(self) -> ComposeResult:
        """A box above or below the row it speaks of."""
        yield self.panel

    def on_mount(self) -> None:
        """Asks for what lists leave out; explains at once when that was asked for."""
        self.panel.show(self._row)
        self.panel.focus()
        if self._explain_at_once:
            self.action_live_explain()

    def action_close(self) -> None:
        """Back to the table."""
        self.dismiss(None)

    def action_live_explain(self) -> None:
        """The policies that were looked at, and the hash that chose the variant."""
        self.panel.toggle_explained()

    def action_step(self, by: int) -> None:
        """The next request, or the one before."""
        if self._step is None:
            return
        row = self._step(by)
        if row is None:
            self.notify("there is no further request in the list", markup=False)
            return
        self._row = row
        if self._place is not None:
            self.set_class(self._place(), "-below")
        self.panel.show(row)

    def action_item_edit(self) -> None:
        """The line of the step under the cursor, or of the one that decided, in the editor."""
        self.panel.to_policy_line()

    def on_explain_panel_chosen(self, event: ExplainPanel.Chosen) -> None:
        """Closes what stands over the screen, and goes to the line."""
        event.stop()
        step, version, app = event.step, event.version, self.app
        if isinstance(app, PolicyLines):
            app.close_dialogs()
            app.show_policy_line(step.policy, step.line, version)

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def action_copy(self) -> None:
        """Copies it in the form the reader chooses."""
        row = self.panel.row or self._row
        if self._link is None:
            await copy_text(self.app, self._state, row.id, f"id {sanitise(row.id, 40)}")
        else:
            await copy_rows(
                self.app, self._state, self._link, [row], chosen(self._state.settings.now.columns)
            )

    def on_click(self, event: Click) -> None:
        """A click beside the box closes it."""
        if event.widget is self:
            self.dismiss(None)
