"""The two names of the limit of an answer in OpenAI's chat dialect, and upstreams that take only one of them.

Newer models refuse `max_tokens` (400, code `unsupported_parameter`, param `max_tokens`); older servers do not know
`max_completion_tokens` ("Unrecognized request argument supplied"). Names of models and deployments do not always
tell which is which, so the refusal does.
"""

from __future__ import annotations

import re

import msgspec

from proxy.wire.json_scan import ScanError, Span, scan_object, splice

OTHER = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_NAME = re.compile(r"max_completion_tokens|max_tokens")
_REFUSES = re.compile(
    r"unsupported.{0,10}parameter|unrecognized request argument|extra inputs are not permitted", re.IGNORECASE
)


class _Error(msgspec.Struct):
    message: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Body(msgspec.Struct):
    error: _Error


_BODY = msgspec.json.Decoder(_Body)


def refused_name(answer: bytes) -> str | None:
    """Which of the two names an error body refuses; None when it is about something else."""
    try:
        error = _BODY.decode(answer).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    message = error.message or ""
    if error.code != "unsupported_parameter" and not _REFUSES.search(message):
        return None
    if error.param in OTHER:
        return error.param
    # The first one is refused; one behind it is what the vendor recommends.
    found = _NAME.search(message)
    return found.group() if found is not None else None


def with_limit_name(body: bytes, wanted: str) -> bytes:
    """A request body whose limit has the name `wanted`; as it was when it has none, or has both."""
    try:
        scan = scan_object(body)
    except ScanError:
        return body
    old = OTHER[wanted]
    if old not in scan.values or wanted in scan.values or old in scan.repeated:
        return body
    # Between a key and its value stand only blanks and the colon, and no spelling of these keys has a quote in it.
    end = body.rindex(b'"', 0, scan.values[old].start)
    start = body.rindex(b'"', 0, end)
    return splice(body, [(Span(start + 1, end), wanted.encode())])
