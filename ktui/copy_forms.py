"""Requests as text to paste: ids, lines, Markdown, and the curl command that sends one again. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from ktui.answers import EventRow
from ktui.column_registry import BY_ID
from proxy.base.sanitise import sanitise

FORMS = (
    ("id", "the id"),
    ("json", "JSON, as the API gives it"),
    ("curl", "curl, sends it again"),
    ("line", "the line as shown"),
    ("markdown", "a Markdown row"),
)
"""id and meaning of each form."""
_PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "moderations": "/v1/moderations",
    "images": "/v1/images/generations",
    "audio": "/v1/audio/speech",
    "count_tokens": "/v1/messages/count_tokens",
}
NOT_KEPT = "the text of this request was not kept; put yours here"


def ids(rows: Sequence[EventRow]) -> str:
    """One id a line."""
    return "\n".join(row.id for row in rows)


def pretty(items: Sequence[Any]) -> str:
    """JSON: one object, or a list of more."""
    return json.dumps(items[0] if len(items) == 1 else list(items), ensure_ascii=False, indent=2)


def line(row: EventRow, columns: Sequence[str]) -> str:
    """The words of these columns and the id, two spaces between them; control characters made visible."""
    words = [BY_ID[name].words(row, None)[0] for name in columns if name != "id"]
    return "  ".join([*words, sanitise(row.id, 80)])


def markdown(rows: Sequence[EventRow], columns: Sequence[str]) -> str:
    """A table with these columns and the id; nothing in it is markup or a control character."""
    names = [*(name for name in columns if name != "id"), "id"]
    head = "| " + " | ".join(BY_ID[name].title for name in names) + " |"
    rule = "|" + "|".join(" ---: " if BY_ID[name].right else " --- " for name in names) + "|"
    lines = [
        "| " + " | ".join(_marked_off(sanitise(row.id, 80) if n == "id" else BY_ID[n].words(row, None)[0]) for n in names) + " |"
        for row in rows
    ]  # fmt: skip
    return "\n".join([head, rule, *lines])


def _marked_off(words: str) -> str:
    for mark in "\\|`*_<>[]":
        words = words.replace(mark, f"\\{mark}")
    return words


def curl(row: EventRow, listen: str, body: str | None) -> str:
    """The command that sends the request to the gateway at `listen` again, the key left to `$KT_KEY`.

    `body`: the request's own when it was kept. Everything in the command is printable ASCII.
    """
    path = _PATHS.get(row.endpoint or "chat", "/v1/chat/completions")
    lines = [
        f"curl {shlex.quote(f'http://{listen}{path}')}",
        "-H 'content-type: application/json'",
        '-H "authorization: Bearer $KT_KEY"',
    ]
    if row.endpoint in ("messages", "count_tokens"):
        lines.append("-H 'anthropic-version: 2023-06-01'")
    if row.stream:
        lines[0] = lines[0].replace("curl ", "curl -N ", 1)
    text = _ascii_json(body) if body is not None else None
    text = json.dumps(_skeleton(row)) if text is None else text
    return " \\\n  ".join([*lines, f"-d {shlex.quote(text)}"])


def first_request(listen: str, model: str) -> str:
    """The command that says hello to `model`."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    row = EventRow(id="", timestamp="", endpoint="chat", requested_model=model)
    return curl(row, listen, json.dumps(body))


def _ascii_json(body: str) -> str | None:
    """The same JSON in ASCII, so that no control character reaches a shell; None when it is none."""
    try:
        return json.dumps(json.loads(body))
    except (ValueError, RecursionError):
        return None


def _skeleton(row: EventRow) -> dict[str, Any]:
    model = row.requested_model or row.model or "gpt-4o"
    if row.endpoint in ("embeddings", "responses", "moderations", "audio"):
        made: dict[str, Any] = {"model": model, "input": NOT_KEPT}
    elif row.endpoint in ("completions", "images"):
        made = {"model": model, "prompt": NOT_KEPT}
    else:
        made = {"model": model, "messages": [{"role": "user", "content": NOT_KEPT}]}
        if row.endpoint == "messages":
            # The Messages API refuses a request without it.
            made["max_tokens"] = max(row.output_tokens or 0, 1_024)
    if row.stream:
        made["stream"] = True
    return made
