"""Apply review: the one question before anything changes what runs.

Meaning first, then the text, then what the draft would have done to recorded requests. Each part comes when its
answer does: the screen never waits, and the apply waits for lint but not for the replay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Click
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from ktui.answers import Config, Difference, Linted
from ktui.link import GatewayLink, LinkError
from ktui.review_words import lint_line, meaning_lines, standing_lines
from ktui.screens.impact_view import ImpactPanel, ImpactRequests
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.dialog import DEAF_S, DialogButton
from ktui.widgets.diff_view import DiffView
from ktui.widgets.heading import Heading

LONGEST_WHY = 200


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """What the reader decided. `if_match`: hash of the file that was reviewed, for the write that follows."""

    apply: bool
    why: str = ""
    if_match: str = "*"


async def review(
    app: App[Any],
    link: GatewayLink,
    text: str,
    *,
    base_hash: str | None = None,
    title: str = "",
    lines: Sequence[Text] = (),
    confirm: str = "apply to live traffic",
) -> ReviewResult:
    """Shows what `text` would change and asks; call it from a worker.

    `base_hash`: hash of the file's text the change was made on, None for the file as it stands now. `lines`
    stand above the meaning. Nothing is written here.
    """
    result = await app.push_screen_wait(
        ApplyReview(link, text, base_hash=base_hash, title=title, lines=lines, confirm=confirm)
    )
    return result or ReviewResult(False)


class ApplyReview(ModalScreen[ReviewResult]):
    """Cancel has the focus; `y`, or `enter` on the other button, applies."""

    DEFAULT_CSS = """
    ApplyReview { align: center middle; background: $kt-base 60%; }
    ApplyReview:ansi { background: transparent; }
    ApplyReview > Vertical {
        width: 100%; max-width: 112; height: auto; max-height: 100%;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-title-style: bold; border-subtitle-color: $kt-muted;
    }
    ApplyReview Heading, ApplyReview DiffView, ApplyReview RowList { background: $kt-dialog; }
    ApplyReview .lines { width: 1fr; height: auto; padding: 0 2; }
    ApplyReview #meaning-scroll { height: auto; max-height: 6; scrollbar-size: 0 0; }
    ApplyReview #diff { height: 3; }
    ApplyReview Horizontal { height: 1; width: 1fr; padding: 0 1; }
    ApplyReview #why { height: 1; width: 1fr; border: none; padding: 0; background: $kt-raised; }
    ApplyReview #why-label { width: auto; padding: 0 1; }
    .-tall ApplyReview .gap, ApplyReview.-tall .gap { margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="dialog.cancel", priority=True),
        Binding("y", "confirm", "Do it", id="dialog.confirm"),
        Binding("d", "region('diff')", show=False),
        Binding("i", "region('impact')", show=False),
        Binding("w", "region('why')", show=False),
    ]

    def __init__(
        self,
        link: GatewayLink,
        text: str,
        *,
        base_hash: str | None = None,
        title: str = "",
        lines: Sequence[Text] = (),
        confirm: str = "apply to live traffic",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._link, self._text, self._base = link, text, base_hash
        self._title, self._lines = title, list(lines)
        self._clock, self._opened = clock, clock()
        self._if_match = base_hash or "*"
        self._cancel = DialogButton("Cancel", "esc", id="cancel")
        self._confirm = DialogButton(confirm, "y", off="waits for lint", id="confirm")
        self._meaning = Static(classes="lines", markup=False)
        self._meaning_heading = Heading("What changes", "comparing", region=self._meaning)
        self._standing = Static(classes="lines", id="standing", markup=False)
        self.diff = DiffView(ground="dialog", id="diff")
        self._diff_heading = Heading("Text", "", region=self.diff)
        self.impact = ImpactPanel(ground="dialog", id="impact")

    def compose(self) -> ComposeResult:
        """Meaning, text, impact, reason, buttons."""
        with Vertical() as box:
            box.border_title = Text(self._title or "Apply").markup
            box.border_subtitle = "tab next part · d text · i impact · w why"
            yield self._meaning_heading
            with VerticalScroll(id="meaning-scroll", can_focus=False):
                yield Static(Text("\n").join(self._lines), classes="lines", id="own-lines")
                yield self._meaning
            yield self._standing
            self._diff_heading.add_class("gap")
            yield self._diff_heading
            yield self.diff
            self.impact.add_class("gap")
            yield self.impact
            with Horizontal(classes="gap"):
                yield Static("why", id="why-label", markup=False)
                yield Input(id="why", max_length=LONGEST_WHY, placeholder="optional, kept with the version")
            with Horizontal(classes="gap"):
                yield self._cancel
                yield self._confirm

    def on_mount(self) -> None:
        """Cancel has the focus; the answers are on their way."""
        self._opened = self._clock()
        self.query_one("#own-lines").display = bool(self._lines)
        self._standing.display = False
        self._cancel.focus()
        self._load()

    @property
    def ready(self) -> bool:
        """Whether an apply is possible: lint has answered and nothing speaks against it."""
        return not self._confirm.off

    # -- what arrives

    @work(exclusive=True, group="review", exit_on_error=False)
    async def _load(self) -> None:
        try:
            config = await self._link.config()
            linted, difference = await asyncio.gather(
                self._link.lint(self._text), self._link.diff(config.text, self._text)
            )
        except LinkError as error:
            self._meaning_heading.update(meta="unknown")
            self._meaning.update(Text(f"✗ {error}", style=role(self.app, "bad")))
            self._confirm.turn("the gateway gave no answer")
            self.impact.show_waiting("unknown")
            return
        self._show(config, linted, difference)
        if linted.valid:
            await self._replay()

    def _show(self, config: Config, linted: Linted, difference: Difference) -> None:
        present = config.file.hash or config.hash
        self._if_match = self._base or present
        box = self.query_one("ApplyReview > Vertical", Vertical)
        box.border_title = Text(self._title or f"Apply as v{config.number + 1}").markup
        meaning = meaning_lines(self.app, difference)
        self._meaning.update(Text("\n").join(meaning))
        number = len(difference.meaning or difference.values)
        self._meaning_heading.update(meta=f"{number} change{'s' if number != 1 else ''}")
        standing = [lint_line(self.app, linted), *standing_lines(self.app, config, self._base)]
        self._standing.update(Text("\n").join(standing))
        self._standing.display = True
        self.diff.show(difference.unified, Text("the text that runs", style=role(self.app, "muted")))
        came, went = self.diff.counts
        self._diff_heading.update(meta=f"v{config.number} → draft · +{came} -{went} lines")
        self._confirm.turn(self._why_not(config, linted))
        if not linted.valid:
            self.impact.show_waiting("waits for a clean lint")
        self._share_room()

    def _why_not(self, config: Config, linted: Linted) -> str:
        if not linted.valid:
            errors = sum(problem.severity == "error" for problem in linted.diagnostics)
            return f"not with {errors} error{'s' if errors != 1 else ''}"
        if config.text == self._text and config.file.state == "same":
            return "this text runs already"
        return ""

    async def _replay(self) -> None:
        self.impact.show_waiting()
        try:
            impact = await self._link.impact(self._text)
        except LinkError as error:
            self.impact.show_unknown(f"impact unknown: {error}")
        else:
            self.impact.show(impact)
        self._share_room()

    def on_resize(self) -> None:
        """Text and impact share the rows that are left."""
        self._share_room()

    def _share_room(self) -> None:
        # Borders, headings, the reason, the buttons and two rows each of text and impact are always in sight.
        standing = self._standing.size.height if self._standing.display else 1
        meaning = min(max(self.app.size.height - 11 - max(standing, 1), 2), 6)
        self.query_one("#meaning-scroll").styles.max_height = meaning
        # The rows of the other parts are known once they are laid out.
        self.call_after_refresh(self._give_rows)

    def _give_rows(self) -> None:
        if not self.is_mounted:
            return
        box = self.query_one("ApplyReview > Vertical", Vertical)
        others = sum(
            child.outer_size.height + child.styles.margin.height
            for child in box.children
            if child not in (self.diff, self.impact) and child.display
        )
        heading = 1 + self.impact.styles.margin.height
        left = self.app.size.height - 2 - others - heading
        numbers = max(int(self.impact.list.virtual_size.height), 1)
        rows = max(int(self.diff.virtual_size.height), 1)
        impact = max(min(numbers, max(left // 2, left - rows)), 2)
        self.impact.list.styles.max_height = impact
        self.diff.styles.height = max(min(rows, left - impact), 2)
        if not self.diff.has_focus:
            self.call_after_refresh(self.diff.to_first_change)

    # -- what the reader does

    def on_impact_panel_chosen(self, event: ImpactPanel.Chosen) -> None:
        """The requests behind a number."""
        event.stop()
        state = getattr(self.app, "state", None)
        if event.row.show is not None:
            shown = state if isinstance(state, AppState) else AppState()
            self.app.push_screen(
                ImpactRequests(self._link, shown, self._text, event.row.title, event.row.show)
            )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The reason is written: back to the safe button."""
        event.stop()
        self._cancel.focus()

    def on_dialog_button_pressed(self, event: DialogButton.Pressed) -> None:
        """One of the two buttons."""
        event.stop()
        if event.button is self._cancel:
            self.action_cancel()
        else:
            self.action_confirm()

    def on_click(self, event: Click) -> None:
        """A click beside the box cancels."""
        if event.widget is self:
            self.dismiss(ReviewResult(False))

    def action_cancel(self) -> None:
        """Changes nothing; from the field of the reason, `esc` only leaves the field."""
        field = self.query_one("#why", Input)
        if field.has_focus:
            self._cancel.focus()
        else:
            self.dismiss(ReviewResult(False))

    def action_confirm(self) -> None:
        """Applies; deaf for half a second, and while there is a reason not to."""
        if self._clock() - self._opened < DEAF_S:
            return
        if self._confirm.off:
            self.notify(f"not yet: {self._confirm.off}", markup=False)
            return
        why = self.query_one("#why", Input).value.strip()
        self.dismiss(ReviewResult(True, why, self._if_match))

    def action_region(self, name: str) -> None:
        """To the text, the impact or the reason."""
        target = self.impact.list if name == "impact" else self.query_one(f"#{name}")
        target.focus()
