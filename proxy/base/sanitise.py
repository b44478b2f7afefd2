"""The one sanitiser: text from outside on its way to a terminal, a log line or a header.

Terminals act on control characters, and Textual passes most of them through; bidirectional controls,
zero-width characters and tag characters deceive the reader instead. All become visible glyphs.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, arabic letter mark, fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, separators, bidi controls
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # fillers, variation selectors, BOM
    "\ud800-\udfff"  # lone surrogates
    "\U000e0000-\U000e0fff"  # tag characters, variation selectors supplement
    "]"
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"<{code:04X}>"


def sanitise(text: object, limit: int = 2_000) -> str:
    """`text` as one line that no terminal acts on, at most `limit` characters (the cut ends in `…`)."""
    line = text if isinstance(text, str) else str(text)
    if len(line) > limit:
        line = line[: max(limit - 1, 0)] + "…"
    return _UNSAFE.sub(_visible, line)


def sanitise_block(text: str, limit: int = 200_000) -> str:
    """Like `sanitise`, keeping line feeds and turning tabs into spaces: for text shown over several lines."""
    kept = text[:limit].expandtabs(4).split("\n")
    return "\n".join(_UNSAFE.sub(_visible, line) for line in kept)


_HEADER_SAFE = re.compile(r"[^A-Za-z0-9._:+/@=,*-]")


def header_value(text: object, limit: int = 128) -> str:
    """`text` as a value for a header we mint: `[A-Za-z0-9._:+/@=,*-]`, anything else becomes `_`."""
    return _HEADER_SAFE.sub("_", str(text)[:limit])
