"""Help for a key, from the schema of the policy file. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ktui.editor.fields import Field, Fields
from ktui.editor.place import Step, path_of_key


@dataclass(frozen=True, slots=True)
class Help:
    """What there is to say of the key under the cursor."""

    path: str
    """Where it is: `policies rollout advance`."""
    name: str
    field: Field | None
    """None: the schema does not know it."""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Type, allowed values, default and bounds, each with its name."""
        field = self.field
        if field is None:
            return []
        kind = field.kind if field.kind != "one of" else "one of a list"
        facts = [("type", kind + (", required" if field.required else ""))]
        if field.values and field.kind != "true or false":
            facts.append(("values", ", ".join(field.values)))
        if field.bounds:
            facts.append(("range", field.bounds))
        if field.default:
            facts.append(("default", field.default))
        return facts

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        if self.field is None:
            return f"{self.name}: not a key of this place"
        facts = [f"default {v}" if k == "default" else v for k, v in self.facts]
        # The type of an enumeration says nothing its values do not say.
        if self.field.kind == "one of":
            facts = facts[1:]
        about = self.field.description
        return f"{self.name}  {', '.join(facts)}" + (f". {about}" if about else "")


def help_at(fields: Fields, lines: Sequence[str], row: int, column: int) -> Help | None:
    """Help for the key at a place (from 0), or for the key whose value stands there."""
    found = path_of_key(lines, row, column)
    if found is None:
        return None
    path, name = found
    return Help(_words(path), name, fields.field(path))


def _words(path: Sequence[Step]) -> str:
    return " › ".join(step.key for step in path if step.key is not None)
