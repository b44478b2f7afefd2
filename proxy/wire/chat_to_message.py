"""A whole answer of an OpenAI chat as an Anthropic message, and errors of the one dialect in the other.

Field meanings: the vendors' references of the chat completion object and of the Message object.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.wire.chat import ParsedRequest
from proxy.wire.errors import ReportedError, anthropic_error_body, anthropic_kind
from proxy.wire.translation import WholeAnswer
from proxy.wire.usage import Usage, openai_usage

_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_ARGUMENTS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Function(msgspec.Struct):
    """The function of a tool call; in a stream a part of it."""

    name: Any = None
    arguments: Any = None


class ToolCall(msgspec.Struct):
    """A tool call; in a stream a part of it."""

    index: Any = None
    id: Any = None
    function: Function | None = None


class Said(msgspec.Struct):
    """What the model said: the message of a whole answer, or the delta of a stream."""

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct):
    """One choice of an answer or a chunk."""

    index: Any = None
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    """The stop sequence that ended it, where a server says so (vLLM does)."""


class Completion(msgspec.Struct):
    """A whole answer or a chunk."""

    id: Any = None
    model: Any = None
    choices: list[Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_COMPLETION = msgspec.json.Decoder(Completion)


def read_completion(data: bytes) -> Completion | None:
    """The completion or chunk in `data`; None when it is none."""
    try:
        return _COMPLETION.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def wants_thinking(parsed: ParsedRequest) -> bool:
    """Whether the client asked to see thinking: others are not given blocks that they do not expect."""
    raw = parsed.scan.raw("thinking")
    value = None if raw is None else msgspec.json.decode(raw)
    return isinstance(value, dict) and value.get("type") in ("enabled", "adaptive")


def message(parsed: ParsedRequest, body: bytes) -> WholeAnswer:
    """The answer with status 200 as a Message; what is no completion becomes an error (502)."""
    completion = read_completion(body)
    choices = completion.choices or [] if completion is not None else []
    choice = next((one for one in choices if one.index in (None, 0)), None)
    if completion is None or choice is None or choice.message is None:
        return message_error(502, body)
    said = choice.message
    blocks: list[dict[str, Any]] = []
    if wants_thinking(parsed) and (thought := reasoning_of(said)):
        blocks.append({"type": "thinking", "thinking": thought, "signature": ""})
    refusal = text_of(said.refusal)
    if words := text_of(said.content) + refusal:
        blocks.append({"type": "text", "text": words})
    made_by = identifier(completion.id, body)
    calls = [_tool_use(call, made_by, number) for number, call in enumerate(said.tool_calls or [])]
    blocks += calls
    usage = openai_usage(completion.usage) if completion.usage else None
    model = completion.model if isinstance(completion.model, str) and completion.model else None
    reason = stop_reason(choice.finish_reason, tools=bool(calls), refused=bool(refusal))
    value: dict[str, Any] = {
        "id": made_by,
        "type": "message",
        "role": "assistant",
        "model": model or parsed.model,
        "content": blocks,
        **stopped(reason, choice.stop_reason),
        "usage": anthropic_figures(usage),
    }
    return WholeAnswer(200, msgspec.json.encode(value), usage, choice.finish_reason, model)


def identifier(given: object, body: bytes) -> str:
    """The vendor's id of the answer; without one, a digest of `body`."""
    if isinstance(given, str) and given:
        return given
    return "msg_" + hashlib.blake2b(body, digest_size=12).hexdigest()


def text_of(content: object) -> str:
    """The text of a content, which some servers give as parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def reasoning_of(said: Said) -> str:
    """The reasoning: `reasoning_content` (DeepSeek, vLLM) or `reasoning` (OpenRouter)."""
    return text_of(said.reasoning_content) or text_of(said.reasoning)


def stop_reason(finish: str | None, *, tools: bool, refused: bool) -> str:
    """Anthropic's reason for OpenAI's.

    Some servers say `stop` behind tool calls, and a refusal ends with `stop` too. What is not known is the
    end of a turn.
    """
    if refused:
        return "refusal"
    reason = _STOPS.get(finish or "stop", "end_turn")
    if reason == "end_turn" and tools:
        return "tool_use"
    return "end_turn" if reason == "tool_use" and not tools else reason


def stopped(reason: str, sequence: object) -> dict[str, str | None]:
    """The two fields that say why the answer ended; `sequence`: the stop sequence, where the server tells it."""
    if reason == "end_turn" and isinstance(sequence, str) and sequence:
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    return {"stop_reason": reason, "stop_sequence": None}


def anthropic_figures(usage: Usage | None) -> dict[str, Any]:
    """`usage` as Anthropic counts: cached input beside `input_tokens`. The dialect has no unknown: it is 0."""
    found = usage or Usage()
    read, written = found.cached_tokens or 0, found.cache_write_tokens or 0
    figures: dict[str, Any] = {
        "input_tokens": max(0, (found.input_tokens or 0) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": found.output_tokens or 0,
    }
    if found.reasoning_tokens is not None:
        figures["output_tokens_details"] = {"thinking_tokens": found.reasoning_tokens}
    return figures


def _tool_use(call: ToolCall, made_by: str, number: int) -> dict[str, Any]:
    function = call.function or Function()
    return {
        "type": "tool_use",
        "id": call_id(call, made_by, number),
        "name": function.name if isinstance(function.name, str) else "",
        "input": _input(arguments_of(function)),
    }


def call_id(call: ToolCall, made_by: str, number: int) -> str:
    """The id of a tool call; without one, one that is the call's own."""
    return call.id if isinstance(call.id, str) and call.id else f"call_{made_by}_{number}"


def arguments_of(function: Function) -> str:
    """The arguments as text; some servers give them as an object."""
    given = function.arguments
    if given is None or isinstance(given, str):
        return given or ""
    return msgspec.json.encode(given).decode()


def is_object(arguments: str) -> bool:
    """Whether the text is one JSON object."""
    try:
        _ARGUMENTS.decode(arguments)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return False
    return True


def _input(arguments: str) -> Any:
    """The arguments as the object they are, byte for byte.

    Arguments that were cut off or are wrong stand under INVALID_JSON, the form that Anthropic's guide to
    fine-grained tool streaming gives them.
    """
    if not arguments.strip() or arguments.strip() == "null":
        return {}
    return msgspec.Raw(arguments.encode()) if is_object(arguments) else {"INVALID_JSON": arguments}


# Errors.

_KINDS = {
    "overloaded": "overloaded_error",
    "overloaded_error": "overloaded_error",
    "server_overloaded": "overloaded_error",
    "engine_overloaded": "overloaded_error",
    "slow_down": "overloaded_error",
    "rate_limit_exceeded": "rate_limit_error",
    "rate_limit_error": "rate_limit_error",
    "insufficient_quota": "rate_limit_error",
    "invalid_request_error": "invalid_request_error",
    "context_length_exceeded": "invalid_request_error",
    "content_filter": "invalid_request_error",
}
"""By the words of OpenAI and its kin."""
_SAYS_MORE = frozenset({500, 502, 503})
"""Statuses beside which the word tells the kind better."""


def message_error(status: int, body: bytes) -> WholeAnswer:
    """An error of an OpenAI upstream in Anthropic's dialect; the status stays.

    `code`, `param` and Azure's `innererror` stand beside `type` and `message`, where the upstream gave them.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = None
    found = value.get("error") if isinstance(value, dict) else None
    error: dict[str, Any] = found if isinstance(found, dict) else {}
    text = found if isinstance(found, str) else error.get("message")
    if not isinstance(text, str) or not text:
        text = _SILENT if status != 502 or error else _NO_ANSWER
    words = [word for word in (error.get("code"), error.get("type")) if isinstance(word, str)]
    kind = _kind(status, words, error.get("code"))
    extra = {name: error[name] for name in ("code", "param", "innererror") if error.get(name) is not None}
    reported = ReportedError(words[0] if words else kind, text)
    return WholeAnswer(status, anthropic_error_body(kind, text, extra=extra), error=reported)


_SILENT = "the upstream answered with an error and said nothing about it"
_NO_ANSWER = "what the upstream sent is no chat completion"


def _kind(status: int, words: Iterable[str], code: object) -> str:
    if status not in _SAYS_MORE:
        return anthropic_kind(status)
    if isinstance(code, int) and 400 <= code <= 599:
        return anthropic_kind(code)
    return next((_KINDS[word] for word in words if word in _KINDS), anthropic_kind(status))
