"""The vocabulary that models of the policy file are written in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from proxy.policy.document import Path, has_unprintable

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+\Z")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?(MB|GB|TB|MiB|GiB|TiB)\Z")
_UNIT_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}\Z")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


class Spec(BaseModel):
    """A mapping of the policy file. Knows where it stood, so that messages can point at it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    _line: int = PrivateAttr(default=0)
    _path: Path = PrivateAttr(default=())

    @property
    def line(self) -> int:
        """Line of its first key, from 1; 0 when it was not read from a text."""
        return self._line

    @property
    def path(self) -> Path:
        """Keys and indexes from the root of the file."""
        return self._path

    def stand_at(self, line: int, path: Path) -> None:
        """Say where it was read."""
        self._line, self._path = line, path


@dataclass(frozen=True, slots=True)
class OneOrMany:
    """Marks a list that may be written as a single value."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """Marks a mapping name -> name that may be written as a list of names, each standing for itself."""


@dataclass(frozen=True, slots=True)
class FreeText:
    """Marks text for people: several lines and joiners are fine, control characters are not."""


@dataclass(frozen=True, slots=True)
class MayBeEmpty:
    """Marks a key that may stand without a value. Elsewhere that is a slip: an empty list allows what?"""


@dataclass(frozen=True, slots=True)
class Nested:
    """Marks a value that may be a word, nothing, or a mapping read as `model`."""

    model: type[Spec]


class NotOneOfError(ValueError):
    """A word that is none of the `choices`; the nearest one can be offered instead."""

    def __init__(self, message: str, choices: Iterable[str]) -> None:
        super().__init__(message)
        self.choices = tuple(choices)


def seconds_of(text: str) -> float | None:
    """Seconds of a span such as `3d`, `1h30m` or `90s`; None when `text` is not one."""
    if not _DURATION.match(text):
        return None
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def _check_duration(text: str) -> str:
    seconds = seconds_of(text)
    if seconds is None or not 0 < seconds <= 3660 * 86400:
        raise ValueError("must be a span of time such as 90s, 2h30m or 3d")
    return text


def bytes_of(text: str) -> int | None:
    """Bytes of a size such as `500MB` or `2GiB` (IEC 80000-13 prefixes); None when `text` is not one."""
    found = _SIZE.match(text)
    return round(float(found[1]) * _UNIT_BYTES[found[2]]) if found is not None else None


def _check_size(text: str) -> str:
    size = bytes_of(text)
    if size is None or not 1024**2 <= size <= 1024**5:
        raise ValueError("must be a size such as 500MB or 2GiB, of one MiB to 1024 TiB")
    return text


def _check_window(text: str) -> str:
    seconds = seconds_of(text)
    if seconds is None or not 10 <= seconds <= 3600:
        raise ValueError("must be a span of time from 10s to 1h")
    return text


def _check_filter(text: str) -> str:
    if not 1 <= len(text.strip()) <= 1_000 or has_unprintable(text):
        raise ValueError("must be a filter of 1 to 1,000 visible characters, such as error:timeout")
    return text


def _check_name(text: str) -> str:
    if not 1 <= len(text) <= 128 or text != text.strip() or has_unprintable(text):
        raise ValueError("must be a name of 1 to 128 visible characters without space at its ends")
    return text


def _check_pattern(text: str) -> str:
    if not 1 <= len(text) <= 256:
        raise ValueError("must be a name or a pattern (* and ?) of 1 to 256 characters")
    return text


def _check_model(text: str) -> str:
    _check_name(text)
    if "*" in text or "?" in text:
        raise ValueError("must be one model's name; a pattern cannot be sent to a provider")
    return text


def _check_env(text: str) -> str:
    if not _ENV_NAME.match(text):
        raise ValueError("must be the name of an environment variable (letters, digits, _)")
    return text


def _check_header(text: str) -> str:
    if not _HEADER_NAME.match(text):
        raise ValueError("must be a header name (letters, digits, -)")
    return text.lower()


def _check_places(value: Decimal) -> Decimal:
    exponent = value.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -3:
        raise ValueError("may have at most 3 decimals")
    return value


Name = Annotated[str, AfterValidator(_check_name)]
ModelName = Annotated[str, AfterValidator(_check_model)]
Pattern = Annotated[str, AfterValidator(_check_pattern)]
EnvName = Annotated[str, AfterValidator(_check_env)]
HeaderName = Annotated[str, AfterValidator(_check_header)]
Duration = Annotated[str, AfterValidator(_check_duration)]
Size = Annotated[str, AfterValidator(_check_size)]
Window = Annotated[str, AfterValidator(_check_window)]
Filter = Annotated[str, AfterValidator(_check_filter)]

_ONE_OR_MANY_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
}
Patterns = Annotated[list[Pattern], OneOrMany(), Field(min_length=1), WithJsonSchema(_ONE_OR_MANY_SCHEMA)]
"""A name or glob, or a list of them: any may match."""
Names = Annotated[list[Name], OneOrMany(), Field(min_length=1), WithJsonSchema(_ONE_OR_MANY_SCHEMA)]

_NUMBER_SCHEMA: dict[str, Any] = {"type": "number", "minimum": 0}
Weight = Annotated[
    Decimal, Field(ge=0, le=1_000_000), AfterValidator(_check_places), WithJsonSchema(_NUMBER_SCHEMA)
]
"""A number of 0 or more with at most 3 decimals."""
Money = Annotated[Decimal, Field(ge=0, le=1_000_000_000), WithJsonSchema(_NUMBER_SCHEMA)]
Ratio = Annotated[Decimal, Field(gt=0, le=1000), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Fraction = Annotated[Decimal, Field(ge=0, le=1), WithJsonSchema({**_NUMBER_SCHEMA, "maximum": 1})]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class SecretRef(Spec):
    """Where a secret is to be found; never the secret itself. Exactly one of the three."""

    env: EnvName | None = None
    """Name of an environment variable."""
    file: str | None = None
    """Path of a file that holds nothing else."""
    store: Name | None = None
    """Name under which `kt keys set` stored it."""

    @model_validator(mode="after")
    def _one_place(self) -> SecretRef:
        if sum(place is not None for place in (self.env, self.file, self.store)) != 1:
            raise ValueError("must name one place: {env: NAME}, {file: PATH} or {store: NAME}")
        return self


class PolicySpec(Spec):
    """What every policy may say."""

    name: Name
    """Unique name; events and explanations call the policy by it."""
    type: str
    """Kind of policy."""
    description: Annotated[str | None, MayBeEmpty(), FreeText(), Field(max_length=4000)] = None
    """A sentence for people."""
    enabled: bool = True
    """false: the policy is checked but does nothing."""
