"""Bars of shares and sliders, as text. Solid is what runs, hollow what would run."""

from __future__ import annotations

from decimal import Decimal

from rich.text import Text

from ktui.glyphs import arm_bar, arm_glyph
from ktui.ladder import Shares
from ktui.themes import arm_role, role
from proxy.policy.weights import largest_remainder


def split_bar(app: object, shares: Shares, width: int) -> Text:
    """The shares of all arms side by side; an arm above 0 has at least one cell."""
    cells = largest_remainder({tag: Decimal(tenths) for tag, tenths in shares.items()}, width)
    for tag, tenths in shares.items():
        if tenths and not cells[tag]:
            greatest = max(cells, key=lambda name: cells[name])
            cells[greatest] -= 1
            cells[tag] = 1
    line = Text(no_wrap=True, end="")
    for index, tag in enumerate(shares):
        line.append(arm_bar(index) * cells[tag], role(app, arm_role(index)))
    return line


def position(tenths: int, width: int) -> int:
    """The cell of a share on a slider of `width` cells."""
    return round(tenths / 1000 * (width - 1))


def slider(app: object, index: int, runs: int, would: int, width: int) -> Text:
    """One arm's slider: solid to where it runs, a hollow mark where it would."""
    solid, hollow = arm_glyph(index), arm_glyph(index, hollow=True)
    mark, ghost = position(runs, width), position(would, width)
    colour, rule = role(app, arm_role(index)), role(app, "rule")
    track = [("─", rule)] * width
    for cell in range(min(mark, ghost)):
        track[cell] = ("━", colour)
    for cell in range(min(mark, ghost) + 1, max(mark, ghost)):
        track[cell] = ("┄", role(app, "ghost"))
    if ghost != mark:
        track[ghost] = (hollow, colour)
    track[mark] = (solid, f"bold {colour}")
    line = Text(no_wrap=True, end="")
    for character, style in track:
        line.append(character, style)
    return line


def percent(tenths: int) -> str:
    """`95.0`, `100.0`."""
    return f"{tenths / 10:.1f}"
