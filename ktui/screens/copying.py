"""Copying requests: asks in which form, makes it, and says which way it went."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from textual.app import App

from ktui import clipboard
from ktui.answers import EventRow
from ktui.copy_forms import FORMS, curl, ids, line, markdown, pretty
from ktui.link import GatewayLink, LinkError, Refused
from ktui.state import AppState
from ktui.widgets.choice_menu import ChoiceMenu
from proxy.base.sanitise import sanitise

_AT_ONCE = 8
"""Requests to the API at one time."""


def environment(app: App[Any]) -> Mapping[str, str]:
    """The environment the application was given."""
    given = getattr(app, "environment", None)
    return given if isinstance(given, Mapping) else os.environ


async def copy_text(app: App[Any], state: AppState, text: str, what: str) -> None:
    """Copies `text`; a toast says how, or why not. `what` must be safe to show."""
    done = await clipboard.copy(app, text, what, environment(app), state.settings)
    app.notify(done.words, severity="information" if done.done else "error", markup=False, timeout=8)


async def copy_rows(
    app: App[Any], state: AppState, link: GatewayLink, rows: Sequence[EventRow], columns: Sequence[str]
) -> None:
    """Asks for the form, then copies. To be run in a worker."""
    some = sanitise(rows[0].id, 40) if len(rows) == 1 else f"{len(rows):,} marked requests"
    form = await app.push_screen_wait(ChoiceMenu(f"Copy {some}", FORMS))
    if form is None:
        return
    try:
        text = await _made(form, state, link, rows, columns)
    except LinkError as error:
        app.notify(f"not copied: {error}", severity="error", markup=False)
        return
    name = {"id": "id", "json": "JSON", "curl": "curl", "line": "line", "markdown": "Markdown"}[form]
    await copy_text(app, state, text, f"{name} of {some}")


async def _made(
    form: str, state: AppState, link: GatewayLink, rows: Sequence[EventRow], columns: Sequence[str]
) -> str:
    if form == "id":
        return ids(rows)
    if form == "line":
        return "\n".join(line(row, columns) for row in rows)
    if form == "markdown":
        return markdown(rows, columns)
    gate = asyncio.Semaphore(_AT_ONCE)
    listen = state.status.gateway.listen if state.status is not None else ""

    async def one(row: EventRow) -> Any:
        async with gate:
            if form == "json":
                return await link.event_json(row.id)
            return curl(row, listen or "127.0.0.1:41002", await _kept(link, row.id))

    made = await asyncio.gather(*(one(row) for row in rows))
    return pretty(made) if form == "json" else "\n\n".join(made)


async def _kept(link: GatewayLink, id_: str) -> str | None:
    """The request's body; None when it was not kept, or not whole."""
    try:
        request = (await link.body(id_)).request
    except Refused:
        return None
    return None if request is None or request.truncated else request.text
