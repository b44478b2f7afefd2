"""The policy types, found by looking: every module of this folder that defines `KIND`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from proxy.policy.kinds.registry import Kind


def _discover() -> dict[str, Kind]:
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    kinds = (module.KIND for module in modules if isinstance(getattr(module, "KIND", None), Kind))
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}


KINDS: Mapping[str, Kind] = _discover()
"""By name."""
SPELLINGS: Mapping[str, Kind] = {
    spelling: kind for kind in KINDS.values() for spelling in (kind.name, *kind.aliases)
}
"""By every way a file may spell the type."""
