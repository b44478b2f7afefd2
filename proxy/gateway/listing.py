"""What the gateway answers itself: its models, and whether it lives."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.gateway.runtime import NamedKey, Runtime
from proxy.wire.errors import RequestError

LIVE = frozenset({"/", "/health", "/healthz"})
READY = "/readyz"


def health(runtime: Runtime, path: str, method: str) -> tuple[int, bytes]:
    """Status and body of a health route. Raises RequestError (405)."""
    if method not in ("GET", "HEAD"):
        raise RequestError(405, "method_not_allowed", f"{path} is read with GET")
    status, word = 200, "ok"
    if path == READY:
        ready = runtime.snapshot is not None and not runtime.draining
        status, word = (200, "ready") if ready else (503, "draining" if runtime.draining else "not ready")
    return status, msgspec.json.encode({"status": word})


def models(runtime: Runtime, below: str, method: str, key: NamedKey | None) -> bytes:
    """The body of `models` or `models/NAME`. Raises RequestError (404, 405, 503)."""
    if below != "models" and not below.startswith("models/"):
        raise RequestError(404, "unknown_route", "this path is not served by the gateway")
    if method not in ("GET", "HEAD"):
        raise RequestError(405, "method_not_allowed", "models are read with GET")
    snapshot = runtime.snapshot
    if snapshot is None:
        raise RequestError(503, "no_policy", "the gateway runs no policy yet")
    if below == "models":
        entries = [_entry(name, owner) for name, owner in snapshot.models if _may_ask(key, name)]
        return msgspec.json.encode({"object": "list", "data": entries})
    wanted = below.removeprefix("models/")
    served = snapshot.routes.for_model(wanted)
    owner = dict(snapshot.models).get(wanted) or (served[0].provider if served else None)
    if owner is None or not _may_ask(key, wanted):
        message = f"no target of this gateway serves the model {wanted!r}"
        raise RequestError(404, "model_not_found", message, param="model")
    return msgspec.json.encode(_entry(wanted, owner))


def _may_ask(key: NamedKey | None, model: str) -> bool:
    return key is None or key.allows(model)


def _entry(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
