"""What a policy file may say, and what it means once read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from proxy.policy.conditions import zone_of
from proxy.policy.convert import Converter
from proxy.policy.diagnostics import Diagnostic, Fix, TextEdit
from proxy.policy.document import Document, MappingNode, Node, Path, ScalarNode, SequenceNode, shown
from proxy.policy.kinds import KINDS, SPELLINGS
from proxy.policy.kinds.registry import ConditionedSpec
from proxy.policy.spec import (
    Duration,
    Filter,
    HeaderName,
    ModelName,
    Name,
    Nested,
    Pattern,
    Patterns,
    SecretRef,
    Size,
    Spec,
    Window,
    seconds_of,
)
from proxy.policy.suggestions import nearest
from proxy.policy.targets import (
    Pricing,
    PricingSpec,
    TargetEntry,
    TargetSpec,
    implicit_targets,
    resolve,
    with_environment,
)

__all__ = [
    "BodiesSpec",
    "ClientKey",
    "EventsSpec",
    "GatewaySpec",
    "PolicyFile",
    "Pricing",
    "TargetSpec",
    "effective_targets",
    "json_schema",
    "read",
]


_SHA256 = re.compile(r"[0-9A-Fa-f]{64}\Z")


def _check_zone(text: str) -> str:
    zone_of(text)
    return text


def _check_hash(text: str) -> str:
    if not _SHA256.match(text):
        raise ValueError("must be the 64 hex digits of a SHA-256 (kt keys hash prints it)")
    return text.lower()


KeyHash = Annotated[str, AfterValidator(_check_hash)]


class ClientKey(Spec):
    """A key that clients of the data plane show."""

    name: Name
    """What events and limits call its holder."""
    secret_key_ref: SecretRef | None = None
    """Where the key is to be found."""
    sha256: KeyHash | None = None
    """Or the SHA-256 of the key in hex, as `kt keys hash` prints it: the file then says nothing worth stealing."""
    allowed_models: Patterns | None = None
    """Models (names or patterns) its holder may ask for; without it, any."""

    @model_validator(mode="after")
    def _one_way(self) -> ClientKey:
        if (self.secret_key_ref is None) == (self.sha256 is None):
            raise ValueError("must have either secret_key_ref or sha256")
        return self


def _check_keepalive(text: str) -> str:
    if text != "off" and seconds_of(text) is None:
        raise ValueError("must be a span of time such as 15s, or off")
    return text


class GatewaySpec(Spec):
    """How the gateway itself behaves."""

    client_keys: list[ClientKey] = Field(default=[])
    """Keys clients must show one of; none: open on loopback."""
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    """What becomes of the upstream request when its client leaves."""
    keepalive: Annotated[str, AfterValidator(_check_keepalive)] = "15s"
    """A stream that is silent for so long gets a comment, which says nothing; `off`: never."""
    allow_hosts: list[Name] = Field(default=[])
    """Host names requests may be addressed to, besides the listener's own."""
    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """Zone of dates without a time, and of calendar windows."""


class BodiesSpec(Spec):
    """How much is kept of the bodies of requests and answers, and how long."""

    max_bytes: Annotated[int, Field(ge=1, le=1024 * 1024)] = 64 * 1024
    """Bytes kept of each side; the rest is cut off and counted."""
    keep: Duration = "7d"
    """How long bodies are kept, by arrival; never longer than their event. Beyond 512 MiB the oldest go earlier."""


class AlertSpec(Spec):
    """Requests that somebody wants to hear of when there are too many."""

    name: Name
    """What the alert is called on the screen, in metrics and by `kt doctor`."""
    filter: Filter
    """Which requests count, in the filter language."""
    more_than: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """The alert fires when more requests than that ended within the window."""
    more_than_percent: Annotated[float, Field(ge=0, lt=100)] | None = None
    """It fires when more than this share of requests did; of fewer than 20 requests no share is taken."""
    of: Filter | None = None
    """Of which requests the share is; of all when not given."""
    within: Window = "5m"
    """The window, up to now: 10s to 1h."""

    @model_validator(mode="after")
    def _one_limit(self) -> AlertSpec:
        if (self.more_than is None) == (self.more_than_percent is None):
            raise ValueError("must have either more_than or more_than_percent")
        if self.of is not None and self.more_than_percent is None:
            raise ValueError("has `of` without more_than_percent, which it is for")
        return self


class EventsSpec(Spec):
    """What is remembered of requests."""

    retention: Duration | None = None
    """How long single events are kept, by arrival; 30d when not given."""
    max_size: Size | None = None
    """How large the store may grow before its oldest events go earlier; 2GiB when not given. Roll-ups stay."""
    keep_headers: list[HeaderName] = Field(default=[])
    """Request headers stored with each event."""
    bodies: Annotated[bool | BodiesSpec, Nested(BodiesSpec)] = False
    """Whether the bodies of requests and answers are kept, or how: they hold whatever people write in prompts."""
    alerts: Annotated[list[AlertSpec], Field(max_length=50)] = Field(default=[])
    """What the screen, `kt doctor` and `/metrics` warn of."""

    @property
    def kept_bodies(self) -> BodiesSpec | None:
        """How bodies are kept; None: not at all."""
        if isinstance(self.bodies, BodiesSpec):
            return self.bodies
        return BodiesSpec() if self.bodies else None


class _ProvidersSpec(Spec):
    """Where requests can go."""

    targets: list[TargetEntry] | None = None
    """Endpoints, in order of preference."""
    fallback_models: dict[ModelName, list[ModelName]] | None = None
    """Model to the models tried when it cannot be served."""


class _FileSpec(Spec):
    """A policy file."""

    version: Literal["1"] = "1"
    """Version of this format."""
    gateway: GatewaySpec | None = None
    """How the gateway itself behaves."""
    providers: _ProvidersSpec | None = None
    """Where requests can go."""
    prices: dict[Pattern, PricingSpec] | None = None
    """Prices by model, dollars per million tokens, for every target."""
    events: EventsSpec | None = None
    """What is remembered of requests."""
    policies: list[ConditionedSpec] | None = None
    """The chain, in the order it runs."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy file that was read without an error (or, inside lint, the part of it that was)."""

    targets: list[TargetSpec] = field(default_factory=list)
    """As the file names them; `effective_targets` adds the implicit ones."""
    policies: list[ConditionedSpec] = field(default_factory=list)
    """In file order, disabled ones too."""
    gateway: GatewaySpec = field(default_factory=GatewaySpec)
    events: EventsSpec = field(default_factory=EventsSpec)
    prices: Mapping[str, Pricing] = field(default_factory=dict)
    fallback_models: Mapping[str, list[str]] = field(default_factory=dict)
    names_targets: bool = False
    """Whether the file has `providers.targets`; otherwise the vendors' own are meant."""
    written: list[tuple[TargetEntry, TargetSpec]] = field(default_factory=list)
    """The targets as the file writes them, each with what it means."""

    @property
    def entries(self) -> list[TargetEntry]:
        """The targets as the file writes them."""
        return [entry for entry, _ in self.written]


def effective_targets(policy_file: PolicyFile, env: Mapping[str, str]) -> list[TargetSpec]:
    """The targets of the file, or the implicit ones, with what Azure takes from the environment."""
    targets = policy_file.targets if policy_file.names_targets else implicit_targets(env)
    return with_environment(targets, env)


def read(document: Document) -> tuple[PolicyFile, list[Diagnostic]]:
    """The readable part of `document` and what is wrong with the rest (nothing: the file may run)."""
    reader = _Reader(document)
    return reader.file(), reader.problems


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._converter = Converter(document)

    @property
    def problems(self) -> list[Diagnostic]:
        return self._converter.problems

    def file(self) -> PolicyFile:
        root = self._document.root
        if not isinstance(root, MappingNode):
            if root is not None:
                message = "a policy file is a mapping with keys such as providers and policies"
                self._converter.report("wrong-type", message, ())
            return PolicyFile()
        sections = self._sections(root)
        self._version(sections)
        written, fallback = self._providers(sections.get("providers"))
        return PolicyFile(
            targets=[target for _, target in written],
            written=written,
            names_targets=isinstance(self._document.find(("providers", "targets")), SequenceNode),
            fallback_models=fallback,
            policies=self._policies(sections.get("policies")),
            gateway=self._section(sections, "gateway", GatewaySpec) or GatewaySpec(),
            events=self._section(sections, "events", EventsSpec) or EventsSpec(),
            prices=self._prices(sections.get("prices")),
        )

    def _sections(self, root: MappingNode) -> dict[str, Node]:
        known = _FileSpec.model_fields
        sections: dict[str, Node] = {}
        for entry in root.entries:
            if entry.key.value in known:
                if not (isinstance(entry.value, ScalarNode) and entry.value.is_null):
                    sections[entry.key.value] = entry.value
            else:
                self._converter.unknown_key(entry, known, ())
        return sections

    def _version(self, sections: Mapping[str, Node]) -> None:
        node = sections.get("version")
        if node is not None and not (isinstance(node, ScalarNode) and node.value == "1"):
            self._converter.report("bad-value", "version must be 1", ("version",))

    def _section(self, sections: Mapping[str, Node], name: str, model: type[Any]) -> Any:
        node = sections.get(name)
        return self._converter.model(node, model, (name,)) if node is not None else None

    def _providers(
        self, node: Node | None
    ) -> tuple[list[tuple[TargetEntry, TargetSpec]], Mapping[str, list[str]]]:
        if node is None:
            return [], {}
        if not isinstance(node, MappingNode):
            self._converter.report(
                "wrong-type", "providers must be a mapping with targets", ("providers",), key=True
            )
            return [], {}
        rest = MappingNode(
            node.start, node.end, node.flow, [e for e in node.entries if e.key.value != "targets"]
        )
        spec = self._converter.model(rest, _ProvidersSpec, ("providers",))
        entries = [
            entry
            for path, item in self._items(("providers", "targets"))
            if (entry := self._converter.model(item, TargetEntry, path)) is not None
        ]
        written = []
        for entry in entries:
            target = resolve(entry)
            if target is None:
                message = f"the id {shown(entry.id)} does not tell the provider; write provider or base_url"
                self._converter.report("unknown-provider", message, (*entry.path, "id"))
            else:
                written.append((entry, target))
        return written, (spec.fallback_models or {}) if spec is not None else {}

    def _policies(self, node: Node | None) -> list[ConditionedSpec]:
        if node is None:
            return []
        found = (self._policy(item, path) for path, item in self._items(("policies",)))
        return [policy for policy in found if policy is not None]

    def _policy(self, node: Node, path: Path) -> ConditionedSpec | None:
        if not isinstance(node, MappingNode):
            return self._converter.model(node, ConditionedSpec, path)
        entry = node.get("type")
        if entry is None or not isinstance(entry.value, ScalarNode) or not entry.value.value:
            place = path if entry is None else (*path, "type")
            message = f"{self._document.spell(path)} has no type; one of {', '.join(KINDS)}"
            self._converter.report("missing-key", message, place)
            return None
        kind = SPELLINGS.get(entry.value.value)
        if kind is None:
            self._unknown_type(entry.value, (*path, "type"))
            return None
        return self._converter.model(node, kind.model, path)

    def _unknown_type(self, node: ScalarNode, path: Path) -> None:
        suggestion = nearest(node.value, SPELLINGS)
        message = f"unknown policy type {shown(node.value)}; "
        fix = None
        if suggestion is not None:
            message += f"did you mean {suggestion}?"
            fix = Fix(f"write {suggestion}", (TextEdit(node.start, node.end, suggestion),))
        else:
            message += f"one of {', '.join(KINDS)}"
        self._converter.report("unknown-type", message, path, fix=fix)

    def _prices(self, node: Node | None) -> Mapping[str, Pricing]:
        if node is None:
            return {}
        if not isinstance(node, MappingNode):
            self._converter.report(
                "wrong-type", "prices must be a mapping model -> prices", ("prices",), key=True
            )
            return {}
        prices: dict[str, Pricing] = {}
        for entry in node.entries:
            spec = self._converter.model(entry.value, PricingSpec, ("prices", entry.key.value))
            if spec is not None:
                prices[entry.key.value] = spec.pricing()
        return prices

    def _items(self, path: Path) -> list[tuple[Path, Node]]:
        """The items of the list at `path`; an empty value is an empty list."""
        node = self._document.find(path)
        if isinstance(node, SequenceNode):
            return [((*path, index), item) for index, item in enumerate(node.items)]
        if node is not None and not (isinstance(node, ScalarNode) and node.is_null):
            self._converter.report(
                "wrong-type", f"{path[-1]} must be a list (each item starts with -)", path, key=True
            )
        return []


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors."""
    # Here, not above: lint has no use for it.
    from proxy.policy.descriptions import descriptions, models_by_name

    schema = TypeAdapter(_FileSpec).json_schema()
    definitions = schema.setdefault("$defs", {})
    definitions.pop("ConditionedSpec", None)
    choices = []
    for kind in KINDS.values():
        model = kind.model.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(model.pop("$defs", {}))
        model["properties"]["type"] = {"enum": [kind.name, *kind.aliases], "description": kind.doc}
        definitions[kind.model.__name__] = model
        choices.append({"$ref": f"#/$defs/{kind.model.__name__}"})
    schema["properties"]["policies"]["anyOf"] = [
        {"type": "array", "items": {"oneOf": choices}},
        {"type": "null"},
    ]
    schema["properties"]["version"] = {"enum": [1, "1"], "description": "Version of this format."}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "policy file"
    models = models_by_name()
    for name, definition in (("_FileSpec", schema), *definitions.items()):
        if name in models:
            _describe(definition, descriptions(models[name]))
    return schema


def _describe(definition: dict[str, Any], texts: Mapping[str, str]) -> None:
    for key, value in definition.get("properties", {}).items():
        if key in texts and "description" not in value:
            value["description"] = texts[key]
