"""Edits by meaning: weights and the live phase of a split. Every other byte stays."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from proxy.policy.diagnostics import TextEdit
from proxy.policy.document import Document, MappingNode, Path, ScalarNode, SequenceNode, parse, scalars, shown
from proxy.policy.kinds import SPELLINGS
from proxy.policy.text_edits import EditError, apply_edits, insert_key, replace_scalar
from proxy.policy.weights import spell

__all__ = ["EditError", "apply_edits", "set_weights"]

_SPLIT = "traffic_split"


def set_weights(
    text: str,
    split: str,
    *,
    weights: Mapping[str, Decimal] | None = None,
    phases: Mapping[str, Mapping[str, Decimal]] | None = None,
    phase: str | None = None,
) -> str:
    """`text` with new live `weights`, planned weights of `phases`, and `phase` as the live phase of `split`.

    With `phase` and no `weights`, the planned weights of that phase (after `phases`) become the live ones.
    A tag that is left out keeps its weight. A value that already says the number keeps its spelling.
    Raises EditError with one sentence when the text or the split does not allow it.
    """
    document = parse(text)
    if document.root is None or document.problems:
        raise EditError("the text is not readable as a policy file; mend it first")
    place = _find_split(document, split)
    values: dict[Path, Decimal] = {}
    for name, planned in (phases or {}).items():
        values |= _phase_values(document, place, name, planned)
    if weights is None and phase is not None:
        weights = _planned(document, place, phase, values)
    values |= _variant_values(document, place, weights or {})
    edits = [
        replace_scalar(document, path, spell(value))
        for path, value in values.items()
        if _number(document.find(path)) != value
    ]
    names: dict[Path, str] = {}
    if phase is not None:
        edits += _phase_edit(document, place, phase)
        names[(*place, "rollout", "phase")] = phase
    changed = apply_edits(text, edits)
    _verify(document, parse(changed), values, names)
    return changed


def _find_split(document: Document, name: str) -> Path:
    policies = document.find(("policies",))
    found: list[Path] = []
    for index, item in enumerate(policies.items if isinstance(policies, SequenceNode) else ()):
        kind = SPELLINGS.get(_text(document, ("policies", index, "type")) or "")
        is_split = isinstance(item, MappingNode) and kind is not None and kind.name == _SPLIT
        if is_split and _text(document, ("policies", index, "name")) == name:
            found.append(("policies", index))
    if len(found) != 1:
        how_many = "no" if not found else "more than one"
        raise EditError(f"there is {how_many} split called {shown(name)} in the file")
    return found[0]


def _variant_values(document: Document, split: Path, weights: Mapping[str, Decimal]) -> dict[Path, Decimal]:
    places: dict[str, Path] = {}
    variants = document.find((*split, "variants"))
    for index in range(len(variants.items) if isinstance(variants, SequenceNode) else 0):
        path = (*split, "variants", index)
        tag = _text(document, (*path, "tag")) or _text(document, (*path, "model"))
        if tag is not None:
            places[tag] = (*path, "weight")
    return {
        _known(document, places.get(tag), tag, split): _checked(weight, tag)
        for tag, weight in weights.items()
    }


def _phase_values(
    document: Document, split: Path, name: str, weights: Mapping[str, Decimal]
) -> dict[Path, Decimal]:
    path = (*_find_phase(document, split, name), "weights")
    return {
        _known(document, (*path, tag), tag, path): _checked(weight, tag) for tag, weight in weights.items()
    }


def _planned(
    document: Document, split: Path, name: str, changes: Mapping[Path, Decimal]
) -> dict[str, Decimal]:
    path = (*_find_phase(document, split, name), "weights")
    node = document.find(path)
    planned: dict[str, Decimal] = {}
    for entry in node.entries if isinstance(node, MappingNode) else ():
        place = (*path, entry.key.value)
        value = changes.get(place, _number(entry.value))
        if value is None:
            raise EditError(f"{document.spell(place)} is not a number")
        planned[entry.key.value] = value
    return planned


def _find_phase(document: Document, split: Path, name: str) -> Path:
    phases = document.find((*split, "rollout", "phases"))
    for index in range(len(phases.items) if isinstance(phases, SequenceNode) else 0):
        path = (*split, "rollout", "phases", index)
        if _text(document, (*path, "name")) == name:
            return path
    raise EditError(f"{document.spell(split)} has no phase {shown(name)}")


def _phase_edit(document: Document, split: Path, phase: str) -> list[TextEdit]:
    rollout = (*split, "rollout")
    node = document.find((*rollout, "phase"))
    if node is None:
        return [insert_key(document, rollout, "phase", phase)]
    if isinstance(node, ScalarNode) and not node.is_null and node.value == phase:
        return []
    return [replace_scalar(document, (*rollout, "phase"), phase)]


def _known(document: Document, path: Path | None, tag: str, owner: Path) -> Path:
    if path is None or document.find(path) is None:
        raise EditError(f"{document.spell(owner)} has no weight of {shown(tag)}")
    return path


def _checked(weight: Decimal, tag: str) -> Decimal:
    if not weight.is_finite() or weight < 0 or weight > 1_000_000 or weight != round(weight, 3):
        raise EditError(f"the weight of {shown(tag)} must be a number of 0 or more with at most 3 decimals")
    return weight


def _text(document: Document, path: Path) -> str | None:
    node = document.find(path)
    return node.value if isinstance(node, ScalarNode) and not node.is_null else None


def _number(node: object) -> Decimal | None:
    if not isinstance(node, ScalarNode):
        return None
    try:
        return Decimal(node.value)
    except ArithmeticError:
        return None


def _verify(
    before: Document, after: Document, values: Mapping[Path, Decimal], names: Mapping[Path, str]
) -> None:
    """What was written must read back as meant, and everything else as it was."""
    old = {path: node.value for path, node in scalars(before.root)}
    new = {path: node.value for path, node in scalars(after.root)}
    wanted = {**{path: spell(value) for path, value in values.items()}, **names}
    for path, value in wanted.items():
        same_number = path in values and _number(after.find(path)) == values[path]
        if not same_number and new.get(path) != value:
            raise EditError(f"{before.spell(path)} could not be changed safely")
    rest = (old.keys() | new.keys()) - wanted.keys()
    if after.problems or any(old.get(path) != new.get(path) for path in rest):
        raise EditError("the change would have touched other values, so nothing was changed")
