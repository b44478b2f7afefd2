"""The one mutable holder of the data plane: what runs now, and what it runs with."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from proxy.base.secret import Secret, SecretDigest
from proxy.base.trace_context import TraceContext
from proxy.events.event import Event
from proxy.policy.plan import Plan
from proxy.policy.schema import PolicyFile, effective_targets
from proxy.policy.spec import seconds_of
from proxy.prices.book import PriceBook
from proxy.upstream.breaker import Breakers
from proxy.upstream.retry import DEFAULT_RULES, RetryBudget, RetryRules
from proxy.upstream.secrets import SecretMissingError, SecretPlace, find_secret
from proxy.upstream.targets import RoutingTable, build_target
from proxy.upstream.transport import Transport

_REMEMBERED = 1024
_REMEMBERED_RESPONSES = 20_000


class Recorder(Protocol):
    """Where events go. `append` never blocks and never raises."""

    def append(self, event: Event) -> None:
        """Accept one event."""


class Traces(Protocol):
    """Who exports the spans of requests."""

    def outgoing(self, parent: TraceContext | None, request_id: str, attempt: int) -> str | None:
        """The `traceparent` of an attempt (1, 2, ...); None: what the client sent is passed on."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A client key and what events call its holder."""

    name: str
    secret: Secret | SecretDigest
    allowed_models: tuple[str, ...] | None = None
    """Names or patterns its holder may ask for; None: any."""

    def allows(self, model: str) -> bool:
        """Whether its holder may ask for `model`."""
        return self.allowed_models is None or any(
            fnmatchcase(model, pattern) for pattern in self.allowed_models
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one version of the policy file means. A request ends on the snapshot it began with."""

    plan: Plan
    routes: RoutingTable
    book: PriceBook
    client_keys: tuple[NamedKey, ...] = ()
    keys_required: bool = False
    """The file names client keys (even if none of them could be found here: then nobody gets in)."""
    number: int = 0
    """Of this version, in the order of applying."""
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    allow_hosts: frozenset[str] = frozenset()
    models: tuple[tuple[str, str], ...] = ()
    """Name and owner of every model that can be asked for by name."""
    keepalive_s: float = 15.0
    """A stream that is silent for so long gets a comment (or ping) of ours; 0: never."""
    body_bytes: int = 0
    """Bytes of each side's body that are kept with the event; 0: bodies are not kept."""
    fallback_models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Model to the models tried when none of its targets answers."""


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
    traces: Traces | None = None
    """None: a client's trace context is passed on as it came."""
    retry_rules: RetryRules = DEFAULT_RULES
    retry_budget: RetryBudget = field(default_factory=RetryBudget)
    breakers: Breakers = field(default_factory=Breakers)
    peek_s: float = 5.0
    """How long the head of a stream is held back for its first frame."""
    total_s: float = 1800.0
    """The longest a request may take, retries and all."""
    in_flight: int = 0
    draining: bool = False
    """Set before the listener stops: `/readyz` then says so."""
    instance: str = field(default_factory=lambda: f"kt-{secrets.token_hex(6)}")
    """Marks our own requests, so that a target that is this gateway is noticed."""
    stored_responses: dict[str, str] = field(default_factory=dict)
    """Response id to the id of the target that made it; the newest only."""
    limit_names: dict[tuple[str, str], str] = field(default_factory=dict)
    """Address and model to the only name of the limit of an answer that is taken there (`wire.limit_names`)."""
    _without_usage: set[tuple[str, str]] = field(default_factory=set)

    @property
    def plan(self) -> Plan | None:
        """The plan that runs."""
        return self.snapshot.plan if self.snapshot is not None else None

    @property
    def routes(self) -> RoutingTable:
        """The targets that run; empty when nothing does."""
        return self.snapshot.routes if self.snapshot is not None else RoutingTable(())

    def remember_response(self, response_id: str, target_id: str) -> None:
        """A target made a response that can be asked for by its id."""
        while len(self.stored_responses) >= _REMEMBERED_RESPONSES:
            del self.stored_responses[next(iter(self.stored_responses))]
        self.stored_responses[response_id] = target_id

    def asks_usage(self, url: str, model: str) -> bool:
        """Whether an upstream may be asked for the usage of a stream."""
        return (url, model) not in self._without_usage

    def never_ask_usage(self, url: str, model: str) -> None:
        """Remember an upstream that refused to be asked."""
        if len(self._without_usage) < _REMEMBERED:
            self._without_usage.add((url, model))

    def learn_limit_name(self, url: str, model: str, name: str) -> bool:
        """Remember what a limit has to be called there; False when that was learned before."""
        if (url, model) in self.limit_names or len(self.limit_names) >= _REMEMBERED:
            return False
        self.limit_names[url, model] = name
        return True


def build_snapshot(policy_file: PolicyFile, plan: Plan, env: Mapping[str, str], number: int) -> Snapshot:
    """What a file that lints clean means on this machine.

    Reads key files and looks up prices (the first time up to 0.3 s): call it off the hot path.
    """
    targets = [build_target(spec, env) for spec in effective_targets(policy_file, env)]
    routes = RoutingTable(targets)
    book = PriceBook({target.id: target.spec.pricing for target in targets}, policy_file.prices)
    models = tuple(_models(routes, plan))
    book.prepare(
        (target.provider, name, target.spec) for name, _ in models for target in routes.for_model(name)
    )
    bodies = policy_file.events.kept_bodies
    return Snapshot(
        body_bytes=bodies.max_bytes if bodies is not None else 0,
        plan=plan,
        routes=routes,
        book=book,
        client_keys=tuple(_client_keys(policy_file, env)),
        keys_required=bool(policy_file.gateway.client_keys),
        number=number,
        on_disconnect=policy_file.gateway.on_disconnect,
        allow_hosts=frozenset(host.lower() for host in policy_file.gateway.allow_hosts),
        models=models,
        fallback_models=policy_file.fallback_models,
        keepalive_s=seconds_of(policy_file.gateway.keepalive) or 0.0,
    )


def _client_keys(policy_file: PolicyFile, env: Mapping[str, str]) -> Iterable[NamedKey]:
    for key in policy_file.gateway.client_keys:
        allowed = None if key.allowed_models is None else tuple(key.allowed_models)
        place = key.secret_key_ref
        if place is None:
            yield NamedKey(key.name, SecretDigest(key.sha256 or ""), allowed)
            continue
        try:
            secret = find_secret(SecretPlace(place.env, place.file, place.store), env)
        except SecretMissingError:
            continue  # keys_required stays: a key that cannot be found opens nothing
        yield NamedKey(key.name, secret, allowed)


def _models(routes: RoutingTable, plan: Plan) -> Iterable[tuple[str, str]]:
    names = dict.fromkeys((*routes.named_models, *plan.named_models, *plan.virtual_models))
    for name in names:
        served = routes.for_model(name)
        if served or name in plan.virtual_models:
            yield name, served[0].provider if served else "ktui"
