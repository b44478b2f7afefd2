"""How a version is written: a row of the list, and its particulars."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from ktui.answers import Version
from ktui.number_words import clock, count, moment
from ktui.themes import role
from ktui.widgets.row_list import cell
from proxy.base.sanitise import sanitise

SHORT_HASH = 7
_HOW = {"slider": "screen", "api": "api", "start": "start", "file": "file"}
_WITHOUT_WORDS = {
    "file": "saved outside",
    "start": "read at start",
    "slider": "weights moved",
    "restore": "an earlier text again",
}
_NUMBER, _WHEN, _WHO, _THROUGH, _HASH = 8, 10, 9, 10, 9
_HASH_FROM, _EVENTS_FROM, _TWO_LINES_FROM = 96, 50, 64


def when_words(applied_at: str | None, now: datetime) -> str:
    """`14:24:51` today, else `10 Jun`, in another year `10 Jun 25`."""
    when = moment(applied_at)
    if when is None:
        return "unknown"
    if when.date() == now.date():
        return clock(when)
    day = f"{when.day} {when:%b}"
    return day if when.year == now.year else f"{day} {when:%y}"


def ago_words(applied_at: str | None, now: datetime) -> str:
    """`now`, `5 min ago`, `2 h 10 m ago`, `3 days ago`."""
    when = moment(applied_at)
    if when is None:
        return "at an unknown time"
    minutes = int((now - when).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {rest:02d} m ago"
    days = hours // 24
    return f"{days} day{'s' if days != 1 else ''} ago"


def through_words(version: Version) -> str:
    """Which way it came in: `editor`, `screen`, `file`, ..."""
    through = version.through or ""
    return _HOW.get(through, sanitise(through, 20)) or "unknown"


def what_words(version: Version, meaning: tuple[str, ...] | None) -> str:
    """What the version did: its author's words, else what changed in it, else how it came in."""
    if version.why:
        return sanitise(version.why, 200)
    if meaning:
        more = f" (+{len(meaning) - 1})" if len(meaning) > 1 else ""
        return sanitise(meaning[0], 200) + more
    if version.number == 1:
        return "the first text"
    return _WITHOUT_WORDS.get(version.through or "", "-")


def title_line(app: object, width: int) -> Text:
    """Names of the columns."""
    line = f"{'version':<{_NUMBER}}{'applied':<{_WHEN}}{'who':<{_WHO}}{'through':<{_THROUGH}}"
    if width >= _HASH_FROM:
        line += f"{'hash':<{_HASH}}"
    line += "what"
    if width >= _EVENTS_FROM:
        line = f"{line:<{width - 10}}{'events':>10}"
    return Text(line, style=role(app, "muted"), no_wrap=True, end="")


def version_line(
    app: object,
    version: Version,
    width: int,
    *,
    running: bool,
    marked: bool,
    meaning: tuple[str, ...] | None,
    now: datetime,
) -> Text:
    """One row: number, mark, when, who, through what, what, events."""
    muted, text = role(app, "muted"), role(app, "text")
    line = Text(no_wrap=True, end="")
    line.append(cell(f"v{version.number}", _NUMBER - 3), role(app, "strong"))
    line.append("●" if running else " ", role(app, "live"))
    line.append("m" if marked else " ", f"bold {role(app, 'accent')}").append(" ")
    line.append(cell(when_words(version.applied_at, now), _WHEN), muted)
    line.append(cell(sanitise(version.who or "-", 40), _WHO), text if version.who else muted)
    line.append(cell(through_words(version), _THROUGH), muted)
    if width >= _HASH_FROM:
        line.append(cell(sanitise(version.hash[:SHORT_HASH]), _HASH), muted)
    room = width - line.cell_len - (10 if width >= _EVENTS_FROM else 0)
    words = what_words(version, meaning)
    line.append(cell(words, max(room, 2)), text if words != "-" else muted)
    if width >= _EVENTS_FROM:
        number = count(version.events, "unknown")
        line.append(f"{number:>10}", text if version.events else muted)
    return line


def particulars(app: object, version: Version, size: int | None, now: datetime, width: int) -> list[Text]:
    """Hash, size, when, how many requests, who and why of one version, on two lines or three."""
    muted, text = role(app, "muted"), role(app, "text")
    text_of = Text("hash ", style=muted).append(sanitise(version.hash[:12]), text)
    if size is not None:
        text_of.append("   bytes ", muted).append(f"{size:,}", text)
    ran = Text("applied ", style=muted).append(ago_words(version.applied_at, now), text)
    ran.append("   events ", muted).append(count(version.events, "unknown"), text)
    author = Text("by   ", style=muted).append(sanitise(version.who or "nobody named", 60), text)
    author.append(f", {through_words(version)}", muted)
    if width >= _TWO_LINES_FROM:
        lines = [text_of.append("   ").append_text(ran), author]
    else:
        lines = [text_of, ran, author]
    if version.why:
        lines.append(Text("why  ", style=muted).append(sanitise(version.why, 500), text))
    return lines
