"""History: every applied version, what each changed, any two compared, an earlier one restored."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import pairwise
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from ktui.answers import Config, Difference, Status, Version
from ktui.commands import bindings
from ktui.geometry import WIDE
from ktui.history_words import SHORT_HASH, particulars, title_line, version_line, what_words
from ktui.link import GatewayLink, LinkError
from ktui.number_words import moment
from ktui.review_words import meaning_lines
from ktui.screens.apply_review import review
from ktui.screens.copying import copy_text
from ktui.screens.diff_screen import DiffScreen
from ktui.screens.pane import Pane
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.diff_view import DiffView
from ktui.widgets.heading import Heading
from ktui.widgets.row_list import CopyList, RowList
from proxy.base.sanitise import sanitise

RENEW_S = 10.0
"""Seconds after which the counts are asked for again."""
_BELOW = 5
"""Rows of the change below the list on a narrow screen, as its style sheet says."""
MOST_DESCRIBED = 40
"""Versions without a reason whose change is looked up to say what they did."""


class HistoryPane(Pane):
    """The versions of the file, newest first."""

    place: ClassVar[str] = "history"
    title: ClassVar[str] = "History"
    BINDINGS: ClassVar[list[BindingType]] = bindings("history")

    def __init__(self, link: GatewayLink, state: AppState, *, id: str | None = None) -> None:
        super().__init__(link, state, id=id)
        self._texts: dict[str, str] = {}
        self._meanings: dict[int, tuple[str, ...]] = {}
        self._marked: int | None = None
        self._new_while_frozen = 0
        self._to_newest = False
        self._asked_at = 0.0
        self._loaded = False
        self.list: CopyList[Version] = CopyList(
            self._paint, lambda width: title_line(self.app, width), id="versions"
        )
        self._heading = Heading("Versions", "waiting for the gateway", region=self.list)
        self._meaning = Static(id="version-meaning", markup=False)
        self._particulars = Static(id="version-particulars", markup=False)
        self._side_heading = Heading("Change", "", region=self._meaning)
        self.diff = DiffView(id="version-diff")
        self._diff_heading = Heading("Text", "", region=self.diff)

    def compose(self) -> ComposeResult:
        """Versions, what the one under the cursor changed, and that as text."""
        with Vertical(id="version-top"):
            with Vertical(id="version-list"):
                yield self._heading
                yield self.list
            with Vertical(id="version-side"):
                yield self._side_heading
                with VerticalScroll(id="version-scroll", can_focus=False):
                    yield self._meaning
                    yield self._particulars
        with Vertical(id="version-text"):
            yield self._diff_heading
            yield self.diff

    # -- what arrives

    def on_status(self, status: Status) -> None:
        """The count of the version that runs grows: asked for again now and then."""
        due = time.monotonic() - self._asked_at >= RENEW_S
        if self.shown and self.state.frozen_at is None and self._loaded and due:
            self._load()

    def on_config(self, config: Config) -> None:
        """A new version; a frozen picture only counts it."""
        if self.state.frozen_at is not None:
            self._new_while_frozen += 1
            self._show_meta()
        elif self.shown:
            self._load()

    def on_frozen(self, frozen: bool) -> None:
        """Thawing shows the present."""
        self._new_while_frozen = 0
        if not frozen and self.shown:
            self._load()
        self._show_meta()

    def watch_shown(self, shown: bool) -> None:
        """A pane that comes back shows the present."""
        if shown and self.state.frozen_at is None:
            self._load()

    @work(exclusive=True, group="history-load", exit_on_error=False)
    async def _load(self) -> None:
        try:
            versions = await self.link.versions()
        except LinkError as error:
            if not self.list.items:
                self.list.show_empty(Text(f"? {error}", style=role(self.app, "unknown")))
            return
        self._asked_at = time.monotonic()
        before = self.list.current
        self._loaded = True
        if [item.number for item in versions] == [item.number for item in self.list.items] and versions:
            self.list.renew(versions)
            await self._describe(versions)
            return
        self.list.show_empty(Text("no version was applied yet", style=role(self.app, "muted")))
        self.list.show(versions, cursor=self._place_of(before, versions))
        self._share_room()
        self._show_meta()
        await self._describe(versions)

    def _place_of(self, wanted: Version | None, versions: tuple[Version, ...]) -> int:
        """The cursor stays on its version; on the newest, and after a restore, it is on the newest."""
        if wanted is None or self.list.cursor == 0 or self._to_newest:
            self._to_newest = False
            return 0
        return next((i for i, item in enumerate(versions) if item.number == wanted.number), 0)

    async def _describe(self, versions: tuple[Version, ...]) -> None:
        """Looks up what versions without a reason changed, one after the other."""
        for version, before in list(pairwise(versions))[:MOST_DESCRIBED]:
            if version.why or version.number in self._meanings:
                continue
            try:
                await self._difference(before, version)
            except LinkError:
                return  # The header says that the link is lost; the rows say how the version came in.
            self.list.repaint()

    async def _text(self, version: Version) -> str:
        if version.hash not in self._texts:
            self._texts[version.hash] = (await self.link.version(version.hash)).text or ""
        return self._texts[version.hash]

    async def _difference(self, before: Version, after: Version) -> Difference:
        found = await self.link.diff(await self._text(before), await self._text(after))
        earlier = self._before(after)
        if earlier is not None and earlier.number == before.number:
            self._meanings[after.number] = found.meaning
        return found

    def _before(self, version: Version) -> Version | None:
        """The version before this one."""
        earlier = [item for item in self.list.items if item.number < version.number]
        return max(earlier, key=lambda item: item.number, default=None)

    @property
    def _live(self) -> Version | None:
        """The version that runs: the newest entry with the running hash."""
        config = self.state.config
        return next((item for item in self.list.items if config and item.hash == config.hash), None)

    def _runs(self, version: Version) -> bool:
        return self._live is not None and self._live.number == version.number

    @property
    def _mark(self) -> Version | None:
        return next((item for item in self.list.items if item.number == self._marked), None)

    # -- drawing

    def _paint(self, version: Version, width: int) -> Text:
        return version_line(
            self.app,
            version,
            width,
            running=self._runs(version),
            marked=version.number == self._marked,
            meaning=self._meanings.get(version.number),
            now=datetime.now().astimezone(),
        )

    def on_resize(self) -> None:
        """The list takes the rows it needs, up to a share of the screen; the text has the rest."""
        self._share_room()

    def _share_room(self) -> None:
        wide = self.app.size.width >= WIDE
        top = self.query_one("#version-top")
        rows = len(self.list.items) + 2
        half = self.size.height // 2
        if wide:
            top.styles.height = max(min(rows + 1, half), min(12, half))
        else:
            top.styles.height = max(min(rows + _BELOW, self.size.height * 2 // 3), _BELOW + 3)

    def _show_meta(self) -> None:
        items = self.list.items
        if not self._loaded:
            return
        first = moment(items[-1].applied_at) if items else None
        meta = f"{len(items)} since {first.day} {first:%b}" if first is not None else f"{len(items)}"
        if self._new_while_frozen:
            meta = f"+{self._new_while_frozen} new · {meta}"
        self._heading.update(meta=meta)

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """The difference follows the cursor."""
        event.stop()
        self.note_changed()
        self._compare()

    @work(exclusive=True, group="history-compare", exit_on_error=False)
    async def _compare(self) -> None:
        version = self.list.current
        if version is None:
            return
        other = self._before(version) if self._marked in (None, version.number) else self._mark
        try:
            text = await self._text(version)
            if other is None:
                difference = Difference()
            elif other.number < version.number:
                difference = await self._difference(other, version)
            else:
                difference = await self._difference(version, other)
        except LinkError as error:
            self._meaning.update(Text(f"✗ {error}", style=role(self.app, "bad")))
            return
        # Rows may have been renewed meanwhile: the number is what a version is known by.
        if self.list.current is not None and version.number == self.list.current.number:
            self._show_difference(version, other, difference, text)

    def _show_difference(
        self, version: Version, other: Version | None, difference: Difference, text: str
    ) -> None:
        if other is None:
            title, words = f"v{version.number}", "the first version; every apply adds one"
            self._meaning.update(Text(words, style=role(self.app, "muted")))
            meta = ""
        else:
            old, new = sorted((other, version), key=lambda item: item.number)
            title = f"v{new.number} against v{old.number}"
            self._meaning.update(Text("\n").join(meaning_lines(self.app, difference)))
            number = len(difference.meaning or difference.values)
            meta = f"{number} change{'s' if number != 1 else ''}"
        self._side_heading.update(title, meta)
        size = len(text.encode("utf-8", "surrogatepass"))
        now, room = datetime.now().astimezone(), self._particulars.size.width
        self._particulars.update(Text("\n").join(particulars(self.app, version, size, now, room)))
        same = "the same text" if other is not None else "nothing before it to compare with"
        self.diff.show(difference.unified, Text(same, style=role(self.app, "muted")))
        self.call_after_refresh(self.diff.to_first_change)
        came, went = self.diff.counts
        self._diff_heading.update(meta=f"{title} · +{came} -{went} lines" if other else title)

    def note(self) -> Text:
        """What the version under the cursor did, in full."""
        version = self.list.current
        if version is None:
            return Text("every apply adds a version; none is ever lost")
        words = what_words(version, self._meanings.get(version.number))
        if self._mark is not None:
            return Text(
                f"v{self._mark.number} is marked: d shows the difference to it, m on it takes the mark away"
            )
        if self._runs(version):
            words = f"v{version.number} runs now · {words}"
        return Text(f"{words} · d against what runs, m marks one to compare with")

    def focus_main(self) -> None:
        """The versions."""
        self.list.focus()

    # -- commands

    def action_item_mark(self) -> None:
        """Marks the version under the cursor for comparison, or takes its mark away."""
        version = self.list.current
        if version is not None:
            self._marked = None if self._marked == version.number else version.number
            self.list.repaint()
            self.note_changed()
            self._compare()

    def action_version_compare(self) -> None:
        """The whole difference to the marked version, else to what runs."""
        self._open_difference()

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """`enter` is the whole difference too."""
        event.stop()
        self._open_difference()

    def on_copy_list_copied(self, event: CopyList.Copied) -> None:
        """The hash: it names the version for `kt policy` and the API."""
        event.stop()
        version = self.list.current
        if version is not None:
            self._copy(version.hash)

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def _copy(self, hash_: str) -> None:
        await copy_text(self.app, self.state, hash_, f"hash {sanitise(hash_, 12)}")

    @work(exclusive=True, group="history-difference", exit_on_error=False)
    async def _open_difference(self) -> None:
        version = self.list.current
        if version is None:
            return
        other = self._live if self._marked in (None, version.number) else self._mark
        if other is not None and other.number == version.number:
            other = self._before(version)
        if other is None:
            self.say("there is no other version to compare with")
            return
        old, new = sorted((other, version), key=lambda item: item.number)
        try:
            difference = await self._difference(old, new)
        except LinkError as error:
            self.say(Text(f"✗ {error}", style=role(self.app, "bad")))
            return
        runs = {item.number: " (runs)" for item in (old, new) if self._runs(item)}
        title = " → ".join(f"v{item.number}{runs.get(item.number, '')}" for item in (old, new))
        await self.app.push_screen(DiffScreen(title, difference))

    @work(exclusive=True, group="history-restore", exit_on_error=False)
    async def action_version_restore(self) -> None:
        """Applies the version under the cursor again, as a new one, after a review."""
        version = self.list.current
        if version is None:
            return
        try:
            config = await self.link.config()
            if version.hash == config.hash and config.file.state == "same":
                self.say(f"v{version.number} is what runs: nothing to restore")
                return
            text = await self._text(version)
        except LinkError as error:
            self.say(Text(f"✗ {error}", style=role(self.app, "bad")))
            return
        result = await review(
            self.app,
            self.link,
            text,
            base_hash=config.file.hash or config.hash,
            title=f"Restore v{version.number} as v{config.number + 1}",
            confirm="restore to live traffic",
        )
        if result.apply:
            await self._restore(version, result.if_match, result.why)

    async def _restore(self, version: Version, if_match: str, why: str) -> None:
        try:
            applied = await self.link.restore(
                version.hash, if_match=if_match, why=why or f"v{version.number} restored"
            )
        except LinkError as error:
            self.say(Text(f"✗ not restored: {error}", style=role(self.app, "bad")))
            return
        self._to_newest = True
        words = f"✓ v{version.number} ({sanitise(version.hash[:SHORT_HASH])}) runs again as v{applied.number}"
        self.say(Text(f"{words} · U undoes", style=role(self.app, "ok")))
