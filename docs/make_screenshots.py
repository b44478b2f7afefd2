"""Draw the pictures of the README: the demo, running, photographed at 120x40 and 80x24.

    python docs/make_screenshots.py [--seconds 45] [--out docs/screenshots]

Real gateway, simulated vendors, real traffic; only the terminal is in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path

from ktui.demo.session import DemoSession

SIZES = {"120x40": (120, 40), "80x24": (80, 24)}
SCREENS = {
    "live": ("1",),
    "explain": ("1", "k", "x"),
    "policy": ("2",),
    "rollout": ("3",),
    "apply": ("3", "greater_than_sign", "A"),
    "cost": ("escape", "5"),
    "history": ("escape", "7"),
}
"""What is pressed for each picture, after `escape` out of the one before."""
WEB_FONT = re.compile(r"@font-face\s*{[^}]*}")


async def photograph(out: Path, seconds: float) -> list[Path]:
    """Run the demo for `seconds`, then write one SVG for each screen and size."""
    written: list[Path] = []
    for label, size in SIZES.items():
        session = DemoSession(seed=7)
        app = session.app()
        async with app.run_test(size=size) as pilot:
            await asyncio.sleep(seconds)
            for name, keys in SCREENS.items():
                await pilot.press("escape")
                for key in keys:
                    await pilot.press(key)
                    await pilot.pause(0.2)
                await asyncio.sleep(3)
                await pilot.pause()
                path = out / f"{name}-{label}.svg"
                path.write_text(WEB_FONT.sub("", app.export_screenshot(title=f"ktui demo, {label}")))
                written.append(path)
        session.close()
    return written


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "screenshots")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for path in asyncio.run(photograph(options.out, options.seconds)):
        print(path)


if __name__ == "__main__":
    main()
