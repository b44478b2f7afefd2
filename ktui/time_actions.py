"""Going through time: every screen shows an earlier moment, and nothing can be changed in it."""

from __future__ import annotations

from datetime import datetime, timedelta

from rich.text import Text
from textual import work

from ktui.frame_actions import FrameActions
from ktui.themes import role
from ktui.when import ACCEPTED, moment_words, parse_when
from ktui.widgets.prompt import Prompt

STEP, LEAP = timedelta(minutes=1), timedelta(hours=1)


class TimeActions(FrameActions):
    """The moment that is shown; the application adds what follows it."""

    _newest: datetime | None = None
    """The last moment of a recording; None: the present is."""

    def follow(self) -> None:
        """Ask the gateway anew: for the present as it goes on, or for the one moment that is shown."""
        raise NotImplementedError

    def replay_from(self, newest: datetime) -> None:
        """Show a recording that ends at `newest`, from there."""
        self._newest = newest
        self._show(newest)

    def show_moment(self, at: datetime) -> None:
        """Show the moment `at`; one that is still to come is the present, or the end of the recording."""
        last = self._newest or datetime.now().astimezone()
        if at < last:
            self._show(at)
        else:
            self._show(self._newest)

    def _show(self, at: datetime | None) -> None:
        if at is None and self.state.moment is None:
            return
        self.state.moment = at
        self.link.show_moment(at)
        for pane in self.panes():
            pane.on_moment(at)
        self.follow()
        self.frame_changed()

    def _step(self, by: timedelta) -> None:
        if not self.link.connected:
            return
        self.show_moment((self.state.moment or datetime.now().astimezone()) + by)

    def action_time_back(self) -> None:
        """A minute back."""
        self._step(-STEP)

    def action_time_forward(self) -> None:
        """A minute on; in the present nothing changes."""
        if self.state.moment is not None:
            self._step(STEP)

    def action_time_leap_back(self) -> None:
        """An hour back."""
        self._step(-LEAP)

    def action_time_leap_forward(self) -> None:
        """An hour on; in the present nothing changes."""
        if self.state.moment is not None:
            self._step(LEAP)

    def action_time_now(self) -> None:
        """The present, or the end of the recording."""
        self._show(self._newest)

    @work(exclusive=True, group="time", exit_on_error=False)
    async def action_time_goto(self) -> None:
        """A moment that is typed."""
        if not self.link.connected:
            return
        now = datetime.now().astimezone()
        shown = self.state.moment
        text = await self.push_screen_wait(
            Prompt(
                "Show the moment",
                value="" if shown is None else f"{shown:%Y-%m-%d %H:%M:%S}",
                hint=f"{ACCEPTED}; empty: now",
                check=lambda given: _fault(given, now),
            )
        )
        if text is not None:
            self.show_moment(parse_when(text, now))
            if self.state.moment is None:
                self.say(Text("this is the present"))
            else:
                then = moment_words(self.state.moment, now)
                self.say(
                    Text(f"‖ {then}: [ and ] go on from here, 0 shows the present", role(self, "paused"))
                )


def _fault(text: str, now: datetime) -> str:
    try:
        parse_when(text, now)
    except ValueError as error:
        return str(error)
    return ""
