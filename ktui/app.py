"""KtuiApp: wiring only. The feed brings news into the state, the scheduler draws what is dirty."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path, PurePath
from time import monotonic
from typing import Any, ClassVar

from rich.segment import Segments
from rich.text import Text
from rich.traceback import Traceback
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Event, Key, MouseDown, MouseScrollDown, MouseScrollUp, Paste, Resize
from textual.widgets import ContentSwitcher, Static

from ktui.answers import Config, EventRow, Status
from ktui.ascii_filter import AsciiFilter
from ktui.commands import EVERYWHERE, bindings, off_now
from ktui.feed import Feed
from ktui.geometry import HORIZONTAL_BREAKPOINTS, SMALLEST, VERTICAL_BREAKPOINTS
from ktui.glyphs import wants_ascii
from ktui.link import GatewayLink
from ktui.palette import PaneProvider, RegistryProvider
from ktui.refresh import HEADER_S, NOTE_S, TICK_S, Scheduler
from ktui.screens.pane import Pane
from ktui.screens.registry import SCREENS
from ktui.settings import SettingsFile
from ktui.state import AppState
from ktui.theme_watch import watch_themes
from ktui.themes import role
from ktui.time_actions import TimeActions
from ktui.widgets.footer_keys import FooterKeys
from ktui.widgets.header_lines import Tab
from ktui.widgets.note_line import NoteLine
from ktui.widgets.status_header import StatusHeader
from proxy.base.sanitise import sanitise

SAID_S = 5.0
"""Seconds a message stays in the note line while the reader does nothing."""
Starter = Callable[[GatewayLink], Awaitable[None]]
"""Starts the gateway and connects the link; an exception's text is one sentence."""


class KtuiApp(TimeActions, inherit_bindings=False):
    """The screen of one gateway, over its control API."""

    TITLE = "ktui"
    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = [
        *sorted((Path(__file__).parent / "styles").glob("*.tcss")),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(EVERYWHERE),
        Binding("ctrl+q", "app_quit", show=False, priority=True),
        Binding("ctrl+c", "help_quit", show=False, system=True),
        Binding("ctrl+z", "suspend_process", show=False, system=True),
    ]
    COMMANDS = {RegistryProvider, PaneProvider}  # noqa: RUF012 - as Textual declares it
    HORIZONTAL_BREAKPOINTS = HORIZONTAL_BREAKPOINTS
    VERTICAL_BREAKPOINTS = VERTICAL_BREAKPOINTS
    ESCAPE_TO_MINIMIZE = False

    def __init__(
        self,
        link: GatewayLink,
        *,
        demo: bool = False,
        starter: Starter | None = None,
        attached: str = "",
        replay: str = "",
        theme: str | None = None,
        user_themes: Path | None = None,
        settings: Path | None = None,
        env: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        environment = os.environ if env is None else env
        super().__init__(theme=theme, user_themes=user_themes, env=environment, **kwargs)
        self.environment = environment
        self.link = link
        self.state = AppState(settings=SettingsFile(settings), demo=demo, attached=attached, replay=replay)
        self.scheduler = Scheduler()
        self._starter = starter
        self._header = StatusHeader(self.state, self.open_screen, id="header")
        self._note = NoteLine(id="note")
        self._said: Text | None = None
        self._said_at = self._acted_at = 0.0
        self._panes = {entry.name: entry.make(link, self.state, self.scheduler) for entry in SCREENS}
        self._current = SCREENS[0].name
        if wants_ascii(environment):
            self._filters.append(AsciiFilter())
        self.scheduler.register("header", HEADER_S, self._show_header)
        self.scheduler.register("note", NOTE_S, self._show_note)

    def compose(self) -> ComposeResult:
        """Header, body, note, footer."""
        yield self._header
        with Vertical(id="frame"):
            with ContentSwitcher(initial=self._current, id="body"):
                yield from self._panes.values()
            yield self._note
            yield FooterKeys(id="footer")
        yield Static(id="too-small", markup=False)

    def on_mount(self) -> None:
        """Everything starts here."""
        self.open_screen(self._current)
        self.set_interval(TICK_S, self.scheduler.tick)
        self.show_theme_problems()
        if self.state.settings.problem:
            self.say(Text(f"! {self.state.settings.problem}", style=role(self, "warn")))
        self._start()
        self._watch_theme_files()

    @work(exclusive=True, group="start")
    async def _start(self) -> None:
        if self._starter is not None:
            try:
                await self._starter(self.link)
            except Exception as error:  # noqa: BLE001 - whatever it was, the screen says it and stays
                self.feed_lost(str(error))
                return
        self.follow()

    def follow(self) -> None:
        """What is shown comes from the feed, until another moment is shown."""
        self._feed()

    @work(exclusive=True, group="feed")
    async def _feed(self) -> None:
        await Feed(self.link, self).run(self.state.moment)

    @work(exclusive=True, group="themes", exit_on_error=False)
    async def _watch_theme_files(self) -> None:
        await watch_themes(self._theme_dirs, self.reload_themes)

    # -- what the feed tells

    def feed_status(self, status: Status) -> None:
        """A new status."""
        was_lost, is_first = not self.state.link.reachable, self.state.status is None
        before, self.state.status = self.state.status, status
        if before is not None and self.state.moment is None:
            self.tell_alerts(before, status)
        self.state.link.reachable, self.state.link.last_answer = True, datetime.now().astimezone()
        for pane in self.panes():
            pane.on_status(status)
            if was_lost:
                pane.on_link(True)
        (self.scheduler.soon if was_lost or is_first else self.scheduler.mark)("header")

    def feed_config(self, config: Config) -> None:
        """The running version or the file changed."""
        is_first = self.state.config is None
        self.state.config = config
        for pane in self.panes():
            if self.state.moment is None or not pane.has_draft:
                pane.on_config(config)
        (self.scheduler.soon if is_first else self.scheduler.mark)("header")

    def feed_events(self, rows: list[EventRow]) -> None:
        """New requests."""
        self.state.link.last_answer = datetime.now().astimezone()
        if self.state.replay:
            self.state.learn_arms(rows)
        for pane in self.panes():
            pane.on_events(rows)

    def feed_missed(self) -> None:
        """There is a hole between the requests told and those that come."""
        for pane in self.panes():
            pane.on_missed()

    def feed_lost(self, reason: str) -> None:
        """Nothing answers."""
        self.state.link.reachable, self.state.link.reason = False, sanitise(reason, 200)
        for pane in self.panes():
            pane.on_link(False)
        self.scheduler.mark("header")

    # -- the frame

    def pane(self) -> Pane:
        """The pane in the body."""
        return self._panes[self._current]

    def panes(self) -> list[Pane]:
        """All panes."""
        return list(self._panes.values())

    def open_screen(self, name: str) -> None:
        """Brings a screen into the body; a name without a screen is ignored."""
        if name not in self._panes:
            return
        self._current = name
        self.query_one("#body", ContentSwitcher).current = name
        for pane_name, pane in self._panes.items():
            pane.shown = pane_name == name
        self._said = None
        self.pane().focus_main()
        self.frame_changed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A screen that does not exist has no key, nor has what cannot be done in the past."""
        if action.startswith("screen_"):
            return action.removeprefix("screen_") in self._panes
        if off_now(action, self.state):
            return False
        return super().check_action(action, parameters)

    def frame_changed(self) -> None:
        """Tabs, header and note, at once: the reader did something."""
        self.scheduler.now("header")
        self.scheduler.now("note")

    async def on_event(self, event: Event) -> None:
        """Remembers when the reader last did something."""
        if isinstance(event, (Key, MouseDown, MouseScrollDown, MouseScrollUp, Paste)):
            self._acted_at = monotonic()
        await super().on_event(event)

    def say_words(self, words: str) -> None:
        """As `say`, for words that are safe to show."""
        self.say(Text(words))

    def say(self, text: Text) -> None:
        """A message in the note line, until the reader moves or there is another note a while later."""
        self._said, self._said_at = text, monotonic()
        self.scheduler.now("note")

    def _show_header(self) -> None:
        self._header.tabs = [
            Tab(e.key, e.title, e.name == self._current, sanitise(self._panes[e.name].tab_mark(), 2))
            for e in SCREENS
        ]
        self._header.draft = next((t for p in self.panes() if (t := p.draft_note()).plain), Text())
        self._header.show()

    def _show_note(self) -> None:
        self._note.show(self._said if self._said is not None else self.pane().note())

    def on_pane_note_changed(self, event: Pane.NoteChanged) -> None:
        """The cursor moved: what was said before is over when the reader moved it, or could read it."""
        moved = self._acted_at > self._said_at and not event.by_itself
        if moved or monotonic() - self._said_at >= SAID_S:
            self._said = None
        (self.scheduler.soon if self._note.empty else self.scheduler.mark)("note")
        self.scheduler.mark("header")

    def on_pane_said(self, event: Pane.Said) -> None:
        """A pane has something to say."""
        self.say(event.text)

    def on_resize(self, event: Resize) -> None:
        """Below the smallest size one sentence stands for everything."""
        width, height = event.size
        tiny = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(tiny, "-tiny")
        if tiny:
            needs = f"ktui needs {SMALLEST[0]}x{SMALLEST[1]}, this is {width}x{height}; traffic goes on"
            self.query_one("#too-small", Static).update(needs)
        self.scheduler.mark("header")
        self.scheduler.mark("note")

    def _fatal_error(self) -> None:
        """The traceback of a crash never shows values: they may hold prompts or keys."""
        self.bell()
        trace = Traceback(show_locals=False, width=None)
        self._exit_renderables.append(Segments(self.console.render(trace, self.console.options)))
        self._close_messages_no_wait()
