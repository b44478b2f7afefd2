"""Writing requests to a file from the Live screen: asks for a name, tells how far it is, can be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.app import App

from ktui.answers import EventRow
from ktui.export import FORMATS, ExportError, default_name, target_of, write_rows
from ktui.link import GatewayLink, LinkError
from ktui.widgets.prompt import Prompt
from proxy.base.sanitise import sanitise

Say = Callable[[Text | str], None]


def size_words(size: int) -> str:
    """Bytes as people read them: `820 B`, `3.4 KB`, `12.1 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


async def ask_file(
    app: App[Any], title: str, what: str, name: str, formats: Sequence[str]
) -> tuple[Path, str] | None:
    """A new file for `what` and its format; None when the reader leaves. To be run in a worker."""
    here = Path.cwd()

    def fault(text: str) -> str:
        try:
            target_of(text, here, formats)
        except ExportError as error:
            return str(error)
        return ""

    *others, last = (f".{form}" for form in formats)
    hint = f"{what}; ends in {', '.join(others)} or {last}, in {sanitise(here, 120)}"
    answer = await app.push_screen_wait(Prompt(title, value=name, hint=hint, check=fault))
    return None if answer is None else target_of(answer, here, formats)


async def ask_target(app: App[Any], marked: Sequence[EventRow], filter_text: str) -> tuple[Path, str] | None:
    """As ask_file, for the marked requests or else those that match."""
    if marked:
        what = f"the {len(marked):,} marked requests" if len(marked) > 1 else "the marked request"
    else:
        what = (
            f"all stored requests that match {sanitise(filter_text, 60)}"
            if filter_text
            else "all stored requests"
        )
    name = default_name(datetime.now().astimezone(), len(marked))
    return await ask_file(app, "Write to a file", what, name, FORMATS)


async def write(
    app: App[Any],
    link: GatewayLink,
    say: Say,
    target: tuple[Path, str],
    marked: Sequence[EventRow],
    filter_text: str,
) -> None:
    """Writes; the end is a toast with the path."""
    path, form = target
    name = sanitise(path.name, 80)

    def told(size: int) -> None:
        say(f"writing {name}: {size_words(size)} · w cancels")

    told(0)
    try:
        size = await write_rows(link, path, form, filter_text=filter_text, marked=marked, progress=told)
    except (ExportError, LinkError) as error:
        say("✗ no file was written")
        app.notify(f"not written: {error}", severity="error", markup=False)
        return
    say(f"✓ written: {name}")
    app.notify(f"written, {size_words(size)}: {sanitise(path, 300)}", markup=False, timeout=8)
