"""EventDrawer: one request in full, over the table, and why it went where it went."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Click
from textual.screen import ModalScreen
from textual.widgets import Static

from ktui.answers import EventRow, Try
from ktui.link import GatewayLink, LinkError
from ktui.number_words import clock, count, duration_ms, moment
from ktui.screens.explain_view import ExplainPanel
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.event_columns import cost_words, variant_words, why
from proxy.base.sanitise import sanitise

_BAR = 40


@runtime_checkable
class PolicyLines(Protocol):
    """An application that can show a line of the policy."""

    def close_dialogs(self) -> None:
        """Closes everything that stands over the screens."""

    def show_policy_line(self, policy: str, line: int, version: str) -> None:
        """Shows `policy` in the editor; `line` is its place in the version of that hash."""


class EventDrawer(ModalScreen[None]):
    """Timing, tokens, money and policies of one request; `x` explains its decision, `esc` closes."""

    DEFAULT_CSS = """
    EventDrawer { align: center top; background: transparent; }
    EventDrawer.-below { align: center bottom; }
    EventDrawer > VerticalScroll {
        width: 100%; max-width: 98; height: auto; max-height: 90%; margin: 3 1 2 1; padding: 0 1;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-subtitle-color: $kt-muted; scrollbar-size: 0 0;
    }
    EventDrawer Static { width: 1fr; height: auto; }
    EventDrawer ExplainPanel { display: none; margin-top: 1; }
    EventDrawer.-explained ExplainPanel { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "Close", show=False),
        Binding("x", "live_explain", "Explain the decision of this request", id="live.explain"),
        Binding("e", "item_edit", "Its line in the editor", show=False),
        Binding("y,c", "copy", "Copy the id", show=False),
    ]

    def __init__(
        self,
        row: EventRow,
        state: AppState,
        *,
        below: bool = True,
        link: GatewayLink | None = None,
        explain: bool = False,
    ) -> None:
        super().__init__(classes="-below" if below else "")
        self._row = row
        self._state = state
        self._link = link
        self._explain_at_once = explain
        self._tries = Static(id="tries", markup=False)
        self.explained = ExplainPanel(id="explain")

    def compose(self) -> ComposeResult:
        """A box above or below the row it speaks of, never over it."""
        row = self._row
        with VerticalScroll() as box:
            mark = "✗" if row.failed else "✓"
            box.border_title = Text(
                f"Request {row.id}  {clock(moment(row.timestamp))}  {mark} {row.status}"
            ).markup
            box.border_subtitle = "x explains · y copies the id · esc closes"
            yield Static(Text("\n").join(self._lines()))
            yield self._tries
            yield self.explained

    def on_mount(self) -> None:
        """Asks for what lists leave out; explains at once when that was asked for."""
        self._tries.display = False
        if self._explain_at_once:
            self.action_live_explain()
        self._complete()

    @work(exclusive=True, group="whole", exit_on_error=False)
    async def _complete(self) -> None:
        if self._link is None:
            return
        try:
            whole = await self._link.event(self._row.id)
        except LinkError:
            return  # What the list said stays; the header says that the link is lost.
        if whole.attempt_log:
            self._tries.update(Text("\n").join(self._try_lines(whole.attempt_log)))
            self._tries.display = True

    def _try_lines(self, tries: tuple[Try, ...]) -> list[Text]:
        """One line for each request sent upstream, its bar where in the whole it stood."""
        muted = role(self.app, "muted")
        whole = max(self._row.latency_ms or 0.0, sum(item.ms or 0.0 for item in tries), 1.0)
        lines, before = [Text()], 0.0
        for number, item in enumerate(tries, start=1):
            line = Text(f"{f'try {number}':<14}", style=muted, no_wrap=True, overflow="ellipsis")
            line.append(f"{duration_ms(item.ms):>8}  ", role(self.app, "text"))
            start = round(before / whole * _BAR)
            bar = max(round((item.ms or 0.0) / whole * _BAR), 1)
            line.append(" " * start).append("█" * bar, role(self.app, "bad" if item.reason else "info"))
            line.append(" " * max(_BAR - start - bar + 2, 1))
            words = [item.target, item.status, item.error or item.reason]
            told = "  ".join(sanitise(word, 120) for word in words if word is not None)
            lines.append(line.append(told, role(self.app, "text")))
            before += item.ms or 0.0
        return lines

    def _lines(self) -> list[Text]:
        row = self._row
        words, name = variant_words(row, self._state.arm_index(row.tag, row.split))
        lines = [
            self._pairs(
                ("variant", words, name), ("model", row.model, "strong"), ("provider", row.provider, "text")
            ),
            self._pairs(
                (
                    "decision",
                    why(row)[0] if not row.failed or row.decision == "block" else row.decision,
                    why(row)[1],
                ),
                ("policies", ", ".join(row.policies_triggered) or "none", "text"),
            ),
            Text(),
            self._timing("first token", row.ttft_ms),
            self._timing("whole answer", row.latency_ms),
            Text(),
            self._pairs(
                ("tokens in", count(row.input_tokens, "unknown"), "text"),
                ("out", count(row.output_tokens, "-" if row.failed else "unknown"), "text"),
                ("cost", *cost_words(row)),
                ("tries", str(row.attempts if row.attempts is not None else row.attempt or "-"), "text"),
            ),
            self._pairs(
                ("unit", row.metadata.get("unit_kind") or "-", "text"),
                ("phase", row.metadata.get("phase") or "-", "text"),
                ("key", row.key or "-", "text"),
                ("version", (row.config_version or "-")[:7], "text"),
                ("endpoint", row.endpoint or "-", "text"),
            ),
        ]
        if row.requested_model and row.requested_model != row.model:
            lines.insert(1, self._pairs(("asked for", row.requested_model, "text")))
        if row.error:
            lines.append(Text())
            lines.append(self._pairs(("error", row.error, "bad")))
            if row.error_message:
                lines.append(Text(sanitise(row.error_message, 1_000), style=role(self.app, "text")))
        return lines

    def _pairs(self, *pairs: tuple[str, object, str]) -> Text:
        line = Text()
        for index, (label, value, name) in enumerate(pairs):
            line.append("   " if index else "").append(f"{label} ", role(self.app, "muted"))
            line.append(sanitise(value if value is not None else "unknown", 200), role(self.app, name))
        return line

    def _timing(self, label: str, value: float | None) -> Text:
        line = Text(f"{label:<14}", style=role(self.app, "muted"))
        if value is None:
            return line.append("-", role(self.app, "muted"))
        whole = max(self._row.latency_ms or value, value, 1.0)
        line.append(f"{duration_ms(value):>8}  ", role(self.app, "text"))
        return line.append("█" * max(round(value / whole * _BAR), 1), role(self.app, "info"))

    def action_close(self) -> None:
        """Back to the table."""
        self.dismiss(None)

    def action_live_explain(self) -> None:
        """The policies that were looked at, and the hash that chose the variant."""
        if self.has_class("-explained"):
            self.remove_class("-explained")
            self.query_one(VerticalScroll).focus()
            return
        self.add_class("-explained")
        self.query_one(
            VerticalScroll
        ).border_subtitle = "e its line in the editor · x closes this · esc closes"
        self.explained.list.focus()
        if self.explained.told is None:
            self._explain()

    @work(exclusive=True, exit_on_error=False)
    async def _explain(self) -> None:
        if self._link is None:
            self.explained.show_trouble("there is no gateway to ask")
            return
        try:
            told = await self._link.explain_event(self._row.id)
        except LinkError as error:
            self.explained.show_trouble(str(error))
            return
        self.explained.show(told)
        self.explained.scroll_visible(animate=False)

    def action_item_edit(self) -> None:
        """The line of the step under the cursor, in the editor."""
        if self.has_class("-explained"):
            self.explained.choose()

    def on_explain_panel_chosen(self, event: ExplainPanel.Chosen) -> None:
        """Closes what stands over the screen, and goes to the line."""
        event.stop()
        step, version, app = event.step, event.version, self.app
        if isinstance(app, PolicyLines):
            app.close_dialogs()
            app.show_policy_line(step.policy, step.line, version)

    def action_copy(self) -> None:
        """Copies the id."""
        self.app.copy_to_clipboard(self._row.id)
        self.notify(f"copied by the terminal (OSC 52): {self._row.id}", markup=False)

    def on_click(self, event: Click) -> None:
        """A click beside the box closes it."""
        if event.widget is self:
            self.dismiss(None)
