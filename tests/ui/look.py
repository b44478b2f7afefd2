"""Writes pictures of the screen against the fake control API.

`PYTHONPATH=. python tests/ui/look.py DIR [120x40] [kt-dark] [keys,with,commas]`; the PNG needs cairosvg.
"""

from __future__ import annotations

import asyncio
import html
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_api import FakeGateway

from ktui.app import KtuiApp

CELL = 12.2
"""Width of a cell in Textual's SVG."""


async def picture(size: tuple[int, int], theme: str, keys: list[str], path: Path) -> None:
    """One picture, after `keys` were pressed."""
    fake = FakeGateway()
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    app = KtuiApp(fake.link(), theme=theme, env=env)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(1.2)
        for key in keys:
            if key.startswith("+"):
                fake.add_events(int(key))
            else:
                await pilot.press(key)
            await pilot.pause(0.1)
        await pilot.pause(0.9)
        path.write_text(app.export_screenshot(), encoding="utf-8")


def one_cell_each(svg: str) -> str:
    """The same picture with every character at its own place, for renderers that ignore `textLength`."""

    def spread(match: re.Match[str]) -> str:
        start, words = float(match["x"]), html.unescape(match["words"])
        places = " ".join(f"{start + CELL * i:.1f}" for i in range(len(words)))
        braille = any("\u2800" <= character <= "\u28ff" for character in words)
        font = ' style="font-family: DejaVu Sans"' if braille else ""
        return f'{match["head"]} x="{places}"{font} {match["rest"]}>{html.escape(words)}</text>'

    svg = svg.replace("Fira Code", "DejaVu Sans Mono")
    return re.sub(
        r'(?P<head><text [^>]*?) x="(?P<x>[\d.]+)" (?P<rest>[^>]*)>(?P<words>[^<]*)</text>', spread, svg
    )


def main() -> None:
    """DIR, size, theme and keys from the command line."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    size = sys.argv[2] if len(sys.argv) > 2 else "120x40"
    theme = sys.argv[3] if len(sys.argv) > 3 else "kt-dark"
    keys = sys.argv[4].split(",") if len(sys.argv) > 4 else []
    name = f"{theme}-{size}{'-' + '-'.join(keys) if keys else ''}"
    path = target / f"{name}.svg"
    width, height = (int(part) for part in size.split("x"))
    asyncio.run(picture((width, height), theme, keys, path))
    import cairosvg

    svg = one_cell_each(path.read_text(encoding="utf-8"))
    cairosvg.svg2png(bytestring=svg.encode(), write_to=str(target / f"{name}.png"))


if __name__ == "__main__":
    main()
