"""A filter once it was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from proxy.events.filter.fields import Field


@dataclass(frozen=True, slots=True)
class Text:
    """The field is one of these, or fits one of these patterns (`*`, `?`)."""

    field: Field
    exact: tuple[str, ...]
    globs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """The number lies between `low` and `high`; None: no bound. In units of the column."""

    field: Field
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    """`low` itself does not count."""
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class Has:
    """The field is known."""

    field: Field


@dataclass(frozen=True, slots=True)
class Contains:
    """Some free text column holds `needle` (in lower case), without regard to the case of ASCII letters."""

    needle: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """The request's own metadata says so."""

    key: str
    exact: tuple[str, ...]
    globs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """What `inner` does not hold for, unknown values included."""

    inner: Expression


@dataclass(frozen=True, slots=True)
class All:
    """Every one of `parts`; of none: everything."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of `parts`."""

    parts: tuple[Expression, ...]


Expression: TypeAlias = Text | Range | Has | Contains | Metadata | Not | All | Any
