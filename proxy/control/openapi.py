"""The control API described to machines: an OpenAPI 3.1 document, made of the table of routes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from starlette.routing import Route

from proxy.control.openapi_models import COMPONENTS
from proxy.control.openapi_schema import TEXT, ref
from proxy.control.openapi_shapes import JSON, SHAPES, Shape

_REASON = {
    400: "A parameter or the body is wrong.",
    401: "No token, or none of this gateway.",
    403: "The token may only read, or the request came from a page of another site.",
    404: "There is no such thing.",
    409: "What is there differs from what the request was made on.",
    413: "The body is larger than 4 MiB.",
    415: "The body is not declared as JSON.",
    422: "The text has errors.",
    428: "The header that guards against writing twice is missing.",
    500: "The file could not be written.",
    503: "The store or a helper process cannot be used at present.",
}
_PARAMETER = re.compile(r"\{(\w+)\}")


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document of `routes`; `version` is the gateway's."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(route.path, {})[method.lower()] = _operation(method, route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ktui control API",
            "version": version,
            "description": "What runs, what it does, and changing it. Errors are one sentence, with the place at fault.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(method: str, route: Route) -> dict[str, Any]:
    # A route that nobody has described yet is in the document all the same.
    shape = SHAPES.get((method, route.path), Shape({}))
    operation: dict[str, Any] = {
        "operationId": _name(method, route.path),
        "summary": (inspect.getdoc(route.endpoint) or "").partition("\n")[0],
        "parameters": _parameters(route.path, shape),
        "responses": _responses(shape),
    }
    if shape.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": shape.body}}}
    if shape.is_open:
        operation["security"] = []
    return operation


def _name(method: str, path: str) -> str:
    return "_".join([method.lower(), *re.findall(r"\w+", path.removeprefix("/v1"))])


def _parameters(path: str, shape: Shape) -> list[dict[str, Any]]:
    return [
        *(
            {"name": name, "in": "path", "required": True, "schema": TEXT}
            for name in _PARAMETER.findall(path)
        ),
        *(
            {"name": name, "in": "query", "required": name in shape.required_query, "schema": schema}
            for name, schema in shape.query.items()
        ),
        *(
            {"name": name, "in": "header", "required": True, "schema": schema}
            for name, schema in shape.headers.items()
        ),
    ]


def _responses(shape: Shape) -> dict[str, Any]:
    content = {kind: {"schema": shape.answer if kind == JSON else TEXT} for kind in shape.kinds}
    found: dict[str, Any] = {str(shape.status): {"description": "Done.", "content": content}}
    if shape.status == 201:
        found["200"] = {"description": "Done before, under the same key.", "content": content}
    errors = shape.errors if shape.is_open else (*shape.errors, 401, 403)
    for status in sorted(errors):
        schema = shape.answer if shape.is_open else ref("Error")
        found[str(status)] = {
            "description": _REASON[status], "content": {JSON: {"schema": schema}}
        }  # fmt: skip
    return found
