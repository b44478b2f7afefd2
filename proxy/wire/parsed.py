"""A request that was read, from a JSON body or from a form."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from proxy.wire.errors import RequestError
from proxy.wire.json_scan import Scan, Span, set_model

_MODEL_LIMIT = 256


@dataclass(frozen=True, slots=True)
class FormModel:
    """Where the model of a form is to be written, and what has to stand around it."""

    span: Span
    head: bytes = b""
    tail: bytes = b""

    def edit(self, name: str) -> tuple[Span, bytes]:
        """The edit that writes `name`. Raises RequestError (400) for one that a form cannot hold."""
        if not name.isprintable():
            message = "the name of the model holds characters that a form cannot hold"
            raise RequestError(400, "invalid_model", message, param="model")
        return self.span, self.head + name.encode() + self.tail


class ParsedRequest(msgspec.Struct, frozen=True):
    """A request body, read once."""

    body: bytes
    scan: Scan
    model: str
    stream: bool = False
    asks_usage: bool = False
    """Whether the client itself asked for the usage frame of a stream."""
    max_tokens: int | None = None
    prompt_chars: int | None = None
    has_tools: bool = False
    has_images: bool = False
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    previous_response_id: str | None = None
    """The stored response that this one goes on from (responses)."""
    form_model: FormModel | None = None
    """None: the body is JSON."""


def checked_model(name: str) -> str:
    """`name`, if it can be that of a model. Raises RequestError (400)."""
    if not name:
        message = "model must be the name of a model, as a string"
        raise RequestError(400, "invalid_model", message, param="model")
    if len(name) > _MODEL_LIMIT:
        message = f"the name of the model is longer than {_MODEL_LIMIT} characters"
        raise RequestError(400, "invalid_model", message, param="model")
    return name


def model_edit(parsed: ParsedRequest, name: str) -> tuple[Span, bytes]:
    """The edit of the body that names another model, for JSON and forms alike (see `json_scan.splice`).

    Raises RequestError (400) for a name that a form cannot hold.
    """
    return parsed.form_model.edit(name) if parsed.form_model is not None else set_model(parsed.scan, name)
