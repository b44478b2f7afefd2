"""From nodes of a document to models, with a diagnostic at the exact place of everything that does not fit.

Scalars are typed by the model's field, never by their spelling: a version such as 2024-10-21 stays text, and
`yes` is not a boolean.
"""

from __future__ import annotations

import re
import types
from collections.abc import Collection, Iterable
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from proxy.policy.diagnostics import Diagnostic, Fix, TextEdit
from proxy.policy.document import (
    Document,
    Entry,
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    has_unprintable,
    shown,
)
from proxy.policy.spec import (
    FreeText,
    MayBeEmpty,
    Nested,
    NotOneOfError,
    OneOrMany,
    Renaming,
    SecretRef,
    Spec,
)
from proxy.policy.suggestions import nearest, normal, spelled_span, variable_for
from proxy.policy.text_edits import EditError, replace_scalar

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,18})?\Z")
_BOOLEAN_WORDS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_SECRET_KEYS = frozenset(
    {"api_key", "apikey", "secret", "secret_key", "token", "password", "key", "authorization"}
)

SpecT = TypeVar("SpecT", bound=Spec)


class _Bad:
    """Stands for a value that was reported already."""


BAD: Final = _Bad()
MAX_PROBLEMS = 200
"""Beyond this many a list helps nobody, and hostile text must not buy time with it."""


@cache
def _accepted(model: type[Spec]) -> dict[str, FieldInfo]:
    return dict(model.model_fields)


class Converter:
    """Reads models from one document and collects what does not fit in `problems`."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Diagnostic] = []
        self._found = 0

    def report(
        self, code: str, message: str, path: Path, *, key: bool = False, fix: Fix | None = None
    ) -> _Bad:
        """Note an error at `path` (at its key with `key=True`)."""
        if self._found < MAX_PROBLEMS:
            span = self.document.span(path, key=key)
            self.problems.append(self.document.diagnostic(code, "error", message, span, path, fix))
        self._found += 1
        return BAD

    def model(self, node: Node, model: type[SpecT], path: Path) -> SpecT | None:
        """`node` as a `model`; None when anything in it is wrong (it was reported)."""
        before = self._found
        if not isinstance(node, MappingNode):
            self._not_a_mapping(node, model, path)
            return None
        fields = _accepted(model)
        data: dict[str, Any] = {}
        bad: set[str] = set()
        for entry in node.entries:
            name = entry.key.value
            if name not in fields:
                self.unknown_key(entry, fields, path, {item.key.value for item in node.entries})
                continue
            found = self._field(entry.value, fields[name], (*path, name))
            if found is None and not any(isinstance(mark, MayBeEmpty) for mark in fields[name].metadata):
                advice = "give it a value or remove the key"
                found = self.report(
                    "empty-value", f"{shown(name)} is empty; {advice}", (*path, name), key=True
                )
            if isinstance(found, _Bad):
                bad.add(name)
            elif found is not None or not fields[name].is_required():
                data[name] = found
        built = self._validate(model, data, bad, path)
        if built is None or bad or self._found > before:
            return None
        start = node.entries[0].key.start if node.entries else node.start
        built.stand_at(self.document.line_of(start), path)
        return built

    def unknown_key(
        self, entry: Entry, known: Iterable[str], path: Path, present: Collection[str] = ()
    ) -> None:
        """Report a key nobody reads, with the nearest one that exists and is not `present` already."""
        name = entry.key.value
        span = (entry.key.start, entry.key.end)
        if "secret_key_ref" in known and normal(name) in _SECRET_KEYS:
            advice = "a policy file never holds a secret; write secret_key_ref: {env: NAME}"
            fix = None if "secret_key_ref" in present else self._by_reference(entry, path)
            message = f"{shown(name)} is refused: {advice}"
            self.report("literal-secret", message, (*path, name), key=True, fix=fix)
            return
        if self._found >= MAX_PROBLEMS:
            self._found += 1
            return
        suggestion = nearest(name, (key for key in known if key not in present))
        message = f"unknown key {shown(name)}"
        fix = None
        if suggestion is not None:
            message += f"; did you mean {suggestion}?"
            fix = Fix(f"rename to {suggestion}", (TextEdit(*span, suggestion),))
        else:
            message += f"; known here: {', '.join(sorted(known))}"
        self.report("unknown-key", message, (*path, name), key=True, fix=fix)

    def _by_reference(self, entry: Entry, path: Path) -> Fix | None:
        """`secret_key_ref: {env: NAME}` in place of a key with a secret as its value."""
        value = entry.value
        if not isinstance(value, ScalarNode) or value.style in ("|", ">"):
            return None
        text = f"secret_key_ref: {{env: {self._variable(path)}}}"
        return Fix(f"write {text}", (TextEdit(entry.key.start, value.end, text),))

    def _variable(self, target: Path) -> str:
        """A likely name of the variable that holds the key of `target`: OPENAI_API_KEY."""
        node = self.document.find((*target, "id")) or self.document.find((*target[:-1], "id"))
        return variable_for(node.value if isinstance(node, ScalarNode) else "my")

    def _field(self, node: Node, field: FieldInfo, path: Path) -> Any:
        return self._value(node, field.annotation, tuple(field.metadata), path)

    def _value(self, node: Node, annotation: Any, marks: tuple[Any, ...], path: Path) -> Any:
        """`node` as `annotation`; BAD after a report; None for nothing."""
        if get_origin(annotation) is Annotated:
            inner, *more = get_args(annotation)
            return self._value(node, inner, (*marks, *more), path)
        for mark in marks:
            if isinstance(mark, Nested) and isinstance(node, MappingNode):
                return self.model(node, mark.model, path) or BAD
        if _is_alias(node):
            return BAD
        origin = get_origin(annotation)
        if origin in (Union, types.UnionType):
            return self._optional(node, annotation, marks, path)
        if isinstance(node, ScalarNode) and node.is_null:
            return None
        if origin is list:
            return self._list(node, get_args(annotation)[0], marks, path)
        if origin is dict:
            return self._dict(node, get_args(annotation), marks, path)
        if isinstance(annotation, type) and issubclass(annotation, Spec):
            return self.model(node, annotation, path) or BAD
        if not isinstance(node, ScalarNode):
            return self.report("wrong-type", f"{_name(path)} must be a single value", path, key=True)
        return self._scalar(node, annotation, marks, path)

    def _optional(self, node: Node, annotation: Any, marks: tuple[Any, ...], path: Path) -> Any:
        if isinstance(node, ScalarNode) and node.is_null:
            return None
        inner = next(part for part in get_args(annotation) if part is not types.NoneType)
        return self._value(node, inner, marks, path)

    def _list(self, node: Node, item: Any, marks: tuple[Any, ...], path: Path) -> Any:
        if isinstance(node, ScalarNode) and any(isinstance(mark, OneOrMany) for mark in marks):
            found = self._value(node, item, (), path)
            return BAD if isinstance(found, _Bad) else [found]
        if not isinstance(node, SequenceNode):
            return self.report("wrong-type", f"{_name(path)} must be a list", path, key=True)
        values = [self._item(child, item, (*path, index)) for index, child in enumerate(node.items)]
        return BAD if any(isinstance(value, _Bad) for value in values) else values

    def _item(self, node: Node, annotation: Any, path: Path) -> Any:
        found = self._value(node, annotation, (), path)
        if found is None:
            return self.report("wrong-type", f"{_name(path)} is empty", path)
        return found

    def _dict(self, node: Node, types_: tuple[Any, ...], marks: tuple[Any, ...], path: Path) -> Any:
        if isinstance(node, SequenceNode) and any(isinstance(mark, Renaming) for mark in marks):
            names = self._list(node, types_[0], (), path)
            return BAD if isinstance(names, _Bad) else {name: name for name in names}
        if not isinstance(node, MappingNode):
            return self.report(
                "wrong-type", f"{_name(path)} must be a mapping of keys and values", path, key=True
            )
        values: dict[str, Any] = {}
        for entry in node.entries:
            here = (*path, entry.key.value)
            if has_unprintable(entry.key.value):
                values[entry.key.value] = self._control(here, key=True)
            else:
                values[entry.key.value] = self._item(entry.value, types_[1], here)
        return BAD if any(isinstance(value, _Bad) for value in values.values()) else values

    def _scalar(self, node: ScalarNode, annotation: Any, marks: tuple[Any, ...], path: Path) -> Any:
        if get_origin(annotation) is Literal:
            return self._choice(node, get_args(annotation), path)
        if annotation is bool:
            return self._boolean(node, path)
        if annotation is int:
            return self._number(node, path, whole=True)
        if annotation is Decimal:
            return self._number(node, path, whole=False)
        text = node.value
        if any(isinstance(mark, FreeText) for mark in marks):
            text = text.replace("\n", " ").replace("\t", " ").replace("\u200d", " ").replace("\u200c", " ")
        return self._control(path) if has_unprintable(text) else node.value

    def _control(self, path: Path, *, key: bool = False) -> _Bad:
        message = f"{_name(path)} holds an invisible or control character"
        fix = None if key else self._without_unprintable(path)
        return self.report("control-character", message, path, key=key, fix=fix)

    def _without_unprintable(self, path: Path) -> Fix | None:
        node = self.document.find(path)
        value = node.value if isinstance(node, ScalarNode) else ""
        clean = "".join(character for character in value if not has_unprintable(character))
        try:
            return Fix("remove it", (replace_scalar(self.document, path, clean),)) if clean else None
        except EditError:
            return None

    def _boolean(self, node: ScalarNode, path: Path) -> bool | _Bad:
        if node.style is None and node.value in ("true", "false"):
            return node.value == "true"
        meant = _BOOLEAN_WORDS.get(node.value.lower()) or (
            node.value.lower() if node.value.lower() in ("true", "false") else None
        )
        if meant is None:
            return self.report("wrong-type", f"{_name(path)} must be true or false", path)
        fix = Fix(f"write {meant}", (TextEdit(node.start, node.end, meant),))
        message = f"{_name(path)} must be true or false, not {shown(node.value, 20)}; did you mean {meant}?"
        return self.report("wrong-type", message, path, fix=fix)

    def _number(self, node: ScalarNode, path: Path, *, whole: bool) -> int | Decimal | _Bad:
        kind = "a whole number such as 2000" if whole else "a number such as 95 or 33.4"
        if not _NUMBER.match(node.value) or (whole and "." in node.value):
            message = f"{_name(path)} must be {kind}, found {shown(node.value, 40) or 'nothing'}"
            plain = node.value.strip().removesuffix("%").rstrip().replace("_", "")
            fits = _NUMBER.match(plain) and not (whole and "." in plain)
            fix = Fix(f"write {plain}", (TextEdit(node.start, node.end, plain),)) if fits else None
            return self.report("wrong-type", message, path, fix=fix)
        if node.style is not None:
            fix = Fix("remove the quotes", (TextEdit(node.start, node.end, node.value),))
            message = f"{_name(path)} must be {kind} without quotes"
            return self.report("wrong-type", message, path, fix=fix)
        return int(node.value) if whole else Decimal(node.value)

    def _choice(self, node: ScalarNode, choices: tuple[str, ...], path: Path) -> str | _Bad:
        if node.value in choices:
            return node.value
        suggestion = nearest(node.value, choices)
        message = f"{_name(path)} must be one of {', '.join(choices)}, found {shown(node.value, 40)}"
        fix = None
        if suggestion is not None:
            message += f"; did you mean {suggestion}?"
            fix = Fix(f"write {suggestion}", (TextEdit(node.start, node.end, suggestion),))
        return self.report("bad-value", message, path, fix=fix)

    def _not_a_mapping(self, node: Node, model: type[Spec], path: Path) -> None:
        if issubclass(model, SecretRef):
            message = (
                "a policy file never holds a secret; write {env: NAME} with the name of a variable that does"
            )
            fix = None
            if isinstance(node, ScalarNode) and node.style not in ("|", ">"):
                name = self._variable(path[:-1])
                fix = Fix(f"write {{env: {name}}}", (TextEdit(node.start, node.end, f"{{env: {name}}}"),))
            self.report("literal-secret", message, path, fix=fix)
            return
        known = ", ".join(list(_accepted(model))[:4])
        what = _name(path) if path else "the file"
        self.report("wrong-type", f"{what} must be a mapping with keys such as {known}", path, key=True)

    def _validate(self, model: type[SpecT], data: dict[str, Any], bad: set[str], path: Path) -> SpecT | None:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                about_the_whole = not detail["loc"] and bad  # It may only be said for want of what was bad.
                if not (about_the_whole or (detail["loc"] and detail["loc"][0] in bad)):
                    self._explain(detail, path)
        return None

    def _explain(self, detail: ErrorDetails, path: Path) -> None:
        """Say in our words what the model refused."""
        place: Path = path
        for step in detail["loc"]:
            if self.document.find((*place, step)) is not None:
                place = (*place, step)
        kind, context = detail["type"], detail.get("ctx", {})
        if kind == "missing":
            name = str(detail["loc"][-1])
            self.report("missing-key", f"{_owner(self.document, path)} has no {name}", path)
            return
        bounds = {
            "greater_than_equal": ("must be at least", "ge"),
            "greater_than": ("must be more than", "gt"),
            "less_than_equal": ("must be at most", "le"),
            "less_than": ("must be less than", "lt"),
        }
        if kind in bounds:
            words, bound = bounds[kind]
            self.report("out-of-range", f"{_name(place)} {words} {context[bound]}", place)
        elif kind == "too_short":
            self.report(
                "empty-list", f"{_name(place)} needs at least {context['min_length']}", place, key=True
            )
        elif kind == "too_long" or kind == "string_too_long":
            self.report(
                "out-of-range", f"{_name(place)} is too long (at most {context['max_length']})", place
            )
        elif kind == "value_error":
            subject = _owner(self.document, path) if place == path else _name(place)
            fix = self._respelled(place) or self._one_of(place, context["error"])
            self.report("bad-value", f"{subject} {context['error']}", place, fix=fix)
        else:
            self.report("bad-value", f"{_name(place)}: {detail['msg']}", place)

    def _one_of(self, path: Path, error: object) -> Fix | None:
        """The nearest of the words that would have done."""
        node = self.document.find(path)
        if not isinstance(error, NotOneOfError) or not isinstance(node, ScalarNode):
            return None
        return self._write(path, nearest(node.value, error.choices))

    def _write(self, path: Path, value: str | None) -> Fix | None:
        try:
            return Fix(f"write {value}", (replace_scalar(self.document, path, value),)) if value else None
        except EditError:
            return None

    def _respelled(self, path: Path) -> Fix | None:
        """A span in words (`3 days`) as the file writes it, or a weight with the decimals it may have."""
        node = self.document.find(path)
        if not isinstance(node, ScalarNode) or not path:
            return None
        if path[-1] in ("duration", "window", "retention", "connect", "first_byte", "idle"):
            written = spelled_span(node.value)
        elif (path[-1] == "weight" or "weights" in path) and _NUMBER.match(node.value):
            written = f"{round(Decimal(node.value), 3):f}".rstrip("0").rstrip(".")
        else:
            return None
        return self._write(path, written)


def _is_alias(node: Node) -> bool:
    """An alias stands in the tree as an empty value that takes up characters; it was reported already."""
    return isinstance(node, ScalarNode) and node.style is None and not node.value and node.end > node.start


def _name(path: Path) -> str:
    """What to call the value at `path` in a sentence."""
    if len(path) > 1 and isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {_name(path[:-1])}"
    for step in reversed(path):
        if isinstance(step, str):
            return shown(step)
    return "the file"


def _owner(document: Document, path: Path) -> str:
    """What to call the mapping at `path`: `variant-b` where an item has a name, else its path."""
    return document.item_name(path) or document.spell(path) or "the file"
