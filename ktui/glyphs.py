"""Glyphs and their ASCII stand-ins. Every glyph is one cell wide and has no emoji form."""

from __future__ import annotations

from collections.abc import Mapping

ARM_SOLID = ("■", "◆", "▲", "▼")
ARM_HOLLOW = ("□", "◇", "△", "▽")
ARM_BAR = ("━", "╍", "─", "╌")
SPARK = "▁▂▃▄▅▆▇█"

_ASCII: Mapping[str, str] = {
    "●": "*", "○": "o", "◐": "%", "✓": "+", "✗": "x", "≈": "~",
    "■": "A", "□": "a", "◆": "B", "◇": "b", "▲": "C", "△": "c", "▼": "D", "▽": "d",
    "‖": "=", "•": "*", "━": "=", "╍": "~", "─": "-", "╌": ".", "┄": ".", "≠": "#",
    "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "|", "▍": "#", "▎": "#", "▏": "#", "▐": "[", "░": ".",
    "▁": "_", "▂": ".", "▃": "-", "▄": "~", "▅": "=", "▆": "+", "▇": "*",
    "┊": ":", "·": "-", "├": "|", "┤": "|", "┼": "+", "◂": "<", "▸": ">", "╵": "'", "╷": ",",
    "▾": "v", "→": ">", "←": "<", "↑": "^", "↓": "v", "…": ">",
    "┌": "+", "┐": "+", "└": "+", "┘": "+", "│": "|", "×": "x",
}  # fmt: skip

_TABLE = str.maketrans(
    {
        **_ASCII,
        **{chr(code): "*" for code in range(0x2801, 0x2900)},
        "\u2800": " ",
        # The pictures that the sanitiser puts in place of control characters.
        **{chr(code): "?" for code in (*range(0x2400, 0x2421), 0x2421)},
    },
)


def to_ascii(text: str) -> str:
    """`text` with every glyph of the screen swapped, cell for cell; other characters stay."""
    return text.translate(_TABLE)


def wants_ascii(env: Mapping[str, str]) -> bool:
    """Whether this terminal cannot be trusted with the glyphs: TERM linux or dumb, a locale not UTF-8."""
    if env.get("TERM", "") in {"linux", "dumb"}:
        return True
    locale = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or ""
    return bool(locale) and "utf" not in locale.lower() and locale not in {"C", "POSIX"}


def arm_glyph(index: int, *, hollow: bool = False) -> str:
    """The glyph of arm `index` (0 is control); the fifth arm and later are letters."""
    glyphs = ARM_HOLLOW if hollow else ARM_SOLID
    if index < len(glyphs):
        return glyphs[index]
    letter = chr(ord("E") + min(index - len(glyphs), 21))
    return letter.lower() if hollow else letter


def arm_bar(index: int) -> str:
    """The character that draws the share of arm `index` in a split bar."""
    return ARM_BAR[index] if index < len(ARM_BAR) else arm_glyph(index)
