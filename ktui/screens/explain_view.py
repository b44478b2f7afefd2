"""Explain: why one request went where it went, step by step, and the way to the line that decided."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from ktui.glyphs import arm_glyph
from ktui.themes import arm_role, role
from ktui.widgets.heading import Heading
from ktui.widgets.row_list import RowList, cell
from ktui.workbench_answers import ArmScore, Assignment, Explanation, Step
from proxy.base.sanitise import sanitise
from proxy.policy.document import MappingNode, ScalarNode, SequenceNode, parse

SHORT_HASH = 7
_OUTCOMES = {
    "matched": ("✓", "ok"),
    "skipped": ("-", "muted"),
    "not_enforced": ("i", "info"),
    "cannot_tell": ("?", "unknown"),
}
_SHOWN_DIGEST = 12


class ExplainPanel(Vertical):
    """The policies that were looked at, then the hash that chose the variant. `enter` or `e` goes to the line."""

    DEFAULT_CSS = """
    ExplainPanel { height: auto; width: 1fr; }
    ExplainPanel Heading { background: $kt-dialog; }
    ExplainPanel RowList { height: auto; max-height: 12; background: $kt-dialog; }
    ExplainPanel Static { height: auto; width: 1fr; padding: 0 1; }
    """

    class Chosen(Message):
        """The reader wants to see the line of a step in the editor."""

        def __init__(self, step: Step, version: str) -> None:
            super().__init__()
            self.step = step
            self.version = version
            """Hash of the version whose line it is; empty when unknown."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.told: Explanation | None = None
        self.list: RowList[Step] = RowList(self._paint, ground="dialog", follow_content=True)
        self._heading = Heading("Explain", "asking", region=self.list)
        self._whole = Static(id="explain-step", markup=False)
        self._assignment = Static(id="explain-assignment", markup=False)

    def compose(self) -> ComposeResult:
        """Steps, the one under the cursor in full, the assignment."""
        yield self._heading
        yield self.list
        yield self._whole
        yield self._assignment

    def show(self, told: Explanation) -> None:
        """The explanation of one request."""
        self.told = told
        version = told.version
        words = "the version that ran is not known"
        if version is not None:
            words = f"under v{version.number} {sanitise(version.hash[:SHORT_HASH])}, as it ran"
        self._heading.update(meta=words)
        nothing = told.cannot_tell[0] if told.cannot_tell else "no policy was looked at"
        self.list.show_empty(Text(sanitise(nothing, 300), style=role(self.app, "unknown")))
        self.list.show(told.steps, cursor=_deciding(told.steps))
        lines = self._assignment_lines(told.assignment) if told.assignment is not None else []
        if told.steps:
            lines += [
                Text(f"? {sanitise(reason, 300)}", style=role(self.app, "unknown"))
                for reason in told.cannot_tell
            ]
        self._assignment.update(Text("\n").join(lines))
        self._assignment.display = bool(lines)

    def show_trouble(self, reason: str) -> None:
        """No explanation, and why."""
        self._heading.update(meta="not explained")
        self.list.show_empty(Text(f"✗ {reason}", style=role(self.app, "bad")))

    def _paint(self, step: Step, width: int) -> Text:
        glyph, name = _OUTCOMES.get(step.outcome, ("·", "text"))
        line = Text(no_wrap=True, end="")
        line.append(f"{glyph} ", role(self.app, name))
        line.append(cell(sanitise(step.policy, 80), 22 if width < 90 else 28), role(self.app, "text"))
        line.append(f"line {step.line:>4}   ", role(self.app, "muted"))
        return line.append(_reason(step), role(self.app, "muted" if name == "muted" else "text"))

    def _assignment_lines(self, assigned: Assignment) -> list[Text]:
        muted, text = role(self.app, "muted"), role(self.app, "text")
        unit = sanitise(assigned.unit_kind or "unknown", 40)
        digest = sanitise(assigned.unit_digest or "", 64)
        head = Text("unit ", style=muted).append(unit, text)
        if digest:
            short = digest[:_SHOWN_DIGEST] + ("…" if len(digest) > _SHOWN_DIGEST else "")
            head.append("   digest ", muted).append(short, text)
        head.append("   split ", muted).append(sanitise(assigned.split, 60), text)
        if assigned.phase:
            head.append("   phase ", muted).append(sanitise(assigned.phase, 40), text)
        if assigned.salt:
            head.append("   salt ", muted).append(sanitise(assigned.salt, 40), text)
        arms = [self._arm(index, arm) for index, arm in enumerate(assigned.arms)]
        if arms:
            arms.append(Text("the lowest score, -ln(hash) / weight, is chosen", style=muted))
        return [head, *arms]

    def _arm(self, index: int, arm: ArmScore) -> Text:
        line = Text()
        line.append(f"{arm_glyph(index)} {cell(sanitise(arm.tag, 40), 24)}", role(self.app, arm_role(index)))
        weight = f"{arm.weight:g}" if arm.weight is not None else "unknown"
        line.append("weight ", role(self.app, "muted")).append(f"{weight:>7}   ", role(self.app, "text"))
        if arm.score is None:
            return line.append("never chosen", role(self.app, "muted"))
        line.append("score ", role(self.app, "muted")).append(f"{arm.score:<10.4g}", role(self.app, "text"))
        return line.append("✓ chosen" if arm.chosen else "", role(self.app, "ok"))

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """The step under the cursor, in full, where its row may be cut."""
        event.stop()
        step = self.list.current
        room = max(self.list.size.width - 45, 10)
        cut = step is not None and len(_reason(step)) > room
        self._whole.display = cut
        if step is not None and cut:
            self._whole.update(
                Text(f"{sanitise(step.policy, 80)}: {_reason(step)}", style=role(self.app, "muted"))
            )

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """`enter` on a step."""
        event.stop()
        self.choose()

    def choose(self) -> None:
        """Asks for the line of the step under the cursor."""
        step = self.list.current
        if step is not None:
            ran = self.told.version if self.told is not None else None
            self.post_message(self.Chosen(step, ran.hash if ran is not None else ""))


def _reason(step: Step) -> str:
    words = {"not_enforced": "not enforced yet"}.get(step.outcome, step.outcome.replace("_", " "))
    return sanitise(step.reason, 400) if step.reason else words


def _deciding(steps: tuple[Step, ...]) -> int:
    """The step the reader asked for: the last that matched."""
    matched = [index for index, step in enumerate(steps) if step.outcome == "matched"]
    return matched[-1] if matched else 0


def line_of_policy(text: str, policy: str) -> int | None:
    """The line, from 1, where the policy of that name begins in `text`; None when it is not there."""
    document = parse(text)
    if not isinstance(document.root, MappingNode):
        return None
    entry = document.root.get("policies")
    if entry is None or not isinstance(entry.value, SequenceNode):
        return None
    for item in entry.value.items:
        name = item.get("name") if isinstance(item, MappingNode) else None
        if name is not None and isinstance(name.value, ScalarNode) and name.value.value == policy:
            return document.line_of(item.start)
    return None
