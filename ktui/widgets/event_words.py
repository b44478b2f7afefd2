"""What a request says in each field of the event list, each with the role it is written in. Pure."""

from __future__ import annotations

from ktui.answers import EventRow
from ktui.glyphs import arm_glyph
from ktui.number_words import count, request_cost
from ktui.themes import ARM_ROLES, arm_role
from proxy.base.sanitise import sanitise

Said = tuple[str, str]
"""Words and their role."""


def number(words: str) -> Said:
    """A figure; `-` is muted."""
    return words, "muted" if words == "-" else "text"


def name(value: object, limit: int = 80, *, none: str = "-") -> Said:
    """A name or a short text from outside."""
    return (none, "muted") if value in (None, "") else (sanitise(value, limit), "text")


def tokens(row: EventRow, value: int | None) -> str:
    """A count; `-` where the zero only says that nothing was ever counted."""
    return "-" if row.usage_status == "none" and not value else count(value)


def variant_words(row: EventRow, arm: int | None) -> Said:
    """The variant with its glyph, and its role; `-` when no split assigned the request."""
    if row.tag is None:
        return "-", "muted"
    tag = sanitise(row.tag, 40)
    if arm is None:
        return tag, "text"
    return f"{arm_glyph(arm)} {tag}", arm_role(arm) if arm < len(ARM_ROLES) else "text"


def cost_words(row: EventRow) -> Said:
    """What the request cost; unpriced and unknown are words, `-` is a request that never cost anything."""
    if row.cost_status == "unpriced":
        return "unpriced", "unknown"
    if row.usage_status == "unknown" and row.cost is None:
        return "unknown", "unknown"
    if row.cost_status == "none":
        return "-", "muted"
    return number(request_cost(row.cost))


def error_words(row: EventRow) -> str:
    """Why it failed, in a word or two."""
    if row.decision == "block" or row.outcome == "client_cancelled" or not row.error:
        return why(row)[0]
    return sanitise(row.error, 60)


def why(row: EventRow) -> Said:
    """Decision and reason in a few words."""
    policy = sanitise(row.policies_triggered[0], 60) if row.policies_triggered else ""
    if row.decision == "block":
        return f"block {policy}".rstrip(), "bad"
    if row.outcome == "client_cancelled":
        return "client left", "muted"
    if row.failed:
        tries = row.attempts if row.attempts is not None else row.attempt
        error = sanitise(row.error or "failed", 60)
        return (f"failed after {tries} tries" if tries is not None and tries > 1 else error), "muted"
    if row.decision == "warn":
        return f"warn {policy}".rstrip(), "warn"
    if row.decision == "redirect":
        return f"redirect {policy}".rstrip(), "text"
    return sanitise(row.decision or "unknown", 40), "muted"
