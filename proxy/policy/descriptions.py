"""What each key of the policy file means: the text below its field, read from the source when somebody asks.

Reading it while the classes are made would cost every start of `kt` what only the schema and the docs need.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise

from proxy.policy.spec import Spec


@cache
def descriptions(model: type[Spec]) -> dict[str, str]:
    """Field name to its description, inherited fields included."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, Spec) and owner is not Spec:
            found |= _written_in(owner)
    return found


def _written_in(model: type[Spec]) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for field, text in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = inspect.cleandoc(text.value.value)
    return found


def models_by_name() -> dict[str, type[Spec]]:
    """Every model of the file that has been defined, by the name the schema gives it."""
    found: dict[str, type[Spec]] = {}
    waiting: list[type[Spec]] = [Spec]
    while waiting:
        for model in waiting.pop().__subclasses__():
            found[model.__name__] = model
            waiting.append(model)
    return found
