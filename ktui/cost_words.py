"""Money as the Cost screen says it: sentences, the kinds of spend, findings. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.text import Text

from ktui.cost_answers import Calendar, Cost, Finding, Measures, MoneyRange
from ktui.number_words import NONE, count, request_cost, sum_cost
from ktui.themes import role
from proxy.base.sanitise import sanitise

WINDOWS = (
    ("5m", 300, "5 minutes"),
    ("15m", 900, "15 minutes"),
    ("1h", 3_600, "1 hour"),
    ("6h", 21_600, "6 hours"),
    ("1d", 86_400, "1 day"),
    ("7d", 604_800, "7 days"),
    ("30d", 2_592_000, "30 days"),
    ("90d", 7_776_000, "90 days"),
)
"""As the API takes it, in seconds, as people say it; the shortest first."""
USUAL = 5
SHORT = "under 2,000 characters, no tools, no images"
"""What a short request is, as the gateway counts it."""
GROUPINGS = ("model", "provider", "variant", "key", "user", "policy")
VERDICTS = {
    "better": ("✓ better", "ok"),
    "equal": ("✓ equal", "ok"),
    "worse": ("✗ worse", "bad"),
    "not_yet": ("≈ not yet", "unknown"),
    "no_data": ("? no scores", "unknown"),
}
"""Words and role of a verdict on quality."""


def window_for(age_s: float) -> int:
    """The place of the shortest window that holds all of `age_s`, up to the usual one."""
    return next((i for i, (_, seconds, _) in enumerate(WINDOWS[:USUAL]) if seconds >= age_s), USUAL)


def zone_of(name: str) -> tzinfo:
    """The zone called `name`; UTC where the machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


class _Line:
    """A line of text in roles."""

    def __init__(self, app: object) -> None:
        self._app = app
        self.text = Text(no_wrap=True, end="", overflow="ellipsis")

    def add(self, words: str, name: str = "muted") -> _Line:
        self.text.append(words, role(self._app, name))
        return self


def sentence(app: object, cost: Cost, narrow: bool) -> Text:
    """What was spent, what is not known, where the month is heading."""
    words = {seconds: words for _, seconds, words in WINDOWS}.get(cost.window_s, "the window")
    total, line = cost.total, _Line(app)
    if not total.requests:
        return line.add("Nothing spent", "strong").add(f" in {words}; - looks further back").text
    line.add(sum_cost(total.spend), "strong" if total.spend is not None else "unknown").add(f" in {words}")
    if narrow:
        if total.unpriced:
            line.add(" + ").add(f"? {count(total.unpriced)} unpriced", "unknown")
        line.add(". ")
        return _month(line, cost.calendar, narrow).text
    if total.unpriced:
        line.add(", plus ").add(f"? {_requests(total.unpriced)} unpriced", "unknown")
    part = estimated_share(total)
    if part is None:
        line.add("; none of the sum is estimated.")
    else:
        line.add("; ").add(part, "text").add(" of the sum is estimated.")
    line.text.append("\n")
    _month(line, cost.calendar, narrow)
    return _today(line, cost.calendar).text


def _month(line: _Line, calendar: Calendar, narrow: bool) -> _Line:
    zone = zone_of(calendar.timezone)
    name = f"{datetime.fromtimestamp(calendar.month, zone):%B}"
    line.add(f"{name} ").add("" if narrow else "so far ").add(sum_cost(calendar.month_so_far), "strong")
    projection = calendar.projection
    if projection.expected is None:
        line.add(", too early to project" if narrow else "; too early to say where it is heading. ")
    elif narrow:
        line.add(", heading for ").add(sum_cost(projection.expected), "text")
    else:
        line.add(", heading for ").add(span_words(projection.low, projection.high), "text").add(". ")
    return line


def _today(line: _Line, calendar: Calendar) -> _Line:
    zone = zone_of(calendar.timezone)
    now = datetime.fromtimestamp(calendar.now, zone)
    local = now.astimezone()
    shown = f"{now:%H:%M}" if now.utcoffset() == local.utcoffset() else f"{now:%H:%M %Z}"
    line.add("Today ").add(sum_cost(calendar.today), "text").add(f" by {shown}, yesterday ")
    if calendar.yesterday is None:
        return line.add("unknown", "unknown").add(" at this hour.")
    return line.add(sum_cost(calendar.yesterday), "text").add(" at this hour.")


def basis_words(calendar: Calendar) -> str:
    """How the projection was made, for the note line."""
    projection = calendar.projection
    if projection.basis == "weeks":
        weeks = projection.days // 7
        rests = f"the same hours of the last {weeks} week{'s' if weeks != 1 else ''}"
    elif projection.basis == "days":
        rests = f"the mean of the last {projection.days} days"
    else:
        return "the month is projected from two days of spend on"
    return f"projected from {rests}, two standard deviations either way; days of {sanitise(calendar.timezone, 40)}"


def span_words(low: str | None, high: str | None) -> str:
    """`$441 to $472`; one number when both read alike."""
    first, last = _rounded(low), _rounded(high)
    return first if first == last else f"{first} to {last}"


def _rounded(amount: str | None) -> str:
    """What is reckoned ahead carries no cents from 20 dollars on."""
    value = None if amount is None else float(amount)
    return f"${value:,.0f}" if value is not None and value >= 20 else sum_cost(amount, "unknown")


def estimated_share(measures: Measures) -> str | None:
    """`0.3 %` of the known sum rests on estimated tokens; None: nothing does."""
    if not measures.estimated:
        return None
    spend = float(measures.spend or 0)
    if not spend:
        return "0 %"
    part = float(measures.estimated_spend) / spend * 100
    return f"{part:.1f} %" if part >= 0.05 else "under 0.1 %"


def _requests(number: int) -> str:
    return f"{number:,} request" + ("" if number == 1 else "s")


def kinds(app: object, total: Measures) -> Text:
    """What the sum is made of: how each part is known, and the tokens."""
    exact = total.priced - total.estimated
    rows = [
        ("priced", exact, _less(total.spend, total.estimated_spend), "text"),
        ("estimated", total.estimated, sum_cost(total.estimated_spend) if total.estimated else NONE, "text"),
        ("? unpriced", total.unpriced, "unknown" if total.unpriced else NONE, "unknown" if total.unpriced else "text"),
        ("refused", total.blocked, "$0.00" if total.blocked else NONE, "text"),
    ]  # fmt: skip
    lines = []
    for name, number, words, shade in rows:
        line = _Line(app).add(f" {name:<12}", shade if shade == "unknown" else "muted")
        lines.append(line.add(f"{count(number):>13}", "text").add(f"{words:>14}", shade).text)
    cached = total.cached_tokens / total.input_tokens if total.input_tokens else None
    share = "" if not cached else f"{cached * 100:.1f} % cached"
    ratio = "" if total.output_per_input is None else f"{total.output_per_input:.3f} per in"
    for name, number, words in (
        ("tokens in", total.input_tokens, share),
        ("tokens out", total.output_tokens, ratio),
    ):
        lines.append(
            _Line(app).add(f" {name:<12}").add(f"{count(number):>13}", "text").add(f"{words:>14}").text
        )
    return Text("\n").join([*lines[:4], Text(), *lines[4:]])


def _less(spend: str | None, part: str) -> str:
    if spend is None:
        return NONE
    return sum_cost(f"{float(spend) - float(part):.9f}")


# -- findings


def finding_words(finding: Finding, room: int = 80) -> str:
    """Which requests could go where, in a shorter form where `room` is short."""
    model, to = sanitise(finding.model, 60), sanitise(finding.to, 60)
    number = count(finding.requests)
    if finding.kind == "short":
        what, more = f"{number} short {model}", ""
    elif finding.kind == "key":
        what, more = f"{number} {model}", f" of key {sanitise(finding.key or '', 40)}"
    else:
        what, more = f"{number} {model}", ""
    ends = "" if finding.ends is None else f", end of life {_day(finding.ends)}"
    words = f"{what} requests{more} could go to {to}{ends}"
    return words if len(words) < room else f"{what}{more} → {to}{ends}"


def _day(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return sanitise(text, 20)
    return f"{day.day} {day:%b %Y}"


def saving_of(finding: Finding, per_week: bool) -> MoneyRange | None:
    """What it saves: a week, or in what was looked at."""
    return finding.saving_per_week if per_week else finding.saving


def quality_words(finding: Finding) -> str:
    """`0.86 → 0.85`."""

    def one(mean: float | None) -> str:
        return "?" if mean is None else f"{mean:.2f}"

    return f"{one(finding.quality.now.mean)} → {one(finding.quality.then.mean)}"


def finding_note(finding: Finding) -> str:
    """What else the reader should know before trying it."""
    words = [SHORT] if finding.kind == "short" else []
    words += [f"{sum_cost(finding.cost)} → {sum_cost(finding.would_cost)} over {_requests(finding.requests)}"]
    if finding.in_split:
        words.append(f"takes {_requests(finding.in_split)} out of the experiment")
    if finding.unpriced:
        words.append(f"{finding.unpriced:,} without a price left out")
    scored = f"{finding.quality.now.scored:,} and {finding.quality.then.scored:,} scores"
    words.append(f"estimate with the same tokens; {scored}")
    return " · ".join(words)


def best_words(findings: tuple[Finding, ...], covered: str) -> str:
    """One line for a short screen."""
    if not findings:
        return "no cheaper routing found in this window"
    best, number = findings[0], len(findings)
    noun = "finding" if number == 1 else "findings"
    if best.saving_per_week is not None:
        saved = f"up to {_rounded(best.saving_per_week.high)} a week"
    else:
        saved = f"up to {sum_cost(best.saving.high)} in {covered}"
    return f"{number} {noun} for cheaper routing, {saved}; v shows {'it' if number == 1 else 'them'}"


def covered_words(seconds: int) -> str:
    """`12 min`, `5 h`, `3 days`."""
    if seconds < 5_400:
        return f"{max(round(seconds / 60), 1)} min"
    if seconds < 129_600:
        return f"{round(seconds / 3_600)} h"
    return f"{round(seconds / 86_400)} days"


def unit_cost(value: str | None, *, at_least: bool = False, none: str = NONE) -> str:
    """The cost of one unit, `≥` where it is a lower end."""
    return none if value is None else f"{'≥' if at_least else ''}{request_cost(value)}"
