"""Which dialect the client speaks, which the target, and what lies between them."""

from __future__ import annotations

from typing import Literal

from proxy.policy.facts import Endpoint
from proxy.upstream.targets import Target
from proxy.wire.chat import ParsedRequest
from proxy.wire.errors import RequestError

Dialect = Literal["openai", "anthropic"]


def client_dialect(endpoint: Endpoint) -> Dialect:
    """The dialect of who asks there."""
    return "anthropic" if endpoint == "messages" else "openai"


def outbound_dialect(endpoint: Endpoint, target: Target) -> Dialect:
    """The dialect in which `target` is asked."""
    return "anthropic" if endpoint == "messages" and target.provider == "anthropic" else "openai"


def translated(parsed: ParsedRequest, dialect: Dialect, model: str) -> tuple[bytes, tuple[str, ...]]:
    """The request in another dialect, and the parameters that it cannot carry. Raises RequestError (400)."""
    raise RequestError(400, "unsupported_endpoint", "this endpoint is not translated")
