"""What a request says, in the OpenAI and the Anthropic dialect.

Only what a policy may ask for is read, and leniently: a field of a wrong type counts as absent, for judging
it is the vendor's business. Only what would be ambiguous or cannot be routed is refused.
"""

from __future__ import annotations

from typing import Any

from proxy.policy.facts import Endpoint
from proxy.wire.errors import RequestError
from proxy.wire.json_scan import Scan, ScanError, scan_object
from proxy.wire.parsed import ParsedRequest, checked_model, model_edit
from proxy.wire.prompt_text import count_prompt, decode

__all__ = ["ParsedRequest", "model_edit", "read_request"]

_READ_ONCE = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "user",
        "safety_identifier",
        "metadata",
        "tools",
        "functions",
        "messages",
        "prompt",
        "input",
        "instructions",
        "system",
        "previous_response_id",
    }
)
_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_INT64 = 2**63 - 1


def read_request(endpoint: Endpoint, body: bytes) -> ParsedRequest:
    """Read `body`. Raises RequestError (400) with what is wrong and where."""
    try:
        scan = scan_object(body)
        asks_usage = _asks_usage(scan)
    except ScanError as error:
        raise RequestError(400, "invalid_json", str(error)) from None
    twice = sorted(_READ_ONCE & scan.repeated)
    if twice:
        message = f"the key {twice[0]} stands twice in the body: which one is meant cannot be told"
        raise RequestError(400, "duplicate_key", message, param=twice[0])
    chars, images = count_prompt(endpoint, scan)
    metadata = _metadata(scan)
    if endpoint == "messages":
        _one_user(scan)
    return ParsedRequest(
        body=body,
        scan=scan,
        model=_model(scan),
        stream=scan.raw("stream") == b"true",
        asks_usage=asks_usage,
        max_tokens=_max_tokens(scan),
        prompt_chars=chars,
        has_tools=bool(_list(scan, "tools") or _list(scan, "functions")),
        has_images=images,
        user=metadata.get("user_id") if endpoint == "messages" else _string(scan, "user"),
        safety_identifier=_string(scan, "safety_identifier"),
        metadata=metadata,
        previous_response_id=_string(scan, "previous_response_id"),
    )


def _model(scan: Scan) -> str:
    if "model" not in scan.values:
        raise RequestError(400, "missing_model", "the body names no model: add a key model", param="model")
    model = _string(scan, "model")
    return checked_model(model or "")


def _value(scan: Scan, key: str) -> Any:
    raw = scan.raw(key)
    return None if raw is None else decode(raw)


def _string(scan: Scan, key: str) -> str | None:
    value = _value(scan, key)
    return value if isinstance(value, str) else None


def _list(scan: Scan, key: str) -> bool:
    """Whether `key` holds a list with something in it. Its items are not decoded."""
    raw = scan.raw(key)
    return raw is not None and raw[:1] == b"[" and raw[1:-1].strip() != b""


def _asks_usage(scan: Scan) -> bool:
    raw = scan.raw("stream_options")
    if raw is None or raw[:1] != b"{":
        return False
    inner = scan_object(raw)
    if "include_usage" in inner.repeated:
        raise ScanError("the key include_usage stands twice in stream_options")
    return inner.raw("include_usage") == b"true"


def _max_tokens(scan: Scan) -> int | None:
    for name in _LIMITS:
        if name in scan.values:
            value = _value(scan, name)
            if value is not None:
                return _whole(value)
    return None


def _whole(value: Any) -> int | None:
    """A whole number however it is written (5000.0 is one), cut to 64 bits: no spelling slips under a limit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return max(-_INT64, min(int(value), _INT64))


def _one_user(scan: Scan) -> None:
    """Raises RequestError (400) for a second `metadata.user_id`."""
    raw = scan.raw("metadata")
    if raw is not None and raw[:1] == b"{" and "user_id" in scan_object(raw).repeated:
        message = "the key user_id stands twice in metadata: which one is meant cannot be told"
        raise RequestError(400, "duplicate_key", message, param="metadata.user_id")


def _metadata(scan: Scan) -> dict[str, str]:
    value = _value(scan, "metadata")
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(name, str) and isinstance(text, str)}
