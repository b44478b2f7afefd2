"""What the commands that work everywhere do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from rich.text import Text
from textual import work

from ktui import alert_words
from ktui.answers import EventCounts, Status
from ktui.link import GatewayLink, LinkError
from ktui.policy_words import line_naming
from ktui.screens.apply_review import review
from ktui.screens.explain_view import line_of_policy
from ktui.screens.help import HelpScreen
from ktui.screens.live import LivePane
from ktui.screens.pane import Pane
from ktui.screens.policy import PolicyPane
from ktui.state import AppState
from ktui.themed import ThemedApp
from ktui.themes import role
from ktui.widgets.dialog import ConfirmDialog
from proxy.base.sanitise import sanitise

ALERT_TOAST_S = 20.0
SERVING = "ktui is serving: ctrl+z would stop the requests too. Detach with tmux or screen, or quit with q"


def conservation(events: EventCounts) -> str:
    """Where every event that was accepted is: nothing is ever lost without being counted."""
    lost = sum(events.dropped.values())
    reasons = ", ".join(f"{sanitise(reason, 20)} {number:,}" for reason, number in events.dropped.items())
    return (
        f"{events.accepted:,} accepted = {events.stored:,} stored + {events.spilled:,} in journal or memory "
        f"+ {lost:,} dropped{f' ({reasons})' if lost else ''}"
    )


class FrameActions(ThemedApp):
    """Actions of the frame; the application adds the wiring."""

    link: GatewayLink
    state: AppState

    def pane(self) -> Pane:
        """The pane in the body."""
        raise NotImplementedError

    def panes(self) -> list[Pane]:
        """All panes."""
        raise NotImplementedError

    def open_screen(self, name: str) -> None:
        """Brings a screen into the body."""
        raise NotImplementedError

    def say(self, text: Text) -> None:
        """A message in the note line."""
        raise NotImplementedError

    def frame_changed(self) -> None:
        """Header and tabs have something new."""
        raise NotImplementedError

    def action_app_help(self) -> None:
        """Keys and glyphs."""
        pane = self.pane()
        where = [("gateway", self.link.url)] if self.link.url else []
        config = self.state.status.config if self.state.status is not None else None
        if config is not None and config.path:
            where.append(("policy file", sanitise(config.path, 200)))
        if self.state.status is not None:
            where.append(("events", conservation(self.state.status.events)))
            if self.state.status.alerts:
                where.append(("alerts", alert_words.listed(self.state.status.alerts)))
        where.append(("times are", f"{datetime.now().astimezone():%Z, UTC%z}"))
        self.push_screen(HelpScreen(pane.place, pane.title, tuple(where)))

    def action_app_palette(self) -> None:
        """Every command by name."""
        self.action_command_palette()

    def action_app_back(self) -> None:
        """Outside of dialogs and editors: back to the main region."""
        self.pane().focus_main()

    def action_screen_live(self) -> None:
        """Live."""
        self.open_screen("live")

    def action_screen_policy(self) -> None:
        """Policy."""
        self.open_screen("policy")

    def action_screen_rollout(self) -> None:
        """Rollout."""
        self.open_screen("rollout")

    def action_screen_cost(self) -> None:
        """Cost."""
        self.open_screen("cost")

    def action_screen_history(self) -> None:
        """History."""
        self.open_screen("history")

    def action_focus_next(self) -> None:
        """The next region."""
        self.screen.focus_next()

    def action_focus_previous(self) -> None:
        """The region before."""
        self.screen.focus_previous()

    def action_app_freeze(self) -> None:
        """The body stands still; header and traffic go on."""
        self.state.frozen_at = None if self.state.frozen_at is not None else datetime.now().astimezone()
        for pane in self.panes():
            pane.on_frozen(self.state.frozen_at is not None)
        self.frame_changed()

    def action_theme_choose(self) -> None:
        """A theme by name."""
        self.search_commands(
            [(name, lambda name=name: setattr(self, "theme", name)) for name in sorted(self.palettes)],
            placeholder="Theme …",
        )

    def action_app_screenshot(self) -> None:
        """An SVG file in the present directory."""
        try:
            path = self.save_screenshot()
        except OSError as error:
            self.notify(f"the picture was not written: {error.strerror}", severity="error", markup=False)
        else:
            self.notify(f"written: {path}", markup=False)

    def action_help_quit(self) -> None:
        """`ctrl+c` copies a selection and never quits."""
        self.say(Text("ctrl+c copies a selection; q or ctrl+q quits"))

    def action_suspend_process(self) -> None:
        """`ctrl+z` never stops a serving process."""
        self.say(Text(SERVING))

    def close_dialogs(self) -> None:
        """Closes everything that stands over the screens."""
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def show_policy_line(self, policy: str, line: int, version: str) -> None:
        """Shows `policy` in the editor; `line` is its place in the version of that hash.

        Where the editor holds another text the policy is found by its name, and the note says so.
        """
        pane = next((item for item in self.panes() if isinstance(item, PolicyPane)), None)
        if pane is None:
            return
        text, name = pane.editor.text, sanitise(policy, 60)
        same = version == sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        here = line if same else line_of_policy(text, policy)
        self.open_screen("policy")
        if here is None:
            words = f"{name} is not in this text; it was line {line} of {version[:7] or 'an earlier version'}"
            self.say(Text(f"? {words}: History shows that version", style=role(self, "unknown")))
            return
        pane.show_line(here)
        if not same:
            self.say(
                Text(f"{name}, line {line} of {version[:7]}; the text is another now, here is its place")
            )

    def show_requests(self, filter_text: str) -> None:
        """Live, with the requests `filter_text` holds for."""
        pane = next((item for item in self.panes() if isinstance(item, LivePane)), None)
        if pane is not None:
            self.open_screen("live")
            pane.events.set_filter(filter_text)

    def action_alert_show(self) -> None:
        """Live, with what the alert that fired last counts."""
        alerts = self.state.status.alerts if self.state.status is not None else ()
        firing = sorted((alert for alert in alerts if alert.firing), key=lambda alert: alert.since or "")
        if firing:
            self.show_requests(firing[-1].filter)
        else:
            words = (
                "no alert fires" if alerts else "the policy has no alerts; events: {alerts: [...]} names them"
            )
            self.say(Text(words))

    def tell_alerts(self, before: Status, now: Status) -> None:
        """A toast for each alert that began to fire or is over since the last status."""
        fired_before = {alert.name for alert in before.alerts if alert.firing}
        for alert in now.alerts:
            if alert.firing and alert.name not in fired_before:
                self.notify(alert_words.fired(alert), severity="error", timeout=ALERT_TOAST_S, markup=False)
            elif not alert.firing and alert.name in fired_before:
                self.notify(alert_words.over(alert), timeout=ALERT_TOAST_S, markup=False)

    def show_in_policy(self, names: Sequence[str]) -> bool:
        """Policy, at the line that says the first of `names` that is there; whether one is."""
        pane = next((item for item in self.panes() if isinstance(item, PolicyPane)), None)
        lines = (line_naming(pane.editor.text, name) for name in names) if pane is not None else iter(())
        line = next((found for found in lines if found is not None), None)
        if pane is None or line is None:
            return False
        self.open_screen("policy")
        pane.show_line(line)
        return True

    def show_draft(self, text: str, words: str) -> None:
        """Policy, with `text` as its draft; `words` say what it is. A draft that is open is never overwritten."""
        pane = next((item for item in self.panes() if isinstance(item, PolicyPane)), None)
        if pane is None:
            return
        if self.state.moment is not None:
            self.say(Text("an earlier moment is shown; 0 shows the present, where drafts are made"))
        elif pane.has_draft and pane.draft.text != text:
            self.say(Text("Policy has a draft already: apply it or take it back first, then enter again"))
        else:
            self.open_screen("policy")
            pane.editor.show_text(text)
            self.say(Text(words))

    @work(exclusive=True, group="undo", exit_on_error=False)
    async def action_policy_undo(self) -> None:
        """Back to the version before the last apply; asks."""
        try:
            running = await self.link.config()
            earlier = [v for v in await self.link.versions() if v.hash != running.hash]
            if not earlier:
                self.say(Text("there is no earlier version to go back to"))
                return
            newest = max(earlier, key=lambda version: version.number)
            before = await self.link.version(newest.hash)
        except LinkError as error:
            self.say(Text(f"✗ {error}", style=role(self, "bad")))
            return
        result = await review(
            self,
            self.link,
            before.text or "",
            base_hash=running.file.hash or running.hash,
            title=f"Undo v{running.number}: back to v{newest.number}",
            confirm="restore and apply",
        )
        if result.apply:
            why = result.why or f"undo of v{running.number}"
            await self._restore(newest.hash, result.if_match, why)

    async def _restore(self, hash_: str, if_match: str, why: str) -> None:
        try:
            applied = await self.link.restore(hash_, if_match=if_match, why=why)
        except LinkError as error:
            self.say(Text(f"✗ not restored: {error}", style=role(self, "bad")))
        else:
            self.say(Text(f"✓ restored, runs as v{applied.number}", style=role(self, "ok")))

    @work(exclusive=True, group="quit")
    async def action_app_quit(self) -> None:
        """Ends the program; asks when something would be lost. The demo ends at once."""
        reasons = [] if self.state.demo else self._reasons_to_stay()
        if not reasons or await self.push_screen_wait(ConfirmDialog("Quit ktui", reasons, confirm="quit")):
            self.exit()

    def _reasons_to_stay(self) -> list[Text]:
        reasons = [
            Text(f"• {pane.title} has a draft that is not applied") for pane in self.panes() if pane.has_draft
        ]
        status = self.state.status
        in_flight = status.gateway.in_flight if status is not None else 0
        if in_flight and not self.state.attached:
            noun = "request is" if in_flight == 1 else "requests are"
            reasons.append(Text(f"! {in_flight} {noun} in flight; quitting stops the gateway after they end"))
        return reasons
