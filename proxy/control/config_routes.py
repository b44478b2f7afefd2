"""Reading and changing what runs: the file, its versions and weights."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.times import rfc3339
from proxy.config.manager import ANY_HASH
from proxy.config.state import (
    Applied,
    ApplyResult,
    Author,
    Conflict,
    NotWritten,
    RefusedByLint,
    StoredVersion,
    Unreadable,
    text_hash,
)
from proxy.control.auth import caller
from proxy.control.hub import Hub
from proxy.control.moment import moment_of
from proxy.control.past import past_of
from proxy.control.problems import ApiError, json_body, json_response, refused_by_lint, text_field
from proxy.control.status import errors_first, splits
from proxy.control.version_counts import VersionCounts
from proxy.policy.difference import unified
from proxy.policy.edits import EditError, set_weights

SHORTEST_HASH = 7
"""Characters of a hash that name a version."""
_THROUGH = frozenset({"editor", "slider", "api", "restore", "demo"})


class ConfigRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._counts = VersionCounts(hub)

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/v1/config", self.get, methods=["GET"]),
            Route("/v1/config", self.put, methods=["PUT"]),
            Route("/v1/config/versions", self.versions, methods=["GET"]),
            Route("/v1/config/versions/{hash}", self.version, methods=["GET"]),
            Route("/v1/config/restore", self.restore, methods=["POST"]),
            Route("/v1/splits", self.list_splits, methods=["GET"]),
            Route("/v1/splits/{name}/weights", self.put_weights, methods=["PUT"]),
        ]

    async def get(self, request: Request) -> Response:
        """What runs, with its text, and the file beside it; of an earlier moment what ran then."""
        at = moment_of(request, self._hub)
        if at is not None:
            return await self._get_then(at)
        config = self._hub.config
        running, file = config.running, config.file
        body = {
            "number": running.number if running else 0,
            "hash": running.hash if running else "",
            "text": running.text if running else "",
            "path": str(config.path),
            "name": config.path.name,
            "diagnostics": errors_first(running.diagnostics) if running else [],
            "file": {
                "state": file.condition,
                "reason": file.reason,
                "hash": file.hash,
                "text": file.text,
                "diagnostics": errors_first(file.diagnostics),
            },
        }
        return json_response(body, headers={"ETag": f'"{body["hash"]}"'})

    async def _get_then(self, at_ms: int) -> Response:
        config = self._hub.config
        then = await config.version_at(at_ms)
        text = then.text or "" if then is not None else ""
        digest = then.hash if then is not None else ""
        file: dict[str, Any] = {
            "state": "same",
            "reason": None,
            "hash": digest,
            "text": text,
            "diagnostics": [],
        }
        body = {
            "number": then.number if then is not None else 0,
            "hash": digest,
            "text": text,
            "path": str(config.path),
            "name": config.path.name,
            "diagnostics": [],
            "file": file,
        }
        return json_response(body, headers={"ETag": f'"{digest}"'})

    async def put(self, request: Request) -> Response:
        """Write the file and run it."""
        body = await json_body(request)
        author = _author(request, body, "api")
        result = await self._hub.config.apply(text_field(body, "text"), _if_match(request), author)
        return _applied(result)

    async def versions(self, request: Request) -> Response:
        """Applied versions, newest first."""
        at = moment_of(request, self._hub)
        versions = [
            item for item in await self._hub.config.versions() if at is None or item.applied_at_ms <= at
        ]
        events = await self._counts.of(versions)
        listed = [{**_version(item), "events": events.get(item.number)} for item in versions]
        return json_response({"versions": listed})

    async def version(self, request: Request) -> Response:
        """One version with its text."""
        digest = request.path_params["hash"]
        found = await self._hub.config.version(digest) if len(digest) >= SHORTEST_HASH else None
        if found is None:
            raise ApiError(404, "not_found", "no version of this file has that hash", "hash")
        return json_response({**_version(found), "text": found.text})

    async def restore(self, request: Request) -> Response:
        """Apply an earlier version as a new one."""
        body = await json_body(request)
        digest = text_field(body, "hash")
        if len(digest) < SHORTEST_HASH:
            raise ApiError(400, "bad_field", "hash must be at least 7 characters of a version's hash", "hash")
        author = _author(request, {**body, "through": "restore"}, "restore")
        result = await self._hub.config.restore(digest, _if_match(request), author)
        if result is None:
            raise ApiError(404, "not_found", "no version of this file has that hash", "hash")
        return _applied(result)

    async def list_splits(self, request: Request) -> Response:
        """Each split: configured, observed, planned."""
        at = moment_of(request, self._hub)
        found = splits(self._hub) if at is None else (await past_of(self._hub, at)).splits
        return json_response({"splits": found})

    async def put_weights(self, request: Request) -> Response:
        """Change weights, planned weights or the live phase of a split: an edit of the file, then an apply."""
        body = await json_body(request)
        unknown = body.keys() - {"weights", "phases", "phase", "why", "through", "dry_run"}
        if unknown:
            raise ApiError(400, "bad_field", f"unknown field {sorted(unknown)[0]}", sorted(unknown)[0])
        dry_run = body.get("dry_run", False)
        if not isinstance(dry_run, bool):
            raise ApiError(400, "bad_field", "dry_run must be true or false", "dry_run")
        before = self._base_text()
        try:
            text = set_weights(
                before,
                request.path_params["name"],
                weights=_weights(body.get("weights"), "weights"),
                phases=_phases(body.get("phases")),
                phase=text_field(body, "phase") if body.get("phase") is not None else None,
            )
        except EditError as error:
            raise ApiError(400, "bad_edit", str(error), "weights") from None
        extra = {"text": text, "diff": unified(before, text)}
        if dry_run:
            return json_response(await self._would_be(text, extra))
        match = _if_match(request)
        # The edit was made on this text, so it is the one that must still be there.
        if match not in (ANY_HASH, text_hash(before)):
            return _applied(Conflict(text_hash(before), before))
        result = await self._hub.config.apply(text, text_hash(before), _author(request, body, "slider"))
        return _applied(result, extra)

    def _base_text(self) -> str:
        config = self._hub.config
        if config.file.condition == "unreadable":
            raise ApiError(409, "file_unreadable", config.file.reason or "the file cannot be read", "path")
        text = (
            config.file.text
            if config.file.text is not None
            else (config.running.text if config.running else None)
        )
        if text is None:
            raise ApiError(409, "no_policy", "no policy runs and there is no file to change", None)
        if config.file.condition == "differs" and any(
            item.severity == "error" for item in config.file.diagnostics
        ):
            raise ApiError(
                409, "file_broken", "the file has errors; mend it on the Policy screen first", None
            )
        return text

    async def _would_be(self, text: str, extra: Mapping[str, Any]) -> dict[str, Any]:
        running = self._hub.config.running
        result = await asyncio.to_thread(self._hub.config.lint, text)
        return {
            "number": running.number if running else 0,
            "hash": text_hash(text),
            "changed": running is None or running.text != text,
            "applied_ms": 0.0,
            "diagnostics": [item.to_json() for item in result.diagnostics],
            **extra,
        }


def _if_match(request: Request) -> str:
    match = request.headers.get("if-match")
    if match is None:
        message = (
            "send If-Match with the hash of the text you changed (GET /v1/config), or * for whatever is there"
        )
        raise ApiError(428, "if_match_required", message, "if-match")
    return match.removeprefix("W/").strip().strip('"')


def _author(request: Request, body: Mapping[str, Any], default: str) -> Author:
    through, why = body.get("through", default), body.get("why", "")
    if not isinstance(through, str) or through not in _THROUGH:
        raise ApiError(400, "bad_field", f"through must be one of {', '.join(sorted(_THROUGH))}", "through")
    if not isinstance(why, str):
        raise ApiError(400, "bad_field", "why must be a text", "why")
    return Author(caller(request).name, through, why)


def _applied(result: ApplyResult, extra: Mapping[str, Any] | None = None) -> Response:
    if isinstance(result, Applied):
        version = result.version
        body = {
            "number": version.number,
            "hash": version.hash,
            "changed": result.changed,
            "applied_ms": round(result.took_ms, 3),
            "diagnostics": errors_first(version.diagnostics),
            **(extra or {}),
        }
        return json_response(body, headers={"ETag": f'"{version.hash}"'})
    if isinstance(result, RefusedByLint):
        raise refused_by_lint(result.diagnostics)
    if isinstance(result, Conflict):
        current = {"hash": result.hash, "text": result.text}
        raise ApiError(
            409, "conflict", "the file is no longer the one this change was made on", None, current=current
        )
    if isinstance(result, Unreadable):
        raise ApiError(409, "file_unreadable", f"{result.reason}; it was not overwritten", "path")
    assert isinstance(result, NotWritten)
    raise ApiError(500, "not_written", result.reason, "path")


def _version(item: StoredVersion) -> dict[str, Any]:
    return {
        "number": item.number,
        "hash": item.hash,
        "applied_at": rfc3339(item.applied_at_ms),
        "who": item.who,
        "through": item.through,
        "why": item.why,
    }


def _phases(value: object) -> dict[str, dict[str, Decimal]] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ApiError(400, "bad_field", "phases must map a phase to its weights", "phases")
    return {name: _weights(weights, f"phases.{name}") or {} for name, weights in value.items()}


def _weights(value: object, where: str) -> dict[str, Decimal] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ApiError(400, "bad_field", f"{where} must map a tag to a number", where)
    weights = {}
    for tag, weight in value.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float | str):
            raise ApiError(400, "bad_field", f"the weight of {tag} must be a number", where)
        try:
            weights[tag] = Decimal(str(weight))
        except InvalidOperation:
            raise ApiError(400, "bad_field", f"the weight of {tag} must be a number", where) from None
    return weights
