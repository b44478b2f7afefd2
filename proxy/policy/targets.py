"""Targets: what a file may say about a provider, and what that means once vendor defaults are filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema

from proxy.policy.conditions import is_glob
from proxy.policy.spec import (
    Duration,
    HeaderName,
    MayBeEmpty,
    ModelName,
    Money,
    Name,
    Nested,
    NotOneOfError,
    Pattern,
    Renaming,
    SecretRef,
    Spec,
    seconds_of,
)

Provider = Literal["openai", "anthropic", "azure-openai", "openai-compatible"]
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic", "azure-openai", "openai-compatible")

DEFAULT_MODELS: Mapping[str, tuple[str, ...]] = {
    "openai": (
        "gpt-*",
        "chatgpt-*",
        "o[0-9]*",
        "text-embedding-*",
        "tts-*",
        "whisper-*",
        "dall-e-*",
        "omni-moderation-*",
        "ft:*",
    ),
    "anthropic": ("claude-*",),
    "azure-openai": (),
    "openai-compatible": (),
}
DEFAULT_BASE_URL: Mapping[str, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}
DEFAULT_SECRET_ENV: Mapping[str, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "azure-openai": "AZURE_OPENAI_API_KEY",
}
AZURE_ENDPOINT_ENV = "AZURE_OPENAI_ENDPOINT"
AZURE_VERSION_ENV = "OPENAI_API_VERSION"


@dataclass(frozen=True, slots=True)
class Pricing:
    """Dollars per million tokens; None where the file does not say."""

    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    input_audio: Decimal | None = None
    output_audio: Decimal | None = None
    input_image: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; None leaves the gateway's own default."""

    connect_s: float | None = None
    first_byte_s: float | None = None
    idle_s: float | None = None
    """Between two chunks of an answer."""


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """One provider endpoint, with vendor defaults filled in."""

    id: str
    provider: Provider = "openai"
    base_url: str | None = None
    """None: the vendor's own (azure-openai: not known)."""
    secret_env: str | None = None
    secret_file: str | None = None
    secret_store: str | None = None
    models: Mapping[str, str] | Sequence[str] = ()
    """Public name or glob, to the name sent upstream when it is a mapping."""
    deployments: Mapping[str, str] = field(default_factory=dict)
    """Azure: model to deployment."""
    api_version: str | None = None
    pricing: Mapping[str, Pricing] = field(default_factory=dict)
    """By model name or glob."""
    price_as: str | None = None
    """Name under which a price is looked up, when the model's own name says nothing (Azure deployments)."""
    timeouts: Timeouts = Timeouts()
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent upstream with every request."""
    auth: str | None = None
    """`passthrough`: the caller's own key goes upstream."""
    passthrough: tuple[str, ...] = ()
    """Route families relayed without a policy, such as `files`."""
    proxy: str | None = None
    ca_file: str | None = None
    retry_on_timeout: bool = False
    allow_link_local: bool = False
    """It may be at a link-local address or a cloud's metadata service."""
    line: int = 0
    """Line in the file; 0 for an implicit target."""

    def serves(self, model: str) -> bool:
        """Whether requests for `model` may go here."""
        return any(
            pattern == model or (is_glob(pattern) and fnmatchcase(model, pattern)) for pattern in self.models
        )

    def upstream_name(self, model: str) -> str:
        """What this endpoint calls `model` (Azure: its deployment)."""
        if isinstance(self.models, Mapping) and not is_glob(model):
            named = self.models.get(model, model)
        else:
            named = model
        return self.deployments.get(named, named)

    @property
    def named_models(self) -> tuple[str, ...]:
        """The models it lists by name (not by glob), in file order."""
        return tuple(model for model in self.models if not is_glob(model))


class PricingSpec(Spec):
    """Dollars per million tokens."""

    input: Money | None = None
    """What is sent."""
    output: Money | None = None
    """What is answered."""
    cached_input: Money | None = None
    """Input read from the vendor's prompt cache."""
    cache_write: Money | None = None
    """Input written to the vendor's prompt cache."""
    cache_write_1h: Money | None = None
    """Input written to be kept for an hour; as cache_write when not given."""
    input_audio: Money | None = None
    """Audio input; as input when not given."""
    output_audio: Money | None = None
    """Audio output; as output when not given."""
    input_image: Money | None = None
    """Image input; as input when not given."""

    def pricing(self) -> Pricing:
        """The prices alone."""
        return Pricing(**{field.name: getattr(self, field.name) for field in fields(Pricing)})


class TimeoutsSpec(Spec):
    """How long to wait for the upstream."""

    connect: Duration | None = None
    """Until the connection stands."""
    first_byte: Duration | None = None
    """Until the answer begins."""
    idle: Duration | None = None
    """Between two chunks of an answer."""


class ProviderDetail(Spec):
    """`provider:` written as a mapping."""

    name: Literal["openai", "anthropic", "azure-openai", "openai-compatible"] | None = None
    secret_key_ref: SecretRef | None = None


def _check_provider(value: object) -> object:
    if isinstance(value, str) and value not in PROVIDERS:
        raise NotOneOfError(f"must be one of {', '.join(PROVIDERS)}", PROVIDERS)
    return value


_PROVIDER_SCHEMA = {
    "anyOf": [
        {"type": "null"},
        {"enum": list(PROVIDERS)},
        {
            "type": "object",
            "properties": {"name": {"enum": list(PROVIDERS)}, "secret_key_ref": {"type": "object"}},
        },
    ]
}


_ROUTE_PREFIX = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*\Z")


def _check_prefix(text: str) -> str:
    if len(text) > 128 or not _ROUTE_PREFIX.match(text):
        raise ValueError("must be a path below /v1 without a leading slash, such as files")
    return text


RoutePrefix = Annotated[str, AfterValidator(_check_prefix)]


class TargetEntry(Spec):
    """One item of `providers.targets`, as the file says it."""

    id: Name
    """Unique name of the target."""
    provider: Annotated[
        str | ProviderDetail | None,
        MayBeEmpty(),
        Nested(ProviderDetail),
        AfterValidator(_check_provider),
        WithJsonSchema(_PROVIDER_SCHEMA),
    ] = None
    """Kind of endpoint; left empty it is inferred from the id."""
    base_url: str | None = None
    """Where the endpoint is; the vendor's own when left out."""
    secret_key_ref: SecretRef | None = None
    """Where its key is to be found."""
    models: Annotated[dict[Pattern, Pattern], Renaming(), Field(min_length=1)] | None = None
    """Names or globs served, or a mapping public name -> upstream name."""
    deployments: Annotated[dict[ModelName, Name], Renaming()] | None = None
    """Azure: model -> deployment."""
    api_version: Name | None = None
    """Azure: version of its API."""
    pricing: dict[Pattern, PricingSpec] | None = None
    """Prices by model, dollars per million tokens."""
    price_as: Name | None = None
    """Look prices up under this model name."""
    timeouts: TimeoutsSpec | None = None
    """How long to wait for it."""
    headers: dict[HeaderName, str] | None = None
    """Extra headers sent upstream."""
    auth: Literal["passthrough"] | None = None
    """passthrough: the caller's own key goes upstream."""
    passthrough: list[RoutePrefix] | None = None
    """Paths below /v1 (files, batches, ...) relayed without a policy, with all that is below them."""
    proxy: str | None = None
    """HTTP proxy for this target."""
    ca_file: str | None = None
    """Certificates to trust for this target."""
    retry_on_timeout: bool = False
    """Retry also when the request was sent in full."""
    allow_link_local: bool = False
    """The target may be at a link-local address, which is otherwise never dialled."""

    @property
    def detail(self) -> ProviderDetail | None:
        """The mapping below `provider:`, if it is one."""
        return self.provider if isinstance(self.provider, ProviderDetail) else None

    @property
    def secret(self) -> SecretRef | None:
        """Where the key is to be found, wherever the file says so."""
        return self.secret_key_ref or (self.detail.secret_key_ref if self.detail else None)


def infer_provider(target_id: str, base_url: str | None) -> Provider | None:
    """The provider an id speaks of; any other with a base_url is openai-compatible; None: nothing tells."""
    lower = target_id.lower()
    for prefix, provider in (
        ("openai-compatible", PROVIDERS[3]),
        ("azure", PROVIDERS[2]),
        ("openai", PROVIDERS[0]),
        ("anthropic", PROVIDERS[1]),
    ):
        if lower == prefix or lower.startswith((f"{prefix}-", f"{prefix}_")):
            return provider
    return "openai-compatible" if base_url else None


def resolve(entry: TargetEntry) -> TargetSpec | None:
    """What `entry` means; None when its provider cannot be told."""
    name = entry.detail.name if entry.detail else entry.provider
    provider = next((known for known in PROVIDERS if known == name), None) or infer_provider(
        entry.id, entry.base_url
    )
    if provider is None:
        return None
    secret = entry.secret
    passthrough = entry.auth == "passthrough"
    deployments = entry.deployments or {}
    return TargetSpec(
        id=entry.id,
        provider=provider,
        base_url=entry.base_url,
        secret_env=secret.env if secret else (None if passthrough else DEFAULT_SECRET_ENV.get(provider)),
        secret_file=secret.file if secret else None,
        secret_store=secret.store if secret else None,
        models=entry.models or _default_models(provider, deployments),
        deployments=deployments,
        api_version=entry.api_version,
        pricing={model: price.pricing() for model, price in (entry.pricing or {}).items()},
        price_as=entry.price_as,
        timeouts=_timeouts(entry.timeouts),
        headers=entry.headers or {},
        auth=entry.auth,
        passthrough=tuple(entry.passthrough or ()),
        proxy=entry.proxy,
        ca_file=entry.ca_file,
        retry_on_timeout=entry.retry_on_timeout,
        allow_link_local=entry.allow_link_local,
        line=entry.line,
    )


def implicit_targets(env: Mapping[str, str]) -> list[TargetSpec]:
    """What a file without targets means: both vendors, and Azure where its endpoint is known."""
    names: list[Provider] = ["openai", "anthropic"]
    if env.get(AZURE_ENDPOINT_ENV):
        names.append("azure-openai")
    return [
        TargetSpec(
            id=name, provider=name, secret_env=DEFAULT_SECRET_ENV[name], models=_default_models(name, {})
        )
        for name in names
    ]


def with_environment(targets: Iterable[TargetSpec], env: Mapping[str, str]) -> list[TargetSpec]:
    """`targets` with what Azure takes from the environment filled in."""
    filled = []
    for target in targets:
        if target.provider == "azure-openai":
            endpoint = target.base_url or env.get(AZURE_ENDPOINT_ENV) or None
            version = target.api_version or env.get(AZURE_VERSION_ENV) or None
            filled.append(replace(target, base_url=endpoint, api_version=version))
        else:
            filled.append(target)
    return filled


def is_vendors_own(target: TargetSpec) -> bool:
    """Whether requests go to the vendor itself, whose prices and retirements then hold."""
    default = DEFAULT_BASE_URL.get(target.provider)
    if default is None or target.base_url is None:
        return default is not None
    try:
        return urlsplit(target.base_url).hostname == urlsplit(default).hostname
    except ValueError:
        return False


def _default_models(provider: Provider, deployments: Mapping[str, str]) -> dict[str, str]:
    patterns: Iterable[str] = deployments if provider == "azure-openai" else DEFAULT_MODELS[provider]
    return {pattern: pattern for pattern in patterns}


def _timeouts(spec: TimeoutsSpec | None) -> Timeouts:
    if spec is None:
        return Timeouts()
    return Timeouts(
        *(seconds_of(text) if text else None for text in (spec.connect, spec.first_byte, spec.idle))
    )
