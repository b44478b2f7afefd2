"""Which path is what. Pure.

The same resources stand under several roots: `/v1` (OpenAI, Anthropic), `/openai/v1` and `/openai` (Azure), and
`/openai/deployments/NAME` (Azure; the deployment is the model that is asked for).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from proxy.policy.facts import Endpoint
from proxy.upstream.targets import Target

INFERENCE: Mapping[str, Endpoint] = {
    "chat/completions": "chat",
    "completions": "completions",
    "embeddings": "embeddings",
    "moderations": "moderations",
    "messages": "messages",
    "messages/count_tokens": "messages",
    "responses": "responses",
    "images/generations": "images",
    "images/edits": "images",
    "images/variations": "images",
    "audio/speech": "audio",
    "audio/transcriptions": "audio",
    "audio/translations": "audio",
}
"""Paths below a root that name a model; they are used with POST."""
COUNT_TOKENS = "messages/count_tokens"
MULTIPART = frozenset({"images/edits", "images/variations", "audio/transcriptions", "audio/translations"})
"""Paths whose body may be a form with files."""
_DEPLOYMENTS = "/openai/deployments/"
_ROOTS = ("/v1/", "/openai/v1/", "/openai/")


class Place(msgspec.Struct, frozen=True):
    """What a request's path names."""

    below: str
    """The path below its root, without slashes at its ends."""
    deployment: str | None = None
    """Azure: the deployment, which is the model that is asked for."""

    @property
    def endpoint(self) -> Endpoint | None:
        """The inference endpoint there, if any."""
        return INFERENCE.get(self.below)

    @property
    def dialect_endpoint(self) -> Endpoint:
        """An endpoint of the dialect in which errors here are told."""
        return "messages" if self.below.partition("/")[0] == "messages" else "chat"

    @property
    def stored_response(self) -> str | None:
        """The id of the stored response that is asked for, if any."""
        first, _, rest = self.below.partition("/")
        return rest.partition("/")[0] or None if first == "responses" else None


def normalised(path: str) -> str:
    """`path` without doubled or trailing slashes."""
    if "//" not in path and (not path.endswith("/") or path == "/"):
        return path
    return "/" + "/".join(part for part in path.split("/") if part)


def find_place(path: str) -> Place | None:
    """What `path` (normalised) names; None when it is below no root."""
    if path.startswith(_DEPLOYMENTS):
        deployment, _, below = path.removeprefix(_DEPLOYMENTS).partition("/")
        return Place(below, deployment) if deployment and below else None
    for root in _ROOTS:
        if path.startswith(root):
            return Place(path.removeprefix(root))
    return None


def passing_target(targets: Iterable[Target], below: str) -> Target | None:
    """The first target that passes `below` through: one of its prefixes matches whole segments of it."""
    for target in targets:
        for prefix in target.spec.passthrough:
            if below == prefix or below.startswith(f"{prefix}/"):
                return target
    return None


def model_of_deployment(targets: Iterable[Target], deployment: str) -> str:
    """The policy-terms name of an Azure deployment; its own name when no target says otherwise."""
    for target in targets:
        if target.spec.serves(deployment):
            return deployment
        for model, name in target.spec.deployments.items():
            if name == deployment:
                return model
    return deployment
