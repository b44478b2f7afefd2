"""From the bytes of a request to what is asked for, on every route that names a model."""

from __future__ import annotations

import msgspec

from proxy.gateway.exchange import Exchange
from proxy.gateway.guard import Headers
from proxy.gateway.routes import MULTIPART, model_of_deployment
from proxy.wire.chat import ParsedRequest, read_request
from proxy.wire.errors import RequestError
from proxy.wire.json_scan import ScanError, Span, scan_object, set_model, splice
from proxy.wire.multipart import read_form


def header_text(headers: Headers, wanted: bytes) -> str:
    """The first header of that name; "" when there is none."""
    for name, value in headers:
        if name == wanted:
            return value.decode("latin-1")
    return ""


def check_content_type(exchange: Exchange) -> None:
    """Raises RequestError (415) for a body that this path does not take. Done before the body is read."""
    given = header_text(exchange.headers, b"content-type")
    if given[:10].lower() == "multipart/":
        if exchange.path not in MULTIPART:
            raise RequestError(415, "unsupported_content_type", "this path takes a JSON body")
        exchange.content_type = given


def read_inference(exchange: Exchange, deployment: str | None, body: bytes) -> ParsedRequest:
    """What `body` asks for. Raises RequestError (400).

    `deployment`: on Azure's paths the model stands in the path, whatever the body says.
    """
    is_form = exchange.content_type[:10].lower() == "multipart/"
    if deployment is not None:
        targets = exchange.snapshot.routes.targets if exchange.snapshot is not None else ()
        deployment = model_of_deployment(targets, deployment)
    if is_form:
        return read_form(exchange.endpoint, exchange.content_type, body, deployment)
    if deployment is not None:
        body = _with_model(deployment, body)
    return read_request(exchange.endpoint, body)


def _with_model(model: str, body: bytes) -> bytes:
    try:
        scan = scan_object(body)
    except ScanError as error:
        raise RequestError(400, "invalid_json", str(error)) from None
    if "model" in scan.values:
        return splice(body, [set_model(scan, model)])
    place = Span(scan.open, scan.open)
    comma = b"," if scan.values else b""
    return splice(body, [(place, b'"model":' + _quoted(model) + comma)])


def _quoted(text: str) -> bytes:
    return msgspec.json.encode(text)
