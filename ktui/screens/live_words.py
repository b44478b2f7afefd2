"""Words of the event list: its heading, what stands in it while it is empty, one request as a sentence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from ktui.answers import EventRow
from ktui.event_rows import EventRows
from ktui.event_sort import Order
from ktui.event_source import Progress
from ktui.number_words import clock, duration_ms, moment
from ktui.state import AppState
from ktui.themes import role
from ktui.when import moment_words
from ktui.widgets.event_columns import why
from proxy.base.sanitise import sanitise


@dataclass
class Searching:
    """How far the search for one filter is, over all its steps. Counts are of requests."""

    running: bool = False
    stopped: bool = False
    """Whether the reader ended it."""
    found: int = 0
    searched: int = 0
    total: int = 0
    reached: str | None = None
    complete: bool = False
    reached_seq: int | None = None
    """Everything from the newest down to this `seq` was looked at."""
    _counts: bool = True
    _found_before: int = 0
    _searched_before: int = 0

    def begin(self, *, further: bool) -> None:
        """A step; `further`: it goes on where everything newer was looked at. Else it reads again, and counts nothing."""
        self.running, self.stopped, self._counts = True, False, further
        self._found_before, self._searched_before = self.found, self.searched

    def heard(self, progress: Progress) -> None:
        """The step tells how far it is."""
        if progress.done:
            self.running = False
        if not self._counts:
            return
        self.found = self._found_before + progress.found
        self.searched = self._searched_before + progress.searched
        self.total = max(self._searched_before + progress.total, self.searched)
        self.reached = progress.reached or self.reached
        self.reached_seq = progress.reached_seq if progress.reached_seq is not None else self.reached_seq
        self.complete = progress.done and progress.complete

    def arrived(self, rows: int) -> None:
        """Requests that match and came since."""
        self.found += rows
        self._found_before += rows

    @property
    def back_to(self) -> str:
        """`back to 12:03`, or nothing when nothing is known."""
        reached = moment(self.reached) if self.reached is not None else None
        return "" if reached is None else f"back to {moment_words(reached, datetime.now().astimezone())}"


def heading_meta(
    app: object,
    rows: EventRows,
    state: AppState,
    search: Searching | None,
    *,
    marks: int,
    narrow: bool,
    order: Order | None = None,
    loaded: int = 0,
) -> Text:
    """What stands at the right of the heading."""
    meta = Text(style=role(app, "muted"), no_wrap=True, end="")
    parts: list[tuple[str, str]] = []
    if not state.link.reachable:
        parts.append(("? not live", "unknown"))
    elif state.frozen_at is not None:
        parts.append(("‖ frozen", "paused"))
    elif search is None and state.moment is None and (rows.following or not narrow):
        # Where there is little room the note line alone says that following is off.
        parts.append(("following", "muted") if rows.following else ("‖ follow off", "paused"))
        if rows.new_below:
            parts.append((f"+{rows.new_below:,} new", "strong"))
    if marks:
        parts.append((f"{marks:,} marked", "strong"))
    if order is not None and not order.by_time:
        parts.append((f"sorted by {order.words}: {loaded:,} loaded", "strong"))
        search, parts = None, [part for part in parts if part[0] != "‖ follow off"]
    stored = _stored(state) if state.moment is None else None
    if search is not None and rows.gap and len(rows):
        # The counts are of a search from the newest down; these rows are from elsewhere.
        parts.append((_memory_words(rows), "muted"))
        if search.running:
            parts.append(("searching", "muted"))
    elif search is not None:
        parts += [(words, "muted") for words in _search_words(search, stored, narrow=narrow)]
    elif order is None or order.by_time:
        parts.append((_memory_words(rows), "muted"))
        if narrow and stored is not None:
            parts.append((f"{stored:,} stored", "muted"))
    for index, (words, name) in enumerate(parts):
        meta.append(" · " if index else "").append(words, role(app, name))
    return meta


def _memory_words(rows: EventRows) -> str:
    if rows.gap and len(rows):
        first, last = moment(rows[0].timestamp), moment(rows[len(rows) - 1].timestamp)
        since = moment_words(first, datetime.now().astimezone()) if first is not None else "unknown"
        return f"{since} to {clock(last)}, from the store"
    full = len(rows.tail) >= rows.limit and not rows.window
    return f"newest {rows.limit:,} in memory" if full else f"{len(rows):,} in memory"


def _search_words(search: Searching, stored: int | None, *, narrow: bool) -> list[str]:
    of = f"{search.found:,} of {search.searched:,}"
    if search.running and not search.complete:
        total = "" if narrow or not search.total else f" {search.total:,} stored"
        back = search.back_to
        return [of, f"searching{total}" + (f", {back}" if back else "")]
    if search.complete:
        return [f"{search.found:,} of {max(search.searched, stored or 0):,} stored"]
    words = [of]
    if search.back_to:
        words.append(f"looked {search.back_to}" if not search.stopped else f"stopped, {search.back_to}")
    if stored is not None and not narrow:
        words.append(f"{stored:,} stored")
    return words


def _stored(state: AppState) -> int | None:
    if state.status is None:
        return None
    events = state.status.events
    return events.total if events.total is not None else events.stored


def no_hit(app: object, search: Searching, text: str, *, live: bool) -> Text:
    """What stands in the list while nothing that matches is known; `live`: more may come."""
    words = f"{search.found:,} of {search.searched:,} match"
    if search.complete and not search.running:
        # The figures stand in the heading, where those that come are counted too.
        words = "No stored request matches" + ("; one that comes is shown" if live else "")
    elif search.running:
        words += f"; searching {search.total:,} stored …" if search.total else "; searching …"
    elif search.stopped:
        words += "; the search was stopped: k goes on"
    line = Text(f"{words}\n\n", style=role(app, "text"))
    return line.append(f"{sanitise(text, 200)}\n", role(app, "muted")).append(
        "\\ shows all requests, / changes the filter", role(app, "muted")
    )


def no_request(app: object, listen: str, model: str) -> Text:
    """How to send a first request."""
    lines = Text("No request yet. Try:\n\n", style=role(app, "text"))
    for line in (
        f"curl http://{sanitise(listen, 80)}/v1/chat/completions \\",
        "  -H 'content-type: application/json' \\",
        f'  -d \'{{"model": "{sanitise(model, 60)}",',
        '       "messages": [{"role": "user", "content": "hello"}]}\'',
    ):
        lines.append(f"{line}\n", role(app, "muted"))
    return lines


def follow_note(app: object, rows: EventRows) -> Text:
    """That following is off, and how to follow again."""
    line = Text("‖ follow off", style=f"bold {role(app, 'paused')}", no_wrap=True, end="")
    muted = f"not bold {role(app, 'muted')}"
    if rows.new_below:
        line.append(" · ", muted).append(f"+{rows.new_below:,} new", role(app, "strong"))
        line.append(" below, none lost", muted)
    return line.append(" · f or end follows again", muted)


def sorted_note(app: object, order: Order, new: int) -> Text:
    """That only what was in memory is sorted, and the way back."""
    line = Text(f"‖ sorted by {order.words}", style=f"bold {role(app, 'paused')}", no_wrap=True, end="")
    muted = f"not bold {role(app, 'muted')}"
    if new:
        line.append(" · ", muted).append(f"+{new:,} new", role(app, "strong"))
    return line.append(" · s next column, r the other way, f or esc back to time", muted)


def sentence(row: EventRow) -> str:
    """What happened to one request, in one line."""
    model = sanitise(row.model or "unknown model", 80)
    took = duration_ms(row.latency_ms)
    if row.decision == "block":
        return f"{sanitise(row.requested_model or model, 80)} was refused: {why(row)[0]}"
    if row.failed:
        detail = f" ({sanitise(row.error_message, 160)})" if row.error_message else ""
        return f"{model} failed with {row.status} after {took}: {why(row)[0]}{detail}"
    words = f"{model} answered in {took}"
    if row.tag is not None:
        kind = sanitise(row.metadata.get("unit_kind") or "a random draw", 40)
        words += f"; {sanitise(row.tag, 40)} chosen by {kind}"
        words += f" in {sanitise(row.split, 60)}" if row.split else ""
    elif row.decision in {"redirect", "warn"}:
        words += f"; {why(row)[0]}"
    return words
