"""Sentences of the apply review: what changes, what lint says, how the file stands to what runs."""

from __future__ import annotations

import re

from rich.text import Text

from ktui.answers import Config, Difference, Linted, ValueChange
from ktui.themes import role
from proxy.base.sanitise import sanitise

MOST_SENTENCES = 40


def meaning_lines(app: object, difference: Difference) -> list[Text]:
    """One line for each change: the gateway's sentences, or the values where it gives none."""
    text, muted = role(app, "text"), role(app, "muted")
    if difference.meaning:
        lines = [
            Text().append("• ", role(app, "accent")).append(sanitise(item, 300), text)
            for item in difference.meaning[:MOST_SENTENCES]
        ]
        left_out = len(difference.meaning) - len(lines)
    else:
        lines = [value_line(app, value) for value in difference.values[:MOST_SENTENCES]]
        left_out = len(difference.values) - len(lines)
    if left_out > 0:
        lines.append(Text(f"and {left_out} more", style=muted))
    if not lines:
        words = "comments or spelling only" if difference.unified else "nothing"
        lines = [Text(words, style=muted)]
    return lines


def value_line(app: object, value: ValueChange) -> Text:
    """`variant-b weight  5 → 10`."""
    line = Text().append("• ", role(app, "accent"))
    line.append(f"{short_path(sanitise(value.path, 200))}  ", role(app, "muted"))
    before, after = (
        "none" if item is None else sanitise(item, 60) or "empty" for item in (value.before, value.after)
    )
    line.append(before, role(app, "text")).append(" → ", role(app, "muted"))
    return line.append(after, role(app, "strong"))


def short_path(path: str) -> str:
    """The part of a path that tells values apart: `variant-b weight`, `ab-test-models phase`."""
    steps = re.findall(r"\[(?:\w+=)?([^\]]+)\]|([^.\[\]]+)", path)
    return " ".join(named or plain for named, plain in steps[-2:])


def lint_line(app: object, linted: Linted) -> Text:
    """Whether the text can run; with errors, the first of them."""
    errors = [problem for problem in linted.diagnostics if problem.severity == "error"]
    warnings = sum(problem.severity == "warning" for problem in linted.diagnostics)
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        words = f"✗ line {errors[0].line}: {sanitise(errors[0].message, 300)}{more}"
        return Text(words, style=role(app, "bad"))
    line = Text("✓ lint clean", style=role(app, "ok"))
    if warnings:
        line.append(f"   ! {warnings} warning{'s' if warnings != 1 else ''}", role(app, "warn"))
    if linted.not_enforced:
        names = ", ".join(sanitise(item.policy, 40) for item in linted.not_enforced[:3])
        line.append(f"   i not enforced yet: {names}", role(app, "info"))
    return line


def standing_lines(app: object, config: Config, base_hash: str | None) -> list[Text]:
    """What a write would meet: a file that differs from what runs, or one that someone saved meanwhile."""
    warn = role(app, "warn")
    name = sanitise(config.name or "the file", 60)
    present = config.file.hash or config.hash
    if base_hash is not None and base_hash not in ("*", present):
        return [Text(f"! {name} was saved by someone else: an apply will ask before it writes", style=warn)]
    if config.file.state == "same":
        return []
    reason = sanitise(config.file.reason or config.file.state, 120)
    words = f"≠ {name} is not what runs ({reason}); applying writes over it"
    if config.file.state == "missing":
        words = f"≠ {name} is missing; applying writes it anew"
    if config.file.state == "unreadable":
        words = f"≠ {name} cannot be read ({reason}); an apply will be refused"
    return [Text(words, style=warn)]
