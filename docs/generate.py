"""Writes the documents that list what a registry holds. A test compares them with the registries.

python docs/generate.py          # write
python docs/generate.py --check  # exit 1 when a document is out of date
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from lint_reference import lint_reference
from observability_reference import observability_reference
from pydantic.fields import FieldInfo

from proxy.events import event as event_module
from proxy.events.filter.fields import ALL as FILTER_FIELDS
from proxy.events.filter.lexer import LONGEST
from proxy.events.filter.parser import DEEPEST, MOST_TERMS, MOST_VALUES
from proxy.policy.conditions import ConditionsSpec
from proxy.policy.descriptions import descriptions
from proxy.policy.kinds import KINDS
from proxy.policy.schema import AlertSpec, BodiesSpec, EventsSpec, GatewaySpec
from proxy.policy.spec import PolicySpec, Spec
from proxy.policy.targets import PricingSpec, TargetEntry, TimeoutsSpec

HERE = Path(__file__).parent
BANNER = "<!-- made by docs/generate.py from the code; edit the docstrings there -->\n"


def policy_reference() -> str:
    """docs/policy.md."""
    parts = [
        "# The policy file\n",
        BANNER,
        "A YAML mapping with `version`, `gateway`, `providers`, `prices`, `events` and `policies`; each may be left out. No aliases,",
        "merge keys or tags: what stands there is what is meant. `kt policy lint --file FILE` checks it.\n",
        "Enabled policies run once, in file order. A refusal ends the chain; a redirect or a split changes the model, and the chain",
        "goes on with the new one. At most one split assigns a request, the first that takes part.\n",
        "## Targets (`providers.targets[]`)\n",
        *_table(TargetEntry),
        "### `pricing`\n",
        *_table(PricingSpec),
        "### `timeouts`\n",
        *_table(TimeoutsSpec),
        "## What every policy may say\n",
        *_table(PolicySpec),
        "## Conditions\n",
        (inspect.getdoc(ConditionsSpec) or "") + "\n",
        *_table(ConditionsSpec),
        "## Policy types\n",
    ]
    for kind in KINDS.values():
        parts += [f"### `{kind.name}`\n", kind.doc + "\n"]
        if kind.aliases:
            parts.append(f"Also written {', '.join(f'`{alias}`' for alias in kind.aliases)}.\n")
        if kind.act is None:
            parts.append(
                "Read and checked, **not yet enforced**: lint warns, and the header and `kt doctor` say so.\n"
            )
        own = {name for name in kind.model.model_fields if name not in PolicySpec.model_fields} - {
            "conditions"
        }
        parts += _tables_below(kind.model, own, set())
    parts += ["## `gateway`\n", *_table(GatewaySpec), "## `events`\n", *_table(EventsSpec)]
    parts += ["### `bodies`\n", *_table(BodiesSpec)]
    parts += ["### `alerts`, each\n", *_table(AlertSpec)]
    return "\n".join(parts).rstrip() + "\n"


def filter_reference() -> str:
    """docs/filter.md."""
    rows = []
    for field in FILTER_FIELDS:
        names = ", ".join(f"`{name}`" for name in (field.name, *field.aliases))
        values = f" One of {', '.join(f'`{value}`' for value in field.values)}." if field.values else ""
        rows.append(f"| {names} | {field.kind} | {field.doc}{values} | `{field.example}` |")
    return (
        "\n".join(
            [
                "# Asking for events\n",
                BANNER,
                "One language for `kt events list|tail --filter`, the Events API (`filter=`) and the screen.\n",
                "    model:gpt-4o and variant:b and status:5xx",
                "    latency>2s -1h..",
                "    (error:timeout or status:429) not key:load-test\n",
                "- Terms side by side must all hold; `or` binds weaker than `and`, `not` binds strongest; parentheses group.",
                "- `field:value` is exact, or a pattern with `*` and `?` (case-sensitive); `field:a,b` is any of them; `!=` is its opposite.",
                "  A value in quotes is taken as it stands.",
                "- Numbers take `>`, `>=`, `<`, `<=`, `=` and `low..high` (both ends count); durations `150ms`, `2s`; tokens `8k`; money in dollars.",
                "- `status:5xx` is a class; `status>4xx` is 500 and more.",
                "- `-7d..-1d` is a window of arrival, its end left out; so are `since:1h` and `until:2026-06-11`.",
                "- `has:error` holds when the field is known, `has:body` when what was asked and answered is kept. A figure that is not known meets no bound, so `not cost<1` finds it.",
                "- `metadata.KEY:VALUE` asks the request's own metadata, as far as it is kept.",
                "- Any other word is looked for in error, error message, variant and split, without regard to case.",
                f"- At most {LONGEST:,} characters, {MOST_TERMS} terms, {MOST_VALUES} values, and {DEEPEST} parentheses and nots within each other.\n",
                "| field | kind | meaning | example |",
                "|---|---|---|---|",
                *rows,
            ]
        )
        + "\n"
    )


def event_reference() -> str:
    """docs/events.md."""
    rows = [
        f"| `{name}` | {doc} |"
        for name, doc in _attribute_docs(event_module.Event).items()
        if name != "bodies"
    ]
    return "\n".join(
        [
            "# Events\n",
            BANNER,
            (inspect.getdoc(event_module.Event) or "") + "\n",
            "In the Events API, times are RFC 3339, money is a decimal string (`cost`), and what the split did stands under `metadata`",
            "(`ab_tag`, `experiment`, `phase`, `unit_kind`, ...). `model`, `latency_ms`, `cost`, `input_tokens` and `output_tokens` are never null",
            "there, so that arithmetic on them works; `cost_status` and `usage_status` say when a figure is unknown, and `unknown=null` gives null.\n",
            "Bodies, where the policy file has them kept, stand apart from the event: `GET /v1/events/{id}/body`, `kt events show --body ID`.\n",
            "| field | meaning |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _tables_below(model: type[Spec], names: set[str], seen: set[type]) -> list[str]:
    lines = _table(model, names)
    for name in model.model_fields:
        if name in names:
            for nested in _specs_in(model.model_fields[name].annotation):
                if nested not in seen and nested is not ConditionsSpec:
                    seen.add(nested)
                    lines += [f"#### `{name}`\n", *_tables_below(nested, set(nested.model_fields), seen)]
    return lines


def _specs_in(annotation: Any) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _specs_in(argument)]


def _table(model: type[Spec], names: set[str] | None = None) -> list[str]:
    texts = descriptions(model)
    rows = [
        f"| `{name}` | {_type_name(field)} | {_cell(texts.get(name, ''))} |"
        for name, field in model.model_fields.items()
        if names is None or name in names
    ]
    return ["| key | value | meaning |", "|---|---|---|", *rows, ""] if rows else []


def _type_name(field: FieldInfo) -> str:
    text = _annotation_name(field.annotation)
    return f"{text}, required" if field.is_required() else text


def _annotation_name(annotation: Any) -> str:
    origin = get_origin(annotation)
    arguments = [item for item in get_args(annotation) if item is not type(None)]
    if origin is UnionType or str(origin) == "typing.Union":
        return " or ".join(dict.fromkeys(_annotation_name(item) for item in arguments))
    if str(origin) == "typing.Literal":
        return ", ".join(f"`{item}`" for item in arguments)
    if str(origin) == "typing.Annotated" or hasattr(annotation, "__metadata__"):
        return _annotation_name(arguments[0])
    if origin is list:
        return "list"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, Spec)):
        return "mapping"
    return {
        "str": "text",
        "bool": "true or false",
        "int": "whole number",
        "Decimal": "number",
        "float": "number",
    }.get(getattr(annotation, "__name__", ""), "text")


def _attribute_docs(owner: type) -> dict[str, str]:
    """Names of the annotated attributes with the string that follows each."""
    tree = ast.parse(inspect.getsource(owner)).body[0]
    assert isinstance(tree, ast.ClassDef)
    docs: dict[str, str] = {}
    last = ""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
            docs[last] = ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
            docs[last] = _cell(str(node.value.value))
    return docs


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


DOCUMENTS: dict[str, Callable[[], str]] = {
    "policy.md": policy_reference,
    "events.md": event_reference,
    "filter.md": filter_reference,
    "lint.md": lambda: lint_reference(BANNER),
    "observability.md": lambda: observability_reference(BANNER),
}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, make in DOCUMENTS.items():
        path, text = HERE / name, make()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
    print(f"out of date: {', '.join(stale)}" if stale else "up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
