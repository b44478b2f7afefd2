"""What the control API may see of the data plane."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.base.sanitise import sanitise
from proxy.control.hub import TargetView
from proxy.gateway.runtime import Runtime


class RuntimeView:
    """A read-only, secret-free view of a runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def in_flight(self) -> int:
        """Requests being answered now."""
        return self._runtime.in_flight

    def targets(self) -> Sequence[TargetView]:
        """The targets of the running version."""
        snapshot = self._runtime.snapshot
        if snapshot is None:
            return ()
        return [
            TargetView(
                id=target.id,
                provider=target.provider,
                base_url=sanitise(target.base or target.spec.base_url or "", 300),
                available=target.unavailable_reason is None,
                reason=target.unavailable_reason,
                models=tuple(target.spec.models),
            )
            for target in snapshot.routes.targets
        ]

    def models(self) -> Sequence[str]:
        """The names a client may ask for."""
        snapshot = self._runtime.snapshot
        return [name for name, _ in snapshot.models] if snapshot is not None else ()
