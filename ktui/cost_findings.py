"""Findings on cheaper routing as rows. Pure."""

from __future__ import annotations

from rich.text import Text

from ktui.cost_answers import Finding
from ktui.cost_words import VERDICTS, finding_words, quality_words, saving_of, span_words
from ktui.themes import role
from ktui.widgets.row_list import cell

_SAVES, _QUALITY, _VERDICT = 17, 15, 14
_NARROW = 90


def _widths(width: int) -> tuple[int, int, int, int]:
    quality = _QUALITY if width >= _NARROW else 0
    return max(width - _SAVES - quality - _VERDICT, 12), _SAVES, quality, _VERDICT


def findings_title(app: object, width: int, saved: str) -> Text:
    """The column names; `saved` is what the savings are of."""
    room, saves, quality, verdict = _widths(width)
    line = Text(no_wrap=True, end="", style=role(app, "muted"))
    line.append(cell("finding", room)).append(cell(saved, saves, right=True))
    if quality:
        line.append(cell("   quality", quality))
    return line.append(cell("  verdict", verdict))


def finding_line(app: object, finding: Finding, width: int, *, per_week: bool) -> Text:
    """One finding in exactly `width` cells."""
    room, saves, quality, verdict = _widths(width)
    saving = saving_of(finding, per_week)
    words, shade = VERDICTS.get(finding.verdict, VERDICTS["no_data"])
    line = Text(no_wrap=True, end="")
    line.append(cell(finding_words(finding, room), room), role(app, "text"))
    amount = "unknown" if saving is None else span_words(saving.low, saving.high)
    line.append(cell(amount, saves, right=True), role(app, "unknown" if saving is None else "strong"))
    if quality:
        line.append(cell(f"   {quality_words(finding)}", quality), role(app, "muted"))
    return line.append(cell(f"  {words}", verdict), role(app, shade))
