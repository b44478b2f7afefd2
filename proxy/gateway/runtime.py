"""The one mutable holder of the data plane: what runs now, and what it runs with."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from proxy.base.secret import Secret
from proxy.events.event import CostStatus, Event
from proxy.policy.plan import Plan
from proxy.policy.schema import PolicyFile, effective_targets
from proxy.policy.targets import TargetSpec
from proxy.upstream.secrets import SecretMissingError, SecretPlace, find_secret
from proxy.upstream.targets import RoutingTable, build_target
from proxy.upstream.transport import Transport
from proxy.wire.usage import Usage

_REMEMBERED = 1024


class Recorder(Protocol):
    """Where events go. `append` never blocks and never raises."""

    def append(self, event: Event) -> None:
        """Accept one event."""


class Pricer(Protocol):
    """What an answer costs."""

    def price(
        self, target: TargetSpec, model: str, usage: Usage
    ) -> tuple[int | None, CostStatus, str | None]:
        """Nano-dollars (None: unknown), the status of that figure, and where the price came from."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A client key and what events call its holder."""

    name: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one version of the policy file means. A request ends on the snapshot it began with."""

    plan: Plan
    routes: RoutingTable
    pricer: Pricer
    client_keys: tuple[NamedKey, ...] = ()
    keys_required: bool = False
    """The file names client keys (even if none of them could be found here: then nobody gets in)."""
    number: int = 0
    """Of this version, in the order of applying."""
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    allow_hosts: frozenset[str] = frozenset()
    models: tuple[tuple[str, str], ...] = ()
    """Name and owner of every model that can be asked for by name."""


@dataclass(slots=True)
class Runtime:
    """What the data plane runs with. Applying a version is one assignment to `snapshot`."""

    recorder: Recorder
    transport: Transport
    snapshot: Snapshot | None = None
    """None: nothing runs; every request is answered 503."""
    handed_keys: tuple[NamedKey, ...] = ()
    """Keys that come from outside the file; any makes a key required."""
    own_hosts: frozenset[str] = frozenset()
    """Host names of the listener itself, in lower case."""
    max_in_flight: int = 512
    body_s: float = 60.0
    """Seconds a request body may take to come."""
    max_body: int = 32 * 1024 * 1024
    in_flight: int = 0
    draining: bool = False
    """Set before the listener stops: `/readyz` then says so."""
    instance: str = field(default_factory=lambda: f"kt-{secrets.token_hex(6)}")
    """Marks our own requests, so that a target that is this gateway is noticed."""
    _without_usage: set[tuple[str, str]] = field(default_factory=set)

    def asks_usage(self, url: str, model: str) -> bool:
        """Whether an upstream may be asked for the usage of a stream."""
        return (url, model) not in self._without_usage

    def never_ask_usage(self, url: str, model: str) -> None:
        """Remember an upstream that refused to be asked."""
        if len(self._without_usage) < _REMEMBERED:
            self._without_usage.add((url, model))


def build_snapshot(policy_file: PolicyFile, plan: Plan, env: Mapping[str, str], number: int) -> Snapshot:
    """What a file that lints clean means on this machine. Reads key files; call it off the hot path."""
    from proxy.gateway.pricing import book_pricer

    targets = [build_target(spec, env) for spec in effective_targets(policy_file, env)]
    routes = RoutingTable(targets)
    return Snapshot(
        plan=plan,
        routes=routes,
        pricer=book_pricer(policy_file, [target.spec for target in targets]),
        client_keys=tuple(_client_keys(policy_file, env)),
        keys_required=bool(policy_file.gateway.client_keys),
        number=number,
        on_disconnect=policy_file.gateway.on_disconnect,
        allow_hosts=frozenset(host.lower() for host in policy_file.gateway.allow_hosts),
        models=tuple(_models(routes, plan)),
    )


def _client_keys(policy_file: PolicyFile, env: Mapping[str, str]) -> Iterable[NamedKey]:
    for key in policy_file.gateway.client_keys:
        place = key.secret_key_ref
        try:
            yield NamedKey(key.name, find_secret(SecretPlace(place.env, place.file, place.store), env))
        except SecretMissingError:
            continue  # keys_required stays: a key that cannot be found opens nothing


def _models(routes: RoutingTable, plan: Plan) -> Iterable[tuple[str, str]]:
    names = dict.fromkeys((*routes.named_models, *plan.named_models, *plan.virtual_models))
    for name in names:
        served = routes.for_model(name)
        if served or name in plan.virtual_models:
            yield name, served[0].provider if served else "ktui"
