"""Rollout: the phases of each split, one slider for each arm and phase, and what would change."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from ktui.answers import Applied, Config, Split, Status, Version
from ktui.commands import bindings
from ktui.geometry import TALL
from ktui.glyphs import arm_glyph
from ktui.ladder import Rung, next_rung, request
from ktui.link import GatewayLink, LinkError
from ktui.number_words import clock, moment
from ktui.rollout_words import preview, sentence
from ktui.screens.apply_review import review
from ktui.screens.pane import Pane
from ktui.state import AppState
from ktui.themes import arm_role, role
from ktui.widgets.bars import percent
from ktui.widgets.heading import Heading
from ktui.widgets.phase_table import PhaseTable
from proxy.base.sanitise import sanitise

_PREVIEW_ROWS = 3


class RolloutPane(Pane):
    """The third screen."""

    place: ClassVar[str] = "rollout"
    title: ClassVar[str] = "Rollout"
    BINDINGS: ClassVar[list[BindingType]] = bindings("rollout")

    def __init__(self, link: GatewayLink, state: AppState, *, id: str | None = None) -> None:
        super().__init__(link, state, id=id)
        self._chosen = 0
        self._costs: dict[str, float | None] = {}
        self._versions: tuple[Version, ...] = ()
        self.table = PhaseTable(id="phases")
        self._sentence = Static(id="rollout-sentence", markup=False)
        self._heading = Heading("Phases", "", region=self.table)
        self._preview_heading = Heading("If applied", "estimated from the last minute", ghost=True)
        self._preview = Static(id="rollout-preview", markup=False)
        self._timeline_heading = Heading("Timeline", "")
        self._timeline = Static(id="rollout-timeline", markup=False)

    def compose(self) -> ComposeResult:
        """Sentence, phases, preview while there is a draft, timeline when there is room."""
        yield self._sentence
        yield self._heading
        yield self.table
        with Vertical(id="preview-region"):
            yield self._preview_heading
            yield self._preview
        with Vertical(id="timeline-region"):
            yield self._timeline_heading
            yield self._timeline

    # -- what arrives

    @property
    def split(self) -> Split | None:
        """The split shown."""
        splits = self.state.splits
        return splits[self._chosen % len(splits)] if splits else None

    def on_status(self, status: Status) -> None:
        """New shares, new phases. A frozen body stands still."""
        if self.state.frozen_at is None and self.shown:
            self._show()

    def on_config(self, config: Config) -> None:
        """A new version: its line in the timeline."""
        if self.shown:
            self._load()

    def on_frozen(self, frozen: bool) -> None:
        """Thawing shows the present."""
        if not frozen:
            self._show()

    def watch_shown(self, shown: bool) -> None:
        """A pane that comes back shows the present at once."""
        if shown:
            self._show()
            self._load()

    def on_resize(self) -> None:
        """Regions come and go with the room."""
        self._show()

    @work(exclusive=True, group="rollout-load", exit_on_error=False)
    async def _load(self) -> None:
        try:
            self._versions = await self.link.versions()
            costs = await self.link.series("cost_per_1k", window="15m")
        except LinkError:
            return  # The header says that the link is lost; what is shown stays.
        split = self.split
        name = split.name if split is not None else None
        self._costs = {line.group: line.window_value for line in costs.series if line.split == name}
        self._show()

    # -- drawing

    def _show(self) -> None:
        split = self.split
        self.table.show(split)
        self.table.display = split is not None
        self._heading.display = split is not None
        self._sentence.update(sentence(self.app, split, self.table.rungs, self.table.ghosts))
        self._heading.update(meta=self._meta(split))
        self._show_preview(split)
        self._show_timeline()
        self.note_changed()

    def _meta(self, split: Split | None) -> str:
        if split is None:
            return ""
        parts = (
            [f"{self._chosen % len(self.state.splits) + 1}/{len(self.state.splits)}"]
            if len(self.state.splits) > 1
            else []
        )
        parts.append(sanitise(split.name, 40))
        if split.phases:
            parts.append(f"advance: {split.advance or 'manual'}")
        else:
            parts.append("no phases: weights by hand")
        return " · ".join(parts)

    def _show_preview(self, split: Split | None) -> None:
        rung = next((rung for rung in self.table.rungs if rung.live), None)
        drafted = split is not None and rung is not None and rung.name in self.table.ghosts.drafts
        self.query_one("#preview-region").display = drafted
        if split is not None and rung is not None and drafted:
            rate = self.state.status.traffic.requests_per_s if self.state.status is not None else 0.0
            lines = preview(self.app, split, rung, self.table.ghosts.shares(rung), rate, self._costs)
            self._preview.update(Text("\n").join(lines[:_PREVIEW_ROWS]))

    def _show_timeline(self) -> None:
        region = self.query_one("#timeline-region")
        region.display = bool(self._versions) and self.app.size.height >= TALL
        if not region.display:
            return
        room = max(self.size.height - len(self.table.rungs) - 18, 3)
        entries = self._versions[:room]
        count = len(self._versions)
        self._timeline_heading.update(meta=f"{count} version{'s' if count != 1 else ''}")
        self._timeline.update(Text("\n", no_wrap=True).join(self._entry(version) for version in entries))

    def _entry(self, version: Version) -> Text:
        muted = role(self.app, "muted")
        line = Text("   ", no_wrap=True, overflow="ellipsis")
        line.append(f"{clock(moment(version.applied_at)):<9}", muted)
        line.append(f" v{version.number:<5}", role(self.app, "text"))
        author = ", ".join(part for part in (version.who, version.through) if part)
        line.append(f"{sanitise(author, 22):<24}", muted)
        return line.append(sanitise(version.why or "", 120), role(self.app, "text"))

    # -- what the table says

    def on_phase_table_changed(self, event: PhaseTable.Changed) -> None:
        """Sentence, preview and note follow cursor and drafts."""
        event.stop()
        split = self.split
        self._sentence.update(sentence(self.app, split, self.table.rungs, self.table.ghosts))
        self._show_preview(split)
        self.note_changed()

    def note(self) -> Text:
        """What the bar under the cursor is."""
        current, split = self.table.current, self.split
        if current is None or split is None:
            return Text()
        rung, tag = current
        if rung.name in self.table.ghosts.drafts:
            shares = self.table.ghosts.shares(rung)
            words = ", ".join(
                f"{sanitise(name, 30)} {percent(rung.shares[name])} → {percent(shares[name])}"
                for name in split.tags
            )
            off = (
                " would be off plan" if rung.live and rung.planned and dict(shares) != dict(rung.plan) else ""
            )
            return Text(f"◇ not applied · {words}{off} · A reviews, esc discards")
        arm = next(arm for arm in split.arms if arm.tag == tag)
        if rung.live:
            return Text(
                f"Drag or press l to try a weight; nothing moves until A. {sanitise(tag, 30)} is {sanitise(arm.model, 60)}"
            )
        return Text(
            f"{sanitise(rung.name, 40)}, line {rung.line} of the file: weights it will have when it is promoted to"
        )

    def tab_mark(self) -> str:
        """A draft."""
        return "•" if self.has_draft else ""

    @property
    def has_draft(self) -> bool:
        """Whether a ghost would be lost."""
        return bool(self.table.ghosts.drafts)

    def focus_main(self) -> None:
        """The phases; from there `esc` discards the drafts."""
        if self.table.has_focus and self.has_draft:
            self.table.discard()
            self._show()
        self.table.focus()

    # -- commands

    def action_rollout_next_split(self) -> None:
        """The next split."""
        self._choose(1)

    def action_rollout_previous_split(self) -> None:
        """The split before."""
        self._choose(-1)

    def _choose(self, step: int) -> None:
        if len(self.state.splits) > 1:
            self._chosen = (self._chosen + step) % len(self.state.splits)
            self._load()
            self._show()

    @work(exclusive=True, group="rollout-apply", exit_on_error=False)
    async def action_rollout_apply(self) -> None:
        """Reviews the drafts and applies them."""
        split = self.split
        if split is None or not self.has_draft:
            self.say("nothing to apply: drag a bar, or press l, first")
            return
        wanted = request(self.table.rungs, self.table.ghosts)
        lines = [line for rung in self.table.rungs for line in self._change_lines(split, rung)]
        arguments: dict[str, object] = {"weights": wanted.weights, "phases": wanted.phases}
        await self._review(
            split, lines, arguments, "apply to live traffic" if wanted.weights else "write the plan"
        )

    @work(exclusive=True, group="rollout-apply", exit_on_error=False)
    async def action_rollout_promote(self) -> None:
        """Moves to the next phase."""
        split = self.split
        if split is None:
            return
        rung = next_rung(self.table.rungs)
        if rung is None:
            self.say(
                "there is no further phase to promote to" if split.phases else "this split has no phases"
            )
            return
        live = next(item for item in self.table.rungs if item.live)
        line = Text()
        for index, tag in enumerate(split.tags):
            line.append(f"{arm_glyph(index)} {sanitise(tag, 24)} ", role(self.app, arm_role(index)))
            line.append(f"{percent(live.shares[tag])} → {percent(rung.plan[tag])}   ")
        hold = Text(f"for {rung.duration}" if rung.duration else "to stay", style=role(self.app, "muted"))
        title = f"Promote {sanitise(split.name, 40)}: {sanitise(live.name, 30)} → {sanitise(rung.name, 30)}"
        await self._review(split, [line, hold], {"phase": rung.name}, "promote", title)

    def _change_lines(self, split: Split, rung: Rung) -> list[Text]:
        draft = self.table.ghosts.drafts.get(rung.name)
        if draft is None:
            return []
        what = "runs now" if rung.live else "its plan"
        line = Text(f"{sanitise(rung.name, 30)}, {what}   ")
        for index, tag in enumerate(split.tags):
            line.append(f"{arm_glyph(index)} {sanitise(tag, 24)} ", role(self.app, arm_role(index)))
            line.append(f"{percent(rung.shares[tag])} → {percent(draft[tag])}   ")
        lines = [line]
        if rung.live and rung.planned and dict(draft) != dict(rung.plan):
            off = f"! off plan: not the weights of {sanitise(rung.name, 30)}; the next promotion overwrites them"
            lines.append(Text(off, style=role(self.app, "warn")))
        return lines

    async def _review(
        self, split: Split, lines: list[Text], arguments: dict[str, object], confirm: str, title: str = ""
    ) -> None:
        """Asks with the change in meaning and in text; then writes the file."""
        try:
            # First the file, then the plan: whoever saves in between makes the write a conflict, not a surprise.
            config = await self.link.config()
            planned = await self._set(split, arguments, dry_run=True)
        except LinkError as error:
            self.say(Text(f"✗ {error}", style=role(self.app, "bad")))
            return
        errors = [problem for problem in planned.diagnostics if problem.severity == "error"]
        if errors:
            self.say(
                Text(
                    f"✗ line {errors[0].line}: {sanitise(errors[0].message, 200)}",
                    style=role(self.app, "bad"),
                )
            )
            return
        if not planned.changed:
            self.say("the file says this already")
            return
        result = await review(
            self.app,
            self.link,
            planned.text or config.text,
            base_hash=config.file.hash or config.hash,
            title=title,
            lines=lines,
            confirm=confirm,
        )
        if result.apply:
            await self._apply(split, {**arguments, "why": result.why}, result.if_match)

    async def _apply(self, split: Split, arguments: dict[str, object], if_match: str) -> None:
        try:
            applied = await self._set(split, arguments, if_match=if_match)
        except LinkError as error:
            self.say(Text(f"✗ not applied: {error}", style=role(self.app, "bad")))
            return
        self.table.ghosts.discard()
        took = f" in {applied.applied_ms:.1f} ms" if applied.applied_ms is not None else ""
        self.say(Text(f"✓ v{applied.number} applied{took} · U undoes", style=role(self.app, "ok")))
        self._load()

    async def _set(
        self, split: Split, arguments: dict[str, object], *, if_match: str = "*", dry_run: bool = False
    ) -> Applied:
        return await self.link.set_weights(split.name, if_match=if_match, dry_run=dry_run, **arguments)  # type: ignore[arg-type]
