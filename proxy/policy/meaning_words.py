"""Values of a policy file as words, and what changed between two of them, key by key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from proxy.policy.document import shown

ARROW = "→"
_IDENTITY = ("name", "id", "tag", "model", "metric")
_USERINFO = re.compile(r"//[^/@]*@")
_SAID_ELSEWHERE = frozenset({"name", "id", "type", "enabled", "description", "line"})
_KEPT_TO_OURSELVES = frozenset({"headers"})
"""Tables whose values may be secrets: only the names of what changed are told."""


def plain(value: Any) -> Any:
    """A model as mappings, lists and words; what is not said is left out."""
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items() if inner not in (None, [], {}, ())}
    if isinstance(value, list | tuple | frozenset | set):
        return [plain(item) for item in value]
    return value


def word(value: Any) -> str:
    """One value as a reader writes it: numbers without needless zeros, userinfo of addresses left out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal | float):
        return number(Decimal(str(value)))
    if isinstance(value, Mapping):
        return ", ".join(f"{shown(name)} {word(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(word(item) for item in value)
    return shown(_USERINFO.sub("//…@", str(value)))


def number(value: Decimal) -> str:
    """`value` without exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def changes(before: Any, after: Any, name: str = "") -> Iterator[str]:
    """What changed between two plain values called `name`: `window day → hour`, `blocked_models now also gpt-4`."""
    if _same(before, after):
        return
    if _last(name) in _KEPT_TO_OURSELVES and isinstance(before or after, Mapping):
        yield from _names_alone(before or {}, after or {}, name)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            if name or key not in _SAID_ELSEWHERE:
                yield from changes(before.get(key), after.get(key), f"{name}.{key}" if name else key)
    elif _are_named(before) and _are_named(after):
        yield from _named_items(before, after, name)
    elif isinstance(before, list) and isinstance(after, list) and not _nested(before) and not _nested(after):
        yield from _list_change(before, after, name)
    elif before is None:
        yield f"{shown(name)} now {word(after)}"
    elif after is None:
        yield f"no {shown(name)} any more (was {word(before)})"
    else:
        yield f"{shown(name)} {word(before)} {ARROW} {word(after)}"


def _same(before: Any, after: Any) -> bool:
    return bool(before == after) and isinstance(before, bool) == isinstance(after, bool)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _nested(items: Sequence[Any]) -> bool:
    return any(isinstance(item, Mapping | list) for item in items)


def _names_alone(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> Iterator[str]:
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            how = "added" if key not in before else "removed" if key not in after else "changed"
            yield f"{name}.{shown(key)} {how}"


def identity(item: Any) -> str | None:
    """What names an item of a list."""
    if isinstance(item, Mapping):
        return next((str(item[key]) for key in _IDENTITY if item.get(key)), None)
    return None


def _are_named(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    names = [identity(item) for item in value]
    return None not in names and len(set(names)) == len(names)


def _named_items(before: Sequence[Any], after: Sequence[Any], name: str) -> Iterator[str]:
    old = {str(identity(item)): item for item in before}
    new = {str(identity(item)): item for item in after}
    for key in dict.fromkeys((*old, *new)):
        place = f"{name}[{shown(key)}]"
        if key not in new:
            yield f"{place} removed"
        elif key not in old:
            yield f"{place} added ({word(new[key])})"
        else:
            yield from changes(old[key], new[key], place)
    common = [key for key in new if key in old]
    if common != [key for key in old if key in new]:
        yield f"{name} now in the order {', '.join(shown(key) for key in new)}"


def _list_change(before: Sequence[Any], after: Sequence[Any], name: str) -> Iterator[str]:
    """Lists of words are sets: any of them may match, in whatever order."""
    gained, lost = differences(before, after)
    if gained and lost:
        yield f"{name} now {listed(gained)} instead of {listed(lost)}"
    elif gained:
        yield f"{name} now also {listed(gained)}"
    elif lost:
        yield f"{name} no longer {listed(lost)}"


def differences(before: Iterable[Any], after: Iterable[Any]) -> tuple[list[str], list[str]]:
    """What only `after` has, and what only `before` has."""
    old, new = [word(item) for item in before], [word(item) for item in after]
    return [item for item in new if item not in old], [item for item in old if item not in new]
