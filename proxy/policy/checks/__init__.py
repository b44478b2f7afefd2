"""All lint checks, found by looking: every module of this folder that defines a `Check`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from proxy.policy.check import Check


def _discover() -> dict[str, Check]:
    found: dict[str, Check] = {}
    for info in iter_modules(__path__):
        for value in vars(import_module(f"{__name__}.{info.name}")).values():
            if not isinstance(value, Check):
                continue
            if found.setdefault(value.code, value) is not value:
                raise TypeError(f"two checks share the code {value.code}")
    return dict(sorted(found.items()))


CHECKS: Mapping[str, Check] = _discover()
"""By code."""
