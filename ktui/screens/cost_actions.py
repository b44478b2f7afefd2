"""What the commands of the Cost screen do."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from rich.text import Text
from textual import work

from ktui.cost_answers import Advice, Cost, Finding
from ktui.cost_chart_words import MEASURES
from ktui.cost_table import SORTS, CostRow, table_file
from ktui.cost_words import GROUPINGS, USUAL, WINDOWS
from ktui.draft import file_of
from ktui.export import ExportError
from ktui.link import GatewayLink
from ktui.screens.copying import copy_text
from ktui.screens.cost_row import CostRowScreen
from ktui.screens.pane import Pane
from ktui.screens.writing import ask_file
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.row_list import CopyList, RowList
from proxy.base.sanitise import sanitise

_BARE = re.compile(r"[\w.\-/]+\Z")
FORMATS = ("csv", "json")
"""What a table is written as."""
_FILTERS = {"model": "model", "provider": "provider", "key": "key", "policy": "policy"}


@runtime_checkable
class Destinations(Protocol):
    """An application with the screens that this one leads to."""

    def show_requests(self, filter_text: str) -> None:
        """Live, with these requests."""

    def show_draft(self, text: str, words: str) -> None:
        """Policy, with this draft."""

    def show_in_policy(self, names: Sequence[str]) -> bool:
        """Policy, at the line that says the first of `names` that is there; whether one is."""


def filter_of(dimension: str, row: CostRow, since: int) -> str | None:
    """The filter of the requests behind a row since `since` (seconds); None where the language cannot name them."""
    window = f"time>={datetime.fromtimestamp(since, UTC):%Y-%m-%dT%H:%M:%SZ}"
    group = row.group
    if group is None:
        return window
    if dimension == "variant":
        split = f"split:{_value(group.split)} " if group.split else ""
        return f"{window} {split}variant:{_value(group.group)}"
    field = _FILTERS.get(dimension)
    return None if field is None else f"{window} {field}:{_value(group.group)}"


def _value(text: str) -> str:
    if _BARE.match(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class CostActions(Pane):
    """Actions; the screen adds what is seen."""

    list: CopyList[CostRow]
    findings: RowList[Finding]

    def __init__(self, link: GatewayLink, state: AppState, *, id: str | None = None) -> None:
        super().__init__(link, state, id=id)
        self.cost: Cost | None = None
        self.advice: Advice | None = None
        self.window, self.window_chosen = USUAL, False
        self.dimension, self.measure = GROUPINGS[0], 0
        self.sort, self.reverse = SORTS[0], False

    @property
    def short(self) -> bool:
        """Whether the findings stand in place of the table."""
        raise NotImplementedError

    def load(self, *, advice: bool = False) -> None:
        """Ask for what is shown now; `advice` also when it is not due."""
        raise NotImplementedError

    def show_rows(self) -> None:
        """The table in its order."""
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError

    # -- what is asked for

    def action_cost_group(self) -> None:
        """By the next dimension."""
        self.dimension = GROUPINGS[(GROUPINGS.index(self.dimension) + 1) % len(GROUPINGS)]
        self.load()

    def action_cost_longer(self) -> None:
        """Look further back."""
        self._change_window(1)

    def action_cost_shorter(self) -> None:
        """Look at less."""
        self._change_window(-1)

    def _change_window(self, by: int) -> None:
        wanted = self.window + by
        if not 0 <= wanted < len(WINDOWS):
            self.say(f"{WINDOWS[self.window][2]} is the {'longest' if by > 0 else 'shortest'} window")
            return
        self.window, self.window_chosen = wanted, True
        self.load()

    # -- how it is shown

    def action_cost_view(self) -> None:
        """The next measure of the chart; where the findings have no room beside the table, they and it change places."""
        if self.short:
            self.toggle_class("-advice")
            self.focus_main()
        else:
            self.measure = (self.measure + 1) % len(MEASURES)
        self._show()

    def action_cost_sort(self) -> None:
        """By the next column."""
        self.sort, self.reverse = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)], False
        self._sorted()

    def action_cost_reverse(self) -> None:
        """The other way."""
        self.reverse = not self.reverse
        self._sorted()

    def _sorted(self) -> None:
        self.show_rows()
        # The arrow stands in the title, which is none of the rows.
        self.list.repaint()
        self.say(f"sorted by {self.sort}; s next column, r the other way")

    # -- where it leads

    def _row(self) -> CostRow | None:
        row = self.list.current
        if row is None:
            self.say("there is no row yet")
        return row

    def action_cost_traffic(self) -> None:
        """The requests behind the row, on Live."""
        row, app = self._row(), self.app
        if row is None or self.cost is None or not isinstance(app, Destinations):
            return
        text = filter_of(self.dimension, row, self.cost.since)
        if text is None:
            self.say("a user is kept as a digest: write user: and the name on Live, which finds it by that")
            return
        app.show_requests(text)

    def action_cost_edit(self) -> None:
        """The line of the policy that the row comes from."""
        row, app = self._row(), self.app
        if row is None or row.group is None or not isinstance(app, Destinations):
            return
        if not app.show_in_policy(self._names_of(row.group.group, row.group.split)):
            self.say(f"the policy has no line for {sanitise(row.name, 60)}")

    def _names_of(self, group: str, split: str | None) -> tuple[str, ...]:
        """What to look for in the text: for a model the target that names it, else the model."""
        if self.dimension == "variant":
            return tuple(name for name in (group, split) if name)
        if self.dimension != "model" or self.state.status is None:
            return (group,)
        targets = [t.id for t in self.state.status.targets if group in t.models]
        return (*targets, group)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """A finding becomes a draft; a row shows what it is made of."""
        event.stop()
        app, finding = self.app, self.findings.current
        if event.source is self.findings:
            config = self.state.config
            if self.advice is None or config is None or file_of(config)[1] != self.advice.version:
                self.say("the policy file is another now: the findings are looked for again")
                self.load(advice=True)
            elif finding is not None and isinstance(app, Destinations):
                words = f"draft of the finding: policy {sanitise(finding.policy, 60)} · ctrl+s shows its impact and asks"
                app.show_draft(finding.text, words)
        elif self.cost is not None and self.list.current is not None:
            app.push_screen(CostRowScreen(self.cost, self.list.current))

    def on_copy_list_copied(self, event: CopyList.Copied) -> None:
        """The name of the group."""
        event.stop()
        row = self.list.current
        if row is not None:
            self._copy(row.group.group if row.group is not None else row.name)

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def _copy(self, name: str) -> None:
        await copy_text(self.app, self.state, name, f"{self.dimension} {sanitise(name, 80)}")

    @work(exclusive=True, group="cost-write", exit_on_error=False)
    async def action_cost_write(self) -> None:
        """The table into a new file."""
        cost = self.cost
        if cost is None or not self.list.items:
            self.say("there is nothing to write yet")
            return
        name = f"cost-by-{self.dimension}-{datetime.now().astimezone():%Y%m%d-%H%M%S}.csv"
        what = f"{len(self.list.items)} rows"
        try:
            target = await ask_file(self.app, "Write the table to a file", what, name, FORMATS)
            if target is None:
                return
            path, form = target
            _write(path, table_file(cost, self.list.items, form))
        except (ExportError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self.say(Text(f"✗ not written: {sanitise(reason, 200)}", style=role(self.app, "bad")))
        else:
            self.say(Text(f"✓ written: {sanitise(path, 200)}", style=role(self.app, "ok")))


def _write(path: Path, text: str) -> None:
    """A new file, readable by its owner. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
