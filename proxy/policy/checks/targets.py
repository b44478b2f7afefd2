"""What a target needs to be able to serve."""

from __future__ import annotations

import re
from collections.abc import Iterable

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import remove_entry
from proxy.policy.document import Path, SequenceNode, shown
from proxy.policy.targets import AZURE_ENDPOINT_ENV, AZURE_VERSION_ENV, TargetEntry

_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_LOG = """policies:
      - {name: marked, type: log}
    """
"""Put behind an example that is not about policies."""


@check(
    "no-targets",
    "warning",
    "The list of targets is empty",
    why="Every request would be answered 404. Without the key, the vendors' own endpoints are meant.",
    mend="Remove `targets`, or add one.",
    bad="""
    providers: {«targets»: []}
    """
    + _LOG,
    good="""
    providers: {targets: [{id: openai}]}
    """
    + _LOG,
)
def no_targets(context: Context) -> Iterable[Finding]:
    """An empty list of targets serves nothing; leaving it out means the vendors' own endpoints."""
    node = context.document.find(("providers", "targets"))
    if isinstance(node, SequenceNode) and not node.items:
        message = "targets is empty: every request would be answered 404; remove it to use the vendors' own"
        yield Finding(message, ("providers", "targets"), key=True)


@check(
    "models-missing",
    "error",
    "An openai-compatible target does not say its models",
    why="What such an endpoint serves cannot be known, so nothing could be sent to it.",
    mend="List the models, or patterns of them, under `models`.",
    bad="""
    providers:
      targets:
        - {id: «local», base_url: "http://127.0.0.1:8000/v1"}
    """
    + _LOG,
    good="""
    providers:
      targets:
        - {id: local, base_url: "http://127.0.0.1:8000/v1", models: [llama-3.1-8b]}
    """
    + _LOG,
)
def models_missing(context: Context) -> Iterable[Finding]:
    """An endpoint whose models cannot be known."""
    for entry, target in context.file.written:
        if not target.models and target.provider == "openai-compatible":
            message = (
                f"{shown(entry.id)} needs models: what an openai-compatible endpoint serves cannot be known"
            )
            yield Finding(message, (*entry.path, "id"))


@check(
    "base-url-missing",
    "error",
    "An openai-compatible target does not say where it is",
    why="There is no vendor whose address could be meant.",
    mend="Write its `base_url`.",
    bad="""
    providers:
      targets:
        - {id: «local», provider: openai-compatible, models: [llama-3.1-8b]}
    """
    + _LOG,
    good="""
    providers:
      targets:
        - {id: local, base_url: "http://127.0.0.1:8000/v1", models: [llama-3.1-8b]}
    """
    + _LOG,
)
def base_url_missing(context: Context) -> Iterable[Finding]:
    """An endpoint that is nowhere."""
    for entry, target in context.file.written:
        if target.provider == "openai-compatible" and target.base_url is None:
            yield Finding(f"{shown(entry.id)} needs base_url", (*entry.path, "id"))


@check(
    "serves-nothing",
    "warning",
    "A target serves no model",
    why="An Azure resource serves its deployments; none is listed.",
    mend="List the deployments: `deployments: {model: deployment}`.",
    bad="""
    providers:
      targets:
        - {id: «azure-openai», base_url: "https://r.openai.azure.com", api_version: 2024-10-21}
    """
    + _LOG,
    good="""
    providers:
      targets:
        - id: azure-openai
          base_url: https://r.openai.azure.com
          api_version: 2024-10-21
          deployments: {gpt-4o: my-gpt-4o}
    """
    + _LOG,
)
def serves_nothing(context: Context) -> Iterable[Finding]:
    """A target without models."""
    for entry, target in context.file.written:
        if not target.models and target.provider != "openai-compatible":
            message = f"{shown(entry.id)} has no deployments, so it serves no model"
            yield Finding(message, (*entry.path, "id"))


@check(
    "azure-only",
    "error",
    "Deployments at a target that is not Azure",
    why="Only Azure OpenAI has deployments; elsewhere they would do nothing.",
    mend="Remove them, or write `provider: azure-openai`. To rename a model elsewhere, use `models`.",
    bad="""
    providers:
      targets:
        - {id: openai, «deployments»: {gpt-4o: my-gpt-4o}}
    """
    + _LOG,
    good="""
    providers:
      targets:
        - {id: openai, models: {gpt-4o: gpt-4o-2024-11-20}}
    """
    + _LOG,
)
def azure_only(context: Context) -> Iterable[Finding]:
    """Deployments where there are none."""
    for entry, target in context.file.written:
        if entry.deployments and target.provider != "azure-openai":
            place = (*entry.path, "deployments")
            fix = remove_entry(context.document, place, "remove deployments")
            yield Finding("deployments mean something to azure-openai only", place, key=True, fix=fix)


@check(
    "no-endpoint",
    "warning",
    "An Azure target has no endpoint",
    why=f"Neither `base_url` nor the environment variable {AZURE_ENDPOINT_ENV} says where the resource is.",
    mend=f"Write `base_url`, or set {AZURE_ENDPOINT_ENV}.",
    bad="""
    providers:
      targets:
        - {id: «azure-openai», api_version: 2024-10-21, deployments: {gpt-4o: my-gpt-4o}}
    """
    + _LOG,
    good="""
    providers:
      targets:
        - id: azure-openai
          base_url: https://r.openai.azure.com
          api_version: 2024-10-21
          deployments: {gpt-4o: my-gpt-4o}
    """
    + _LOG,
)
def no_endpoint(context: Context) -> Iterable[Finding]:
    """Azure takes its endpoint from the file or the environment."""
    for entry, target in context.file.written:
        missing = target.base_url is None and not context.surroundings.env.get(AZURE_ENDPOINT_ENV)
        if target.provider == "azure-openai" and missing:
            message = f"{shown(entry.id)} has no base_url and {AZURE_ENDPOINT_ENV} is not set: answered 503"
            yield Finding(message, (*entry.path, "id"))


@check(
    "no-api-version",
    "warning",
    "An Azure target has no API version",
    why=f"""Azure asks for one with every request, unless the address ends in `/openai/v1`. Neither `api_version` nor
    {AZURE_VERSION_ENV} gives it.""",
    mend=f"Write `api_version`, or set {AZURE_VERSION_ENV}.",
    bad="""
    providers:
      targets:
        - id: «azure-openai»
          base_url: https://r.openai.azure.com
          deployments: {gpt-4o: my-gpt-4o}
    """
    + _LOG,
    good="""
    providers:
      targets:
        - id: azure-openai
          base_url: https://r.openai.azure.com
          api_version: 2024-10-21
          deployments: {gpt-4o: my-gpt-4o}
    """
    + _LOG,
)
def no_api_version(context: Context) -> Iterable[Finding]:
    """Azure takes its version from the file or the environment."""
    for entry, target in context.file.written:
        versioned = (target.base_url or "").rstrip("/").endswith("/openai/v1")
        given = target.api_version is not None or context.surroundings.env.get(AZURE_VERSION_ENV)
        if target.provider == "azure-openai" and target.models and not versioned and not given:
            message = f"{shown(entry.id)} has no api_version and {AZURE_VERSION_ENV} is not set: answered 503"
            yield Finding(message, (*entry.path, "id"))


@check(
    "bad-deployment",
    "error",
    "A deployment or API version Azure cannot have",
    why="It becomes part of the address, so it may hold letters, digits, `-`, `_` and `.` only.",
    mend="Write the name as the Azure portal shows it.",
    bad="""
    providers:
      targets:
        - id: azure-openai
          base_url: https://r.openai.azure.com
          api_version: 2024-10-21
          deployments: {gpt-4o: «my/gpt-4o»}
    """
    + _LOG,
    good="""
    providers:
      targets:
        - id: azure-openai
          base_url: https://r.openai.azure.com
          api_version: 2024-10-21
          deployments: {gpt-4o: my-gpt-4o}
    """
    + _LOG,
)
def bad_deployment(context: Context) -> Iterable[Finding]:
    """Names that become part of a path."""
    for entry, target in context.file.written:
        if target.provider != "azure-openai":
            continue
        for model, deployment in target.deployments.items():
            if not _DEPLOYMENT.match(deployment):
                message = f"the deployment {shown(deployment)} may hold letters, digits, - _ and . only"
                yield Finding(message, _deployment_place(entry, model, context))
        if target.api_version is not None and not _DEPLOYMENT.match(target.api_version):
            message = "api_version may hold letters, digits, - _ and . only"
            yield Finding(message, (*entry.path, "api_version"))


def _deployment_place(entry: TargetEntry, model: str, context: Context) -> Path:
    path: Path = (*entry.path, "deployments")
    node = context.document.find(path)
    if isinstance(node, SequenceNode):
        position = next((i for i, item in enumerate(node.items) if getattr(item, "value", None) == model), 0)
        return (*path, position)
    return (*path, model)
