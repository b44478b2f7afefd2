"""What the control API may see of the data plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from proxy.base.sanitise import sanitise
from proxy.control.hub import TargetView
from proxy.events.otel.child import Place
from proxy.gateway.recorder import RefusalSampler
from proxy.gateway.runtime import Runtime, Snapshot
from proxy.prices.late import LatePrices
from proxy.prices.listing import Priced, priced


class RuntimeView:
    """A read-only, secret-free view of a runtime."""

    def __init__(self, runtime: Runtime, sampler: RefusalSampler) -> None:
        self._runtime = runtime
        self._sampler = sampler

    def in_flight(self) -> int:
        """Requests being answered now."""
        return self._runtime.in_flight

    def targets(self) -> Sequence[TargetView]:
        """The targets of the running version."""
        snapshot = self._runtime.snapshot
        if snapshot is None:
            return ()
        breakers = self._runtime.breakers
        return [
            TargetView(
                id=target.id,
                provider=target.provider,
                base_url=sanitise(target.base or target.spec.base_url or "", 300),
                available=target.unavailable_reason is None,
                reason=target.unavailable_reason,
                models=tuple(target.spec.models),
                breaker=breakers.of(target.fingerprint).state(breakers.clock()),
            )
            for target in snapshot.routes.targets
        ]

    def unrecorded(self) -> Mapping[str, int]:
        """Refusals of a flood that got no event, by error."""
        return self._sampler.skipped

    def models(self) -> Sequence[str]:
        """The names a client may ask for."""
        snapshot = self._runtime.snapshot
        return [name for name, _ in snapshot.models] if snapshot is not None else ()

    def prices(self) -> Sequence[Priced]:
        """Every model that is served by name, at each of its targets, with its price."""
        return snapshot_prices(self._runtime.snapshot)

    def late_prices(self) -> LatePrices | None:
        """The prices of the running version, for what is recorded already."""
        snapshot = self._runtime.snapshot
        return None if snapshot is None else late_prices(snapshot)


def places(runtime: Runtime) -> dict[str, Place]:
    """Where each target of the running version is."""
    found = {}
    for target in runtime.routes.targets:
        parts = urlsplit(str(target.base or target.spec.base_url or ""))
        try:
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        except ValueError:
            port = None
        found[target.id] = Place(target.provider, parts.hostname, port)
    return found


def late_prices(snapshot: Snapshot) -> LatePrices:
    """The prices of `snapshot`, for what is recorded already."""
    return LatePrices(snapshot.book, {target.id: target.spec for target in snapshot.routes.targets})


def snapshot_prices(snapshot: Snapshot | None) -> list[Priced]:
    """Prices of what `snapshot` serves by name."""
    if snapshot is None:
        return []
    served = (
        (target.spec, name) for name, _ in snapshot.models for target in snapshot.routes.for_model(name)
    )
    return priced(snapshot.book, served)
