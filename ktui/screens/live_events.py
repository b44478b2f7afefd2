"""EventsRegion: the list of requests with its heading and filter line."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import datetime

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Static

from ktui.answers import EventRow, Status
from ktui.editor.popup import OfferList
from ktui.event_rows import EventRows
from ktui.event_source import EventSource
from ktui.filter_offers import known_values
from ktui.link import GatewayLink, LinkError, Refused
from ktui.refresh import Scheduler
from ktui.screens.live_loading import Listing, Loading
from ktui.screens.live_words import (
    Searching,
    follow_note,
    heading_meta,
    no_hit,
    no_request,
    sentence,
    sorted_note,
)
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.event_table import EventTable
from ktui.widgets.filter_line import FilterLine
from ktui.widgets.heading import Heading
from proxy.base.sanitise import sanitise

_NARROW = 100
_TYPING = "enter applies · tab takes an offer · up: filters used before · esc leaves"


class EventsRegion(Loading):
    """Lists requests: all of them, or those a filter asks for, as far back as the store goes."""

    DEFAULT_CSS = """
    EventsRegion { height: 1fr; width: 1fr; layers: default popup; }
    """

    class Said(Message):
        """Something for the note line."""

        def __init__(self, text: Text) -> None:
            super().__init__()
            self.text = text

    class Moved(Message):
        """The note line has something else to say; `by_itself`: new requests moved the cursor."""

        def __init__(self, by_itself: bool = False) -> None:
            super().__init__()
            self.by_itself = by_itself

    def __init__(
        self,
        link: GatewayLink,
        state: AppState,
        scheduler: Scheduler,
        named: MutableMapping[str, str],
        *,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._link = link
        self._state = state
        self._scheduler = scheduler
        self._named = named
        self._all = Listing(EventRows(), EventSource(link))
        self._found: Listing | None = None
        self._candidate: Listing | None = None
        """The filter that was asked for last, until the gateway could read it."""
        self._splits: tuple[object, ...] = ()
        self._heard = False
        self.table = EventTable(state, self._all.rows, id="events")
        self.line = FilterLine(OfferList(id="filter-offers"), lambda: self._named)
        self._heading = Heading("Events", "waiting for the gateway", region=self, focuses=self.table)
        self._trouble = Static(id="trouble", markup=False)

    def compose(self) -> ComposeResult:
        """Heading, filter, trouble with the store, the requests."""
        yield self._heading
        yield self.line
        yield self._trouble
        yield self.table
        yield self.line.offers

    # -- what is listed

    @property
    def listing(self) -> Listing:
        """The list on show."""
        return self._found if self._found is not None and self.table.rows is self._found.rows else self._all

    @property
    def filter_text(self) -> str:
        """The filter in force; empty: all requests are listed."""
        return self.listing.source.text

    @property
    def named(self) -> Mapping[str, str]:
        """Filters saved under a name."""
        return self._named

    def set_filter(self, text: str) -> None:
        """Lists what `text` asks for; empty: all requests. A text that cannot be read changes nothing, and says so."""
        if not text.strip():
            self._end_found()
            self._candidate = self._found = None
            self.line.show("")
            self._show(self._all)
            return
        source, newest = EventSource(self._link, text.strip()), self._all.rows.newest_seq
        self._candidate = Listing(EventRows(), source, Searching(), newest)
        self.load_older(self._candidate)

    def in_force(self, listing: Listing) -> None:
        """The gateway can read the filter: its list takes the place of the one before."""
        if listing is not self._candidate:
            return
        self._candidate, self._found = None, listing
        typing = self.line.typing
        self.line.show(listing.source.text)
        self._show(listing)
        self.workers.cancel_group(self, "arriving")
        if self._state.moment is None:
            self.follow_found(listing, listing.newest or 0)
        if typing:
            self.table.focus()

    def _end_found(self) -> None:
        for group in ("search", "arriving"):
            self.workers.cancel_group(self, group)

    def _show(self, listing: Listing) -> None:
        self.table.show_rows(listing.rows)
        self.loaded()

    def toggle(self) -> None:
        """The filter off, or on again."""
        if self._found is None:
            self.say("no filter is set: / types one")
            return
        on = self.listing is not self._found
        self.line.show(self._found.source.text, off=not on)
        self._show(self._found if on else self._all)

    def start_over(self) -> None:
        """Another moment is shown: nothing of what is in memory belongs to it."""
        self._end_found()
        text = self.filter_text
        self._candidate = self._found = None
        self._heard = False
        self._all = Listing(EventRows(), EventSource(self._link))
        self._show(self._all)
        if text:
            self.set_filter(text)

    # -- what arrives

    def on_status(self, status: Status) -> None:
        """New arms change the colours of the rows; the numbers of the heading follow."""
        arms = tuple((split.name, split.tags) for split in status.splits)
        if arms != self._splits:
            self._splits = arms
            self.table.forget()
        trouble = status.events.trouble
        self._trouble.display = bool(trouble)
        if trouble:
            self._trouble.update(Text(f" ! {sanitise(trouble, 300)}", style=role(self.app, "warn")))
        self.show_meta()

    def on_events(self, rows: list[EventRow]) -> None:
        """Rows wait for the next frame of the table."""
        self._heard = True
        self._all.rows.offer(rows)
        if self.listing is not self._all and not self.table.held:
            self._all.rows.take()
        self.arrived()
        self._show_empty()

    def missed(self) -> None:
        """What comes next does not join on to what is in memory."""
        self._all.rows.missed()

    def freeze(self, frozen: bool) -> None:
        """Rows wait while the picture is frozen."""
        self.table.held = frozen
        self.show_meta()

    def flush(self) -> None:
        """Shows what waits; the scheduler calls it at most twice a second."""
        search, new = self.listing.search, self.table.flush()
        if search is not None and new:
            search.arrived(new)
            self.show_meta()

    def arrived(self) -> None:
        """Rows wait in a listing for the next frame."""
        (self._scheduler.mark if len(self.table.rows) else self._scheduler.soon)("table")

    def loaded(self) -> None:
        """Rows, or what is known of a search, have changed."""
        self.table.leaves = self.listing.search is not None and self.listing.search.running
        self.show_meta()

    def refused(self, listing: Listing, error: Refused) -> None:
        """The filter of a listing cannot be read."""
        if listing in (self._candidate, self._found):
            self._candidate = None
            words = str(error).removeprefix("filter: ")
            self.line.fault(words, error.columns[0] if error.columns is not None else 1)
            self.table.check_ends()

    def not_loaded(self, error: LinkError) -> None:
        """A jump that the reader waits for failed."""
        self.say(Text(f"✗ {error}", style=role(self.app, "bad")))

    # -- words

    def show_meta(self) -> None:
        """The heading follows the list."""
        listing = self.listing
        self._heading.update(
            meta=heading_meta(
                self.app,
                listing.rows,
                self._state,
                listing.search,
                marks=len(self.table.marks),
                narrow=self.app.size.width < _NARROW,
                order=self.table.order,
                loaded=len(self.table.view),
            )
        )
        self._show_empty()

    def _show_empty(self) -> None:
        listing = self.listing
        if len(listing.rows) or listing.rows.waiting:
            return
        status = self._state.status
        if listing.search is not None:
            live = self._state.moment is None
            self.table.show_empty(no_hit(self.app, listing.search, listing.source.text, live=live))
        elif status is not None and status.gateway.listen and self._heard:
            split = self._state.main_split
            model = split.arms[0].model if split is not None and split.arms else "gpt-4o"
            self.table.show_empty(no_request(self.app, status.gateway.listen, model))

    def note(self) -> Text:
        """Keys while typing; follow state when it is off; else a sentence on the request under the cursor."""
        if self.line.typing:
            return Text(_TYPING)
        if self.table.is_sorted:
            return sorted_note(self.app, self.table.order, self.table.rows.new_below)
        if not self.table.following:
            return follow_note(self.app, self.table.rows)
        row = self.table.current
        return Text() if row is None else Text(sentence(row))

    def say(self, text: Text | str) -> None:
        """Something for the note line."""
        self.post_message(self.Said(Text(text) if isinstance(text, str) else text))

    # -- the reader

    def on_event_table_changed(self, event: EventTable.Changed) -> None:
        """Heading and note follow the cursor."""
        event.stop()
        self.show_meta()
        self.post_message(self.Moved(by_itself=self.table.rows.following))

    def on_event_table_needs(self, event: EventTable.Needs) -> None:
        """The page beyond an end."""
        event.stop()
        listing = self.listing
        if event.older and listing.rows.older == "open":
            self.load_older(listing)
        elif not event.older and listing.rows.newer == "open":
            self.load_newer(listing)

    def on_event_table_wants_oldest(self, event: EventTable.WantsOldest) -> None:
        """To the first request in the store."""
        event.stop()
        self.jump_to_oldest(self.listing)

    def on_event_table_leaves(self, event: EventTable.Leaves) -> None:
        """`esc` ends a search."""
        event.stop()
        self.stop_search(self.listing)

    def on_filter_line_applied(self, event: FilterLine.Applied) -> None:
        """`enter` in the line."""
        event.stop()
        self.set_filter(event.text)
        if not event.text:
            self.table.focus()

    def on_filter_line_left(self, event: FilterLine.Left) -> None:
        """Back to the list; a search that runs goes on."""
        event.stop()
        self.table.focus()

    def on_descendant_blur(self) -> None:
        """The note speaks of the list again."""
        self.post_message(self.Moved())

    def on_filter_line_toggled(self, event: FilterLine.Toggled) -> None:
        """A click on `off/on`."""
        event.stop()
        self.toggle()

    def on_offer_list_chosen(self, event: OfferList.Chosen) -> None:
        """A click on an offer."""
        event.stop()
        self.line.take(event.index)

    @work(exclusive=True, group="fields", exit_on_error=False)
    async def on_filter_line_entered(self, event: FilterLine.Entered) -> None:
        """Names and values for the offers: those of now."""
        self.post_message(self.Moved())
        rows = self._all.rows
        self.line.known = known_values(self._state, rows.tail)
        if not self.line.fields:
            try:
                self.line.fields = await self._link.filter_fields()
            except LinkError:
                return  # Typing goes on without offers.

    def go_to(self, moment: datetime) -> None:
        """The cursor on the first request at or after a moment."""
        self.jump_to_time(self.listing, moment)

    def step_mark(self, by: int) -> None:
        """The next marked request, or without marks the next one that failed; `by` is 1 or -1."""
        rows, at = self.table.rows, self.table.current
        if at is None:
            return
        if self.table.marks:
            seqs = sorted(self.table.marks, reverse=by < 0)
            seq = next((seq for seq in seqs if (seq - at.seq) * by > 0), None)
        else:
            places = range(self.table.cursor + by, len(rows) if by > 0 else -1, by)
            seq = next((rows[place].seq for place in places if rows[place].failed), None)
        if seq is None:
            what = "mark" if self.table.marks else "failed request in memory"
            self.say(f"no {what} {'below' if by > 0 else 'above'}")
        elif rows.index_of(seq) is None:
            self.jump_to_seq(self.listing, seq)
        else:
            rows.stop()
            rows.cursor_seq = seq
            self.table.show_cursor()

    def save_filter(self, name: str) -> None:
        """Keeps the filter in force under a name."""
        self._named[name] = self.filter_text
        self.say(f"saved: {name} stands in the palette, and in the offers of /")

    def forget_filter(self, name: str) -> None:
        """Drops a name; the filter itself stays in force."""
        self._named.pop(name, None)
