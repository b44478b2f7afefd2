"""Routes of the policy file: read, change, history, restore, lint, diff, weights."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.times import rfc3339
from proxy.config.state import (
    ApplyResult,
    Author,
    Conflict,
    NotWritten,
    RefusedByLint,
    StoredVersion,
)
from proxy.control import params
from proxy.control.context import Control
from proxy.control.errors import ApiError, bad_request, not_found
from proxy.control.replies import control_of, json_reply, who
from proxy.control.status import not_enforced_json, splits_json
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.difference import changed_values, unified
from proxy.policy.edits import EditError, set_weights
from proxy.policy.plan import not_enforced

_FEWEST_HASH_CHARACTERS = 7


class PutConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A new text."""

    text: str
    why: str = ""
    through: Literal["editor", "slider", "api"] = "api"


class Restore(msgspec.Struct, forbid_unknown_fields=True):
    """An earlier version, by its hash or the beginning of it."""

    hash: str
    why: str = ""


class Weights(msgspec.Struct, forbid_unknown_fields=True):
    """New weights of one split."""

    weights: dict[str, Decimal] | None = None
    phases: dict[str, dict[str, Decimal]] | None = None
    phase: str | None = None
    why: str = ""
    through: Literal["slider", "api"] = "slider"
    dry_run: bool = False


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """A text to be checked."""

    text: str


class TwoTexts(msgspec.Struct, forbid_unknown_fields=True):
    """Two texts to be compared."""

    a: str
    b: str


async def get_config(request: Request) -> Response:
    """The running text, and the file beside it. Number 0 and an empty text: nothing runs."""
    config = control_of(request).config
    running, file = config.running, config.file
    body = {
        "number": running.number if running else 0,
        "hash": running.hash if running else "",
        "text": running.text if running else "",
        "path": str(config.path),
        "name": config.path.name,
        "diagnostics": _diagnostics(running.diagnostics if running else ()),
        "file": {
            "state": file.state,
            "reason": file.reason,
            "hash": file.hash,
            "text": file.text,
            "diagnostics": _diagnostics(file.diagnostics),
        },
    }
    return json_reply(body, headers={"ETag": f'"{body["hash"]}"'})


async def put_config(request: Request) -> Response:
    """Write a text to the file and run it."""
    wanted = params.if_match(request)
    body = await params.body(request, PutConfig)
    _check_text(body.text)
    author = Author(who(request), body.through, body.why)
    return json_reply(_applied(await control_of(request).config.apply(body.text, wanted, author)))


async def list_versions(request: Request) -> Response:
    """Applied versions, newest first."""
    versions = await control_of(request).config.versions()
    return json_reply({"versions": [_version(version) for version in versions]})


async def get_version(request: Request) -> Response:
    """One applied version with its text."""
    digest = request.path_params["hash"]
    found = await control_of(request).config.version(digest) if _is_hash(digest) else None
    if found is None:
        raise not_found("no version of this file has that hash")
    return json_reply({**_version(found), "text": found.text})


async def restore(request: Request) -> Response:
    """Apply an earlier version as a new one."""
    wanted = params.if_match(request)
    body = await params.body(request, Restore)
    author = Author(who(request), "restore", body.why)
    result = (
        await control_of(request).config.restore(body.hash, wanted, author) if _is_hash(body.hash) else None
    )
    if result is None:
        raise not_found("no version of this file has that hash")
    return json_reply(_applied(result))


async def lint(request: Request) -> Response:
    """What lint says of a text; nothing is written."""
    body = await params.body(request, Text)
    result = control_of(request).config.lint(body.text)
    policies = result.policy_file.policies if result.policy_file is not None else ()
    return json_reply(
        {
            "valid": result.clean,
            "diagnostics": _diagnostics(result.diagnostics),
            "not_enforced": not_enforced_json(not_enforced(policies)),
        }
    )


async def diff(request: Request) -> Response:
    """What differs between two texts, in lines and in values."""
    body = await params.body(request, TwoTexts)
    values = [
        {"path": change.path, "before": change.before, "after": change.after}
        for change in changed_values(body.a, body.b)
    ]
    return json_reply({"unified": unified(body.a, body.b), "values": values})


async def get_splits(request: Request) -> Response:
    """Every split, configured and observed."""
    control = control_of(request)
    splits = control.config.running.plan.splits if control.config.running else ()
    observed = {split.name: control.metrics.split_observed(split.name) for split in splits}
    return json_reply({"splits": splits_json(splits, observed)})


async def put_weights(request: Request) -> Response:
    """Change weights or the live phase of a split in the file, and run it."""
    wanted = params.if_match(request)
    body = await params.body(request, Weights)
    control, name = control_of(request), request.path_params["name"]
    if body.weights is None and body.phases is None and body.phase is None:
        raise bad_request("nothing to change: give weights, phases or phase", "body")
    digest, before = control.config.present()
    if wanted not in ("*", digest):
        raise _conflict(Conflict(digest, before))
    try:
        after = set_weights(before, name, weights=body.weights, phases=body.phases, phase=body.phase)
    except EditError as error:
        raise _edit_error(control, name, str(error)) from None
    if body.dry_run:
        answer = _dry_run(control, before, after)
    else:
        answer = _applied(
            await control.config.apply(after, digest, Author(who(request), body.through, body.why))
        )
    return json_reply({**answer, "text": after, "diff": unified(before, after, "before", "after")})


def _dry_run(control: Control, before: str, after: str) -> dict[str, Any]:
    result = control.config.lint(after)
    if not result.clean:
        raise _lint_error(result.diagnostics)
    running = control.config.running
    return {
        "number": running.number if running else 0,
        "hash": running.hash if running else "",
        "changed": before != after,
        "applied_ms": None,
        "diagnostics": _diagnostics(result.diagnostics),
    }


def _edit_error(control: Control, name: str, sentence: str) -> ApiError:
    running = control.config.running
    if running is not None and all(split.name != name for split in running.plan.splits):
        return not_found(sentence)
    return ApiError(422, "edit", sentence, f"policies[name={name}]")


def _applied(result: ApplyResult) -> dict[str, Any]:
    """The answer of a change that went in; raises for one that did not."""
    if isinstance(result, RefusedByLint):
        raise _lint_error(result.diagnostics)
    if isinstance(result, Conflict):
        raise _conflict(result)
    if isinstance(result, NotWritten):
        raise ApiError(503, "not_written", f"{result.reason}; nothing was changed", "file")
    return {
        "number": result.version.number,
        "hash": result.version.hash,
        "changed": result.changed,
        "applied_ms": round(result.took_ms, 3),
        "diagnostics": _diagnostics(result.version.diagnostics),
    }


def _conflict(conflict: Conflict) -> ApiError:
    message = "the file is not the one this change was made on; look at what changed and try again"
    return ApiError(
        409, "conflict", message, "If-Match", {"current": {"hash": conflict.hash, "text": conflict.text}}
    )


def _lint_error(diagnostics: tuple[Diagnostic, ...]) -> ApiError:
    errors = [item for item in diagnostics if item.severity == "error"]
    first = f": line {errors[0].line}: {errors[0].message}" if errors else ""
    count = f"{len(errors)} error{'s' if len(errors) != 1 else ''}"
    message = f"the text has {count}, nothing was changed{first}"
    return ApiError(422, "lint", message, "text", {"diagnostics": _diagnostics(diagnostics)})


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise bad_request("the text holds a lone surrogate, which no file can hold", "text") from None


def _version(version: StoredVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "hash": version.hash,
        "applied_at": rfc3339(version.applied_at_ms),
        "who": version.who or None,
        "through": version.through,
        "why": version.why or None,
    }


def _diagnostics(items: tuple[Diagnostic, ...]) -> list[dict[str, Any]]:
    return [item.to_json() for item in items]


def _is_hash(text: str) -> bool:
    return _FEWEST_HASH_CHARACTERS <= len(text) <= 64 and all(letter in "0123456789abcdef" for letter in text)


ROUTES = [
    Route("/v1/config", get_config, methods=["GET"]),
    Route("/v1/config", put_config, methods=["PUT"]),
    Route("/v1/config/versions", list_versions, methods=["GET"]),
    Route("/v1/config/versions/{hash}", get_version, methods=["GET"]),
    Route("/v1/config/restore", restore, methods=["POST"]),
    Route("/v1/policy/lint", lint, methods=["POST"]),
    Route("/v1/policy/diff", diff, methods=["POST"]),
    Route("/v1/splits", get_splits, methods=["GET"]),
    Route("/v1/splits/{name}/weights", put_weights, methods=["PUT"]),
]
