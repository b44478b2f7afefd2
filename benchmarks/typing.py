"""How long a key takes in the policy editor: from the key to the screen painted with it.

The whole application runs (headless, 120x40) over a control API that answers at once; lint, change bar,
completion and key help are at work as for a person. What a terminal needs to draw the bytes is not in it.

python -m benchmarks.typing
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

import httpx
from textual._compositor import CompositorUpdate
from textual.events import Key
from textual.screen import Screen

from benchmarks.lint import policy_of
from ktui.app import KtuiApp
from ktui.link import GatewayLink
from ktui.screens.policy import PolicyPane
from proxy.base.secret import Secret

SIZES = (100, 1_000)
KEYS = 100
PAUSE_S = 0.1
"""Between two keys: who types fast; lint, help and completion come due in between."""
GOAL_MS = 16.0
_WORDS = "description: weights follow the plan of team search  "


def _answers(text: str) -> httpx.MockTransport:
    config = {
        "number": 1, "hash": "a" * 64, "text": text, "name": "policy.yaml",
        "file": {"state": "same", "hash": "a" * 64, "text": text},
    }  # fmt: skip

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/v1/stream":
            return httpx.Response(503)
        bodies: dict[str, Any] = {
            "/v1/config": config,
            "/v1/policy/lint": {"valid": True, "diagnostics": []},
            "/v1/policy/diff": {"unified": "", "values": []},
            "/v1/prices": {"prices": []},
            "/v1/splits": {"splits": []},
        }
        return httpx.Response(200 if path in bodies else 404, content=json.dumps(bodies.get(path, {})))

    return httpx.MockTransport(answer)


async def measure(lines: int, keys: int) -> list[float]:
    """Milliseconds of each of `keys` keys typed into the middle of a policy of about `lines` lines."""
    text = policy_of(lines)
    link = GatewayLink("http://127.0.0.1:1", Secret("x"), transport=_answers(text))
    app = KtuiApp(link, env={"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    taken = []
    async with app.run_test(size=(120, 40)) as pilot:
        config = await link.config()
        app.feed_config(config)
        app.open_screen("policy")
        pane = app.query_one(PolicyPane)
        while not pane.assist.ready:
            await pilot.pause(0.05)
        editor = pane.editor
        editor.move_cursor((editor.document.line_count // 2, 0))
        await pilot.press("end", "enter")
        painted = asyncio.Event()
        driver = app._driver
        assert driver is not None

        def displayed(_screen: Screen[Any], frame: Any) -> None:
            # What a driver with a terminal does with a frame, up to the write.
            if isinstance(frame, CompositorUpdate):
                frame.render_segments(app.console)
                painted.set()

        app._display = displayed  # type: ignore[method-assign]
        for index in range(keys):
            letter = _WORDS[index % len(_WORDS)]
            painted.clear()
            before = len(editor.text)
            began = time.perf_counter()
            driver.send_message(Key({" ": "space", ":": "colon"}.get(letter, letter), letter))
            while len(editor.text) == before:
                painted.clear()
                await asyncio.sleep(0)
            await painted.wait()
            taken.append((time.perf_counter() - began) * 1_000)
            await asyncio.sleep(PAUSE_S)
    await link.close()
    return taken


def main() -> None:
    """Measures and writes one JSON object a size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--out", type=Path, help="write the results there too")
    arguments = parser.parse_args()
    results = []
    for lines in SIZES:
        taken = asyncio.run(measure(lines, arguments.keys))
        p95 = statistics.quantiles(taken, n=20)[-1]
        result = {
            "lines": lines,
            "keys": len(taken),
            "median_ms": round(statistics.median(taken), 2),
            "p95_ms": round(p95, 2),
            "goal_ms": GOAL_MS,
        }
        results.append(result)
        print(json.dumps(result))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
