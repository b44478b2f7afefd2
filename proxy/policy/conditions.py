"""The shared `conditions:` vocabulary: what a file may ask of a request, compiled to fast predicates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from fnmatch import translate
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from proxy.policy.document import shown
from proxy.policy.facts import NotRecordedError, RequestFacts
from proxy.policy.spec import Count, HeaderName, Patterns, Spec

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)\Z")
_MOMENT = "must be a date such as 2026-06-15 or a time with its offset such as 2026-06-15T10:00:00Z"
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")


def zone_of(name: str) -> tzinfo:
    """The time zone called `name`; UTC also where the machine has no zone database. Raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from None


def parse_moment(text: str, zone: tzinfo) -> datetime:
    """`text` as a moment in UTC: RFC 3339, or a date meaning 00:00 in `zone`. Raises ValueError."""
    if "1970" <= text[:4] <= "9000" and _DATE.match(text):
        return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
    if "1970" <= text[:4] <= "9000" and _RFC3339.match(text):
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    raise ValueError(
        "must be a date such as 2026-06-15 or a time with its offset such as 2026-06-15T10:00:00Z"
    )


def _check_moment(text: str) -> str:
    try:
        parse_moment(text, UTC)
    except (ValueError, OverflowError):
        raise ValueError(_MOMENT) from None
    return text


Moment = Annotated[str, AfterValidator(_check_moment)]


class ConditionsSpec(Spec):
    """All that are given must hold. A condition on something the request does not carry does not hold."""

    model: Patterns | None = None
    """The current model: after earlier redirects and splits."""
    requested_model: Patterns | None = None
    """The model as the client sent it."""
    max_tokens_gt: Count | None = None
    """More output tokens asked for than this."""
    max_tokens_gte: Count | None = None
    """At least this many output tokens asked for."""
    max_tokens_lt: Count | None = None
    """Fewer output tokens asked for than this."""
    max_tokens_lte: Count | None = None
    """At most this many output tokens asked for."""
    prompt_chars_gt: Count | None = None
    """More characters in the prompt than this."""
    prompt_chars_gte: Count | None = None
    """At least this many characters in the prompt."""
    prompt_chars_lt: Count | None = None
    """Fewer characters in the prompt than this."""
    prompt_chars_lte: Count | None = None
    """At most this many characters in the prompt."""
    stream: bool | None = None
    """Whether a streamed answer was asked for."""
    has_tools: bool | None = None
    """Whether the request offers tools."""
    has_images: bool | None = None
    """Whether the request carries an image."""
    user: Patterns | None = None
    """The end user the request names."""
    key: Patterns | None = None
    """Name of the client key."""
    header: dict[HeaderName, Patterns] | None = None
    """Header name to pattern."""
    metadata: dict[str, Patterns] | None = None
    """Metadata key to pattern."""
    after: Moment | None = None
    """From this moment on."""
    before: Moment | None = None
    """Until just before this moment."""


class Matcher:
    """Names and globs, case-sensitive; any may match. `*` or `?` makes a glob."""

    __slots__ = ("_exact", "_globs", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._exact = frozenset(pattern for pattern in self.patterns if not is_glob(pattern))
        globs = [translate(pattern) for pattern in self.patterns if is_glob(pattern)]
        self._globs = re.compile("|".join(globs)).match if globs else None

    def __call__(self, text: str) -> bool:
        """Whether any pattern matches."""
        return text in self._exact or (self._globs is not None and self._globs(text) is not None)

    def __str__(self) -> str:
        return " or ".join(shown(pattern) for pattern in self.patterns[:4]) + (
            " …" if len(self.patterns) > 4 else ""
        )


def is_glob(pattern: str) -> bool:
    """Whether `pattern` stands for more than itself."""
    return "*" in pattern or "?" in pattern


Predicate = Callable[[RequestFacts, str], bool]
"""Of the facts and the current model."""
WhyNot = Callable[[RequestFacts, str], str]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, ready to test, and the text that says why it did not hold."""

    name: str
    holds: Predicate
    why_not: WhyNot


class Conditions:
    """All conditions of a policy."""

    __slots__ = ("_predicates", "items")

    def __init__(self, items: Iterable[Condition] = ()) -> None:
        self.items = tuple(items)
        self._predicates = tuple(item.holds for item in self.items)

    def hold(self, facts: RequestFacts, model: str) -> bool:
        """Whether all hold.

        Raises NotRecordedError for a recorded request when it depends on what was not kept.
        """
        try:
            for predicate in self._predicates:
                if not predicate(facts, model):
                    return False
        except NotRecordedError:
            if self._surely_fails(facts, model) is None:
                raise
            return False
        return True

    def _surely_fails(self, facts: RequestFacts, model: str) -> Condition | None:
        """The first condition that does not hold, whatever those say that cannot be told."""
        for item in self.items:
            try:
                if not item.holds(facts, model):
                    return item
            except NotRecordedError:
                continue
        return None

    def why_not(self, facts: RequestFacts, model: str) -> str | None:
        """The first that does not hold, as a clause; None when all hold. Raises like `hold`."""
        if self.hold(facts, model):
            return None
        failed = self._surely_fails(facts, model)
        return f"does not hold: {failed.why_not(facts, model)}" if failed is not None else None


def compile_conditions(spec: ConditionsSpec | None, zone: tzinfo) -> Conditions:
    """`spec` as predicates; none given always holds. `zone` is what a date without a time means."""
    if spec is None:
        return Conditions()
    items: list[Condition] = []
    if spec.model is not None:
        items.append(_current_model(Matcher(spec.model)))
    for name in ("requested_model", "user", "key"):
        patterns = getattr(spec, name)
        if patterns is not None:
            items.append(_text(name, Matcher(patterns)))
    for fact in ("max_tokens", "prompt_chars"):
        for relation in _RELATIONS:
            limit = getattr(spec, f"{fact}_{relation}")
            if limit is not None:
                items.append(_number(fact, relation, limit))
    for name in ("stream", "has_tools", "has_images"):
        wanted = getattr(spec, name)
        if wanted is not None:
            items.append(_flag(name, wanted))
    for name, pattern_list in (spec.header or {}).items():
        items.append(_entry("header", name.lower(), Matcher(pattern_list)))
    for name, pattern_list in (spec.metadata or {}).items():
        items.append(_entry("metadata", name, Matcher(pattern_list)))
    if spec.after is not None:
        items.append(_after(spec.after, parse_moment(spec.after, zone)))
    if spec.before is not None:
        items.append(_before(spec.before, parse_moment(spec.before, zone)))
    return Conditions(items)


_RELATIONS: Mapping[str, Callable[[int, int], bool]] = {
    "gt": lambda value, limit: value > limit,
    "gte": lambda value, limit: value >= limit,
    "lt": lambda value, limit: value < limit,
    "lte": lambda value, limit: value <= limit,
}


def _current_model(matcher: Matcher) -> Condition:
    def why_not(facts: RequestFacts, model: str) -> str:
        return f"model {matcher}, the current model is {shown(model)}"

    return Condition("model", lambda facts, model: matcher(model), why_not)


def _text(name: str, matcher: Matcher) -> Condition:
    def holds(facts: RequestFacts, model: str) -> bool:
        value = getattr(facts, name)
        return matcher(value) if value is not None else not facts.lacks(name)

    def why_not(facts: RequestFacts, model: str) -> str:
        value = getattr(facts, name)
        said = f"it is {shown(value)}" if value is not None else "the request carries none"
        return f"{name} {matcher}, {said}"

    return Condition(name, holds, why_not)


def _number(fact: str, relation: str, limit: int) -> Condition:
    compare = _RELATIONS[relation]

    def holds(facts: RequestFacts, model: str) -> bool:
        value = getattr(facts, fact)
        return value is not None and compare(value, limit)

    def why_not(facts: RequestFacts, model: str) -> str:
        value = getattr(facts, fact)
        said = f"the request says {value}" if value is not None else "the request does not say"
        return f"{fact}_{relation} {limit}, {said}"

    return Condition(f"{fact}_{relation}", holds, why_not)


def _flag(name: str, wanted: bool) -> Condition:
    def why_not(facts: RequestFacts, model: str) -> str:
        return f"{name} {str(wanted).lower()}, it is {str(not wanted).lower()}"

    return Condition(name, lambda facts, model: getattr(facts, name) is wanted, why_not)


def _entry(table: str, name: str, matcher: Matcher) -> Condition:
    fact = f"{table}:{name}"

    def holds(facts: RequestFacts, model: str) -> bool:
        value = (facts.headers if table == "header" else facts.metadata).get(name)
        return matcher(value) if value is not None else not facts.lacks(fact)

    def why_not(facts: RequestFacts, model: str) -> str:
        value = (facts.headers if table == "header" else facts.metadata).get(name)
        said = f"it is {shown(value)}" if value is not None else "the request carries none"
        return f"{table} {shown(name)} {matcher}, {said}"

    return Condition(table, holds, why_not)


def _after(text: str, moment: datetime) -> Condition:
    return Condition(
        "after",
        lambda facts, model: facts.arrived >= moment,
        lambda facts, model: f"after {text}, it is {facts.arrived:%Y-%m-%d %H:%M} UTC",
    )


def _before(text: str, moment: datetime) -> Condition:
    return Condition(
        "before",
        lambda facts, model: facts.arrived < moment,
        lambda facts, model: f"before {text}, it is {facts.arrived:%Y-%m-%d %H:%M} UTC",
    )
