"""Targets ready to be dialled: address, key, and why one cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, urlsplit

from yarl import URL

from proxy.base.sanitise import sanitise
from proxy.base.secret import Secret
from proxy.policy.facts import Endpoint
from proxy.policy.targets import DEFAULT_BASE_URL, TargetSpec
from proxy.upstream.addresses import is_forbidden
from proxy.upstream.secrets import SecretMissingError, SecretPlace, find_secret

AuthStyle = Literal["bearer", "api-key", "none", "passthrough"]

_PATHS: Mapping[str, str] = {
    "chat": "chat/completions",
    "completions": "completions",
    "embeddings": "embeddings",
    "moderations": "moderations",
}
_WITHOUT_DEPLOYMENT = frozenset({"responses", "files", "batches", "models", "vector_stores", "uploads"})
"""What Azure serves beside its deployments; the model stands in the body."""
_VERSION_SEGMENT = re.compile(r"v\d+[a-z0-9]*\Z")
_AZURE_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_CACHED_MODELS = 4096
_KEPT_URLS = 256
CHAT_ONLY: frozenset[str] = frozenset({"anthropic"})
"""Providers that answer conversations and nothing else."""


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint of a provider, as the gateway dials it."""

    spec: TargetSpec
    base: URL | None
    """Everything before `chat/completions`; None when the target cannot be used."""
    auth: AuthStyle
    secret: Secret | None
    unavailable_reason: str | None = None
    """One sentence that says what is missing; None when the target can be used."""
    fingerprint: str = ""
    """Equal for two targets of which the file says the same, wherever in it they stand."""

    @property
    def id(self) -> str:
        """Its id in the policy file."""
        return self.spec.id

    @property
    def provider(self) -> str:
        """Its provider."""
        return self.spec.provider

    @property
    def by_deployment(self) -> bool:
        """Whether the path names an Azure deployment (and the body's `model` says nothing)."""
        return (
            self.spec.provider == "azure-openai"
            and self.base is not None
            and not self.base.path.endswith("/v1")
        )

    def carries(self, endpoint: Endpoint) -> bool:
        """Whether this provider has the endpoint."""
        return endpoint in ("chat", "messages") or self.provider not in CHAT_ONLY

    def body_model(self, model: str, path: str = "chat/completions") -> str:
        """What `model` is called in the body sent to `path` of this target."""
        return model if self._names_deployment(path) else self.spec.upstream_name(model)

    def _names_deployment(self, path: str) -> bool:
        return self.by_deployment and path.partition("/")[0] not in _WITHOUT_DEPLOYMENT

    def url(self, endpoint: str, model: str) -> URL:
        """Where a request for `model` goes: an endpoint, or a path below the version of the API.

        Built by component: no name can change host or path.

        Raises ValueError when the target cannot be used.
        """
        if self.base is None:
            raise ValueError(self.unavailable_reason or "the target cannot be used")
        path = _PATHS.get(endpoint, endpoint)
        if self._names_deployment(path):
            path = f"deployments/{quote(self.spec.upstream_name(model), safe='')}/{path}"
        return _joined(self.base, path, self.spec.api_version if self.provider == "azure-openai" else None)

    def auth_header(self, *, native: bool = True) -> tuple[str, str] | None:
        """Name and value of the header that proves who we are. The value leaves the process on purpose.

        `native`: False where Anthropic is asked at its OpenAI-compatible endpoint.
        """
        if self.secret is None:
            return None
        if self.provider == "anthropic" and native:
            return "x-api-key", self.secret.reveal()
        if self.auth == "api-key":
            return "api-key", self.secret.reveal()
        return "Authorization", f"Bearer {self.secret.reveal()}"


@lru_cache(maxsize=_KEPT_URLS)
def _joined(base: URL, path: str, api_version: str | None) -> URL:
    """The same object for the same address: a URL remembers its parts once they were asked for."""
    url = base.with_path(f"{base.raw_path.rstrip('/')}/{path}", encoded=True)
    return url.with_query({"api-version": api_version}) if api_version else url


def build_target(spec: TargetSpec, env: Mapping[str, str]) -> Target:
    """The target that `spec` means on this machine. What is missing becomes its `unavailable_reason`."""
    style: AuthStyle = "api-key" if spec.provider == "azure-openai" else "bearer"
    fingerprint = repr(replace(spec, line=0))
    try:
        base = _base(spec)
        secret = None
        if spec.auth == "passthrough":
            style = "passthrough"
        elif spec.secret_env or spec.secret_file or spec.secret_store:
            secret = find_secret(SecretPlace(spec.secret_env, spec.secret_file, spec.secret_store), env)
        else:
            style = "none"
    except (SecretMissingError, ValueError) as error:
        reason = f"the target {sanitise(spec.id, 128)} cannot be used: {error}"
        return Target(spec, None, style, None, reason, fingerprint)
    return Target(spec, base, style, secret, None, fingerprint)


def _base(spec: TargetSpec) -> URL:
    """The address everything is below. Raises ValueError with a sentence."""
    text = spec.base_url or DEFAULT_BASE_URL.get(spec.provider)
    if text is None:
        if spec.provider == "azure-openai":
            raise ValueError(
                "it has no base_url and the environment variable AZURE_OPENAI_ENDPOINT is not set"
            )
        raise ValueError("it has no base_url")
    root, segments = _address(text, spec.allow_link_local)
    if spec.provider == "azure-openai":
        return _azure_base(spec, root, segments)
    if not any(_VERSION_SEGMENT.match(segment) for segment in segments):
        segments = [*segments, "v1"]
    return root.with_path("/" + "/".join(segments), encoded=True)


def _azure_base(spec: TargetSpec, root: URL, segments: list[str]) -> URL:
    if segments[-2:] == ["openai", "v1"]:
        return root.with_path("/" + "/".join(segments), encoded=True)
    if not spec.api_version:
        raise ValueError("it has no api_version and the environment variable OPENAI_API_VERSION is not set")
    for word in (spec.api_version, *spec.deployments.values()):
        if not _AZURE_WORD.match(word):
            raise ValueError(
                f"{sanitise(word, 80)!r} is not a deployment or API version (letters, digits, . _ -)"
            )
    if segments[-1:] == ["openai"]:
        segments = segments[:-1]
    return root.with_path("/" + "/".join([*segments, "openai"]), encoded=True)


def _address(text: str, anywhere: bool) -> tuple[URL, list[str]]:
    """Scheme, host and port, and the segments of the path.

    Raises ValueError for what is no plain http(s) address.
    """
    shown = sanitise(text, 200)
    try:
        parts = urlsplit(text)
        url = URL(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"its base_url {shown!r} is not an address") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("its base_url holds a user name or password; write the key under secret_key_ref")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or url.host is None:
        raise ValueError(f"its base_url {shown!r} is not an address such as https://host/v1")
    if parts.query or parts.fragment:
        raise ValueError(f"its base_url {shown!r} must not have a query or a fragment")
    if is_forbidden(url.host) and not anywhere:
        raise ValueError(
            f"its base_url {shown!r} is a link-local or metadata address, which is never dialled"
        )
    segments = [segment for segment in parts.path.split("/") if segment]
    if any(segment in (".", "..") for segment in segments):
        raise ValueError(f"its base_url {shown!r} has dots in its path")
    return url.origin(), [quote(segment, safe="%:@!$&'()*+,;=~-._") for segment in segments]


class RoutingTable:
    """The targets of one version of the file, in its order. Never changes but for a memory of look-ups."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self.targets: tuple[Target, ...] = tuple(targets)
        self._by_id = {target.id: target for target in self.targets}
        self._found: dict[str, list[Target]] = {}

    def for_model(self, model: str, target_id: str | None = None) -> list[Target]:
        """The targets that serve `model`, in file order, unavailable ones too.

        Only `target_id` when it is given.
        """
        if target_id is not None:
            named = self._by_id.get(target_id)
            return [named] if named is not None else []
        found = self._found.get(model)
        if found is None:
            found = [target for target in self.targets if target.spec.serves(model)]
            if len(self._found) < _CACHED_MODELS:
                self._found[model] = found
        return found

    def get(self, target_id: str) -> Target | None:
        """The target of that id."""
        return self._by_id.get(target_id)

    @property
    def named_models(self) -> tuple[str, ...]:
        """Every model that a target lists by name, in file order, once."""
        return tuple(dict.fromkeys(model for target in self.targets for model in target.spec.named_models))
