"""docs/keys.md, made from the command registry: `python -m ktui.keys_doc > docs/keys.md`."""

from __future__ import annotations

import sys

from ktui.commands import COMMANDS, PLACES

_HEAD = """\
# Keys

Made from the command registry (`python -m ktui.keys_doc > docs/keys.md`). Every command is in the palette (`:`) too.

A capital letter changes what runs, and always asks; small letters never change traffic; `enter` opens, it never
applies. In editors and fields letters, digits, space and punctuation are text; `esc`, `ctrl+…` and `f…` work.

`ctrl+z` is never bound to stopping: the process serves requests. `ctrl+c` copies a selection, else says how to quit.
"""


def keys_page() -> str:
    """The page as Markdown: one table for each place."""
    parts = [_HEAD]
    for place in PLACES:
        rows = [command for command in COMMANDS if command.where == place]
        if not rows:
            continue
        parts.append(f"\n## {place.capitalize()}\n\n| id | title | keys | asks |\n|---|---|---|---|\n")
        for command in rows:
            keys = " ".join(f"`{key}`" for key in command.key_text.split()) or "palette only"
            keys = keys.replace("|", "\\|")
            parts.append(f"| {command.id} | {command.title} | {keys} | {'yes' if command.asks else ''} |\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(keys_page())
