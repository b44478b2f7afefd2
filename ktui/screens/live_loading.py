"""Loading for the event list: older and newer pages, searches, jumps, and what arrives under a filter."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from textual import work
from textual.containers import Vertical

from ktui.event_rows import EventRows
from ktui.event_source import Around, EventSource
from ktui.link import LinkError, Refused
from ktui.screens.live_words import Searching
from ktui.widgets.event_table import EventTable

_AGAIN_S = 1.0
"""Seconds after which a stream that broke is opened again."""


@dataclass(eq=False)
class Listing:
    """One list: all requests, or those that a filter asks for."""

    rows: EventRows
    source: EventSource
    search: Searching | None = None
    """Only with a filter."""
    newest: int | None = None
    """With a filter: the `seq` up to which is searched; what is newer is told by the stream."""
    joined: int | None = None
    """The oldest row when the search was last heard of: while it still is, nothing was let go."""

    def next_step(self) -> tuple[int | None, bool]:
        """Before which `seq` a search goes on, and whether everything newer was looked at already."""
        search, first = self.search, self.rows.first_seq
        if search is None or not search.searched:
            return None if self.newest is None else self.newest + 1, True
        if search.reached_seq is not None and (first is None or first == self.joined):
            return search.reached_seq, True
        return first, False


class Loading(Vertical):
    """Workers over the listings. What comes late is put into the listing it was asked for, on show or not."""

    table: EventTable

    def loaded(self) -> None:
        """Rows, or what is known of a search, have changed."""
        raise NotImplementedError

    def arrived(self) -> None:
        """Rows wait in a listing for the next frame."""
        raise NotImplementedError

    def in_force(self, listing: Listing) -> None:
        """The gateway can read the filter of a listing: its first answer is there."""
        raise NotImplementedError

    def refused(self, listing: Listing, error: Refused) -> None:
        """The filter of a listing cannot be read."""
        raise NotImplementedError

    def not_loaded(self, error: LinkError) -> None:
        """A jump that the reader waits for failed."""
        raise NotImplementedError

    @contextmanager
    def changing(self, listing: Listing) -> Iterator[None]:
        """Rows of the listing change inside; the picture stands."""
        if self.table.rows is listing.rows:
            with self.table.steady():
                yield
        else:
            yield
        self.loaded()

    def load_older(self, listing: Listing) -> None:
        """The page before the oldest row."""
        if listing.search is not None:
            self._search(listing, listing.search)
        else:
            self._older(listing)

    @work(exclusive=True, group="older", exit_on_error=False)
    async def _older(self, listing: Listing) -> None:
        rows = listing.rows
        before, rows.older = rows.first_seq, "loading"
        self.table.refresh()
        try:
            page = await listing.source.older(before)
        except LinkError as error:
            rows.older, rows.trouble = "failed", str(error)
            self.table.refresh()
        else:
            with self.changing(listing):
                rows.extend_older(page.rows, before, ended=page.ended)
        finally:
            if rows.older == "loading":  # It was overtaken: the end is open again.
                rows.older = "open"

    @work(exclusive=True, group="newer", exit_on_error=False)
    async def load_newer(self, listing: Listing) -> None:
        """The page after the newest row on show."""
        rows = listing.rows
        after = rows.last_seq
        if after is None:
            return
        rows.newer = "loading"
        try:
            page = await listing.source.newer(after)
        except LinkError as error:
            rows.newer, rows.trouble = "failed", str(error)
            self.table.refresh()
        else:
            with self.changing(listing):
                rows.extend_newer(page.rows, after, ended=page.ended)
        finally:
            if rows.newer == "loading":
                rows.newer = "open"

    @work(exclusive=True, group="search", exit_on_error=False)
    async def _search(self, listing: Listing, search: Searching) -> None:
        rows = listing.rows
        rows.older = "loading"
        begin, further = listing.next_step()
        search.begin(further=further)
        self.loaded()
        try:
            await self._search_on(listing, search, begin)
        except Refused as error:
            rows.older = "end"
            self.refused(listing, error)
        except LinkError as error:
            rows.older, rows.trouble, rows.paged = "failed", str(error), True
            if not len(rows):
                self.not_loaded(error)
        finally:
            search.running = False
            if rows.older == "loading":
                rows.older, rows.paged = "stopped" if search.stopped else "open", True
            self.table.refresh()
            self.loaded()

    async def _search_on(self, listing: Listing, search: Searching, begin: int | None) -> None:
        rows, before = listing.rows, listing.rows.first_seq
        if not search.searched:
            before = None
        async with aclosing(listing.source.search(begin)) as steps:
            async for step in steps:
                self.in_force(listing)
                if step.rows:
                    with self.changing(listing):
                        if not rows.extend_older(step.rows, before, ended=True):
                            rows.older = "open"
                            return
                        rows.older = "loading"
                    before = rows.first_seq
                if step.progress is not None:
                    search.heard(step.progress)
                    listing.joined = rows.first_seq
                    if step.progress.done:
                        with self.changing(listing):
                            rows.older = "end" if step.progress.complete else "open"
                            rows.paged = rows.paged or not step.progress.complete
                    self.loaded()

    def stop_search(self, listing: Listing) -> None:
        """The reader has seen enough."""
        if listing.search is not None and listing.search.running:
            listing.search.stopped = True
            self.workers.cancel_group(self, "search")

    @work(exclusive=True, group="arriving", exit_on_error=False)
    async def follow_found(self, listing: Listing, after: int) -> None:
        """What arrives and matches; a stream that broke goes on where it ended."""
        while True:
            try:
                async with aclosing(listing.source.follow(after)) as rows:
                    async for row in rows:
                        after = row.seq
                        listing.rows.offer((row,))
                        self.arrived()
            except Refused:
                return
            except LinkError:
                pass  # The header says that the link is lost.
            await asyncio.sleep(_AGAIN_S)

    @work(exclusive=True, group="jump", exit_on_error=False)
    async def jump_to_oldest(self, listing: Listing) -> None:
        """The first request in the store."""
        try:
            page = await listing.source.oldest()
        except LinkError as error:
            self.not_loaded(error)
            return
        if page.rows:
            self._jumped(listing, Around(page.rows, page.rows[0].seq, True, page.ended))

    @work(exclusive=True, group="jump", exit_on_error=False)
    async def jump_to_time(self, listing: Listing, moment: datetime) -> None:
        """The first request at or after a moment (with a zone)."""
        try:
            around = await listing.source.around(moment)
        except LinkError as error:
            self.not_loaded(error)
            return
        self._jumped(listing, around)

    @work(exclusive=True, group="jump", exit_on_error=False)
    async def jump_to_seq(self, listing: Listing, seq: int) -> None:
        """One request that is not in memory any more."""
        try:
            around = await listing.source.around_seq(seq)
        except LinkError as error:
            self.not_loaded(error)
            return
        self._jumped(listing, around)

    def _jumped(self, listing: Listing, around: Around) -> None:
        if around.cursor_seq is None:
            return
        self.stop_search(listing)
        listing.rows.jump(
            around.rows,
            around.cursor_seq,
            oldest_known=around.oldest_known,
            newest_known=around.newest_known,
        )
        if self.table.rows is listing.rows:
            self.table.show_cursor()
        self.loaded()
