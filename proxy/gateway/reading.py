"""From the bytes of a request to what is asked for, on every route that names a model."""

from __future__ import annotations

import msgspec

from proxy.gateway.exchange import Exchange
from proxy.gateway.guard import Headers
from proxy.gateway.routes import model_of_deployment
from proxy.wire.chat import ParsedRequest, read_request
from proxy.wire.errors import RequestError
from proxy.wire.json_scan import ScanError, Span, scan_object, set_model, splice


def header_text(headers: Headers, wanted: bytes) -> str:
    """The first header of that name; "" when there is none."""
    for name, value in headers:
        if name == wanted:
            return value.decode("latin-1")
    return ""


def check_content_type(exchange: Exchange) -> None:
    """Raises RequestError (415) for a body that this path does not take. Done before the body is read."""
    if header_text(exchange.headers, b"content-type")[:10].lower() == "multipart/":
        raise RequestError(415, "unsupported_content_type", "this path takes a JSON body")


def read_inference(exchange: Exchange, deployment: str | None, body: bytes) -> ParsedRequest:
    """What `body` asks for. Raises RequestError (400).

    `deployment`: on Azure's paths the model stands in the path, whatever the body says.
    """
    if deployment is not None:
        body = _with_model(exchange, deployment, body)
    return read_request(exchange.endpoint, body)


def _with_model(exchange: Exchange, deployment: str, body: bytes) -> bytes:
    targets = exchange.snapshot.routes.targets if exchange.snapshot is not None else ()
    model = model_of_deployment(targets, deployment)
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
