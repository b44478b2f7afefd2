"""A request of the Anthropic messages dialect as an OpenAI chat request.

What cannot be carried and changes only how the answer is made is dropped and named; what would change what is
asked is refused. Field meanings: the vendors' references of `POST /v1/messages` and of
`POST /v1/chat/completions`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from proxy.wire.chat import ParsedRequest
from proxy.wire.errors import RequestError
from proxy.wire.messages_turns import Block, Turn, Turns
from proxy.wire.openai_models import reasons
from proxy.wire.translation import Translated

_STOPS = 4
"""Stop sequences that a chat request may have."""
_LONGEST_USER = 64
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_BUDGETS = ((4_096, "low"), (16_384, "medium"))
"""Up to so many tokens to think with, that effort; beyond, high. Our choice: the vendors name no equivalence."""
_TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})


class _Body(msgspec.Struct):
    """The request, in so far as it is carried. What else it holds is found by name."""

    messages: list[Turn]
    system: str | list[Block] | None = None
    max_tokens: int | float | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[dict[str, msgspec.Raw]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_CARRIED = frozenset(_Body.__struct_fields__) | {"model"}


def chat_request(
    parsed: ParsedRequest, model: str, *, known_as: str = "", ask_usage: bool = True
) -> Translated:
    """The request for `model`. Raises RequestError (400) for what must not be dropped.

    `known_as`: another name of it, which may tell what `model`, the name of a deployment, does not.
    `ask_usage`: ask for the usage of a stream; False for an upstream that refuses `stream_options`.
    """
    try:
        body = _BODY.decode(parsed.body)
    except msgspec.ValidationError as error:
        raise RequestError(400, "invalid_request", _sentence(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestError(400, "invalid_json", "the body is not valid JSON") from None
    return _Translation(parsed, body, model, reasons(model) or reasons(known_as)).whole(ask_usage)


def _sentence(error: msgspec.ValidationError) -> str:
    """Like `messages[0].content: expected str, got int`."""
    what, _, where = str(error).partition(" - at `$")
    what = what.replace("`", "").replace("Object", "an object").replace("Expected", "expected")
    return f"{where.rstrip('`').removeprefix('.') or 'the body'}: {what}"


class _Translation:
    """One request on its way; `_dropped` fills as it goes."""

    def __init__(self, parsed: ParsedRequest, body: _Body, model: str, reasoning: bool) -> None:
        self._parsed = parsed
        self._body = body
        self._reasons = reasoning
        self._dropped: dict[str, None] = {}
        self._out: dict[str, Any] = {"model": model}

    def whole(self, ask_usage: bool) -> Translated:
        body, out = self._body, self._out
        turns = Turns()
        system = turns.system(body.system) if body.system is not None else []
        out["messages"] = system + turns.messages(body.messages)
        self._dropped |= turns.dropped
        if body.stream:
            out["stream"] = True
            if ask_usage:
                out["stream_options"] = {"include_usage": True}
        if body.max_tokens is not None:
            out["max_completion_tokens" if self._reasons else "max_tokens"] = int(body.max_tokens)
        self._sampling()
        self._stops()
        self._tools()
        self._effort()
        self._form()
        self._identity()
        for name, span in self._parsed.scan.values.items():
            if name not in _CARRIED and self._parsed.body[span.start : span.end] not in (
                b"null",
                b"[]",
                b"{}",
            ):
                self._dropped[name] = None
        return Translated(msgspec.json.encode(out), tuple(self._dropped))

    def _sampling(self) -> None:
        for name, value in (("temperature", self._body.temperature), ("top_p", self._body.top_p)):
            if value is None:
                continue
            if not self._reasons:
                self._out[name] = value
            elif value != 1:
                self._dropped[name] = None

    def _stops(self) -> None:
        stops = self._body.stop_sequences or []
        if self._reasons and stops:
            self._dropped["stop_sequences"] = None
        elif stops:
            self._out["stop"] = stops[:_STOPS]
            if len(stops) > _STOPS:
                self._dropped[f"stop_sequences[{_STOPS}:]"] = None

    # Tools.

    def _tools(self) -> None:
        tools = [self._tool(number, tool) for number, tool in enumerate(self._body.tools or [])]
        functions = [tool for tool in tools if tool is not None]
        if functions:
            self._out["tools"] = functions
        choice = self._body.tool_choice
        if choice is not None:
            self._choice(choice, {tool["function"]["name"] for tool in functions})

    def _tool(self, number: int, tool: dict[str, msgspec.Raw]) -> dict[str, Any] | None:
        """None for a tool that runs at Anthropic, or whose form only its models know."""
        name, kind = _plain(tool.get("name")), _plain(tool.get("type"))
        if kind not in (None, "custom"):
            self._dropped[f"tools.{kind}"[:64]] = None
            return None
        if not isinstance(name, str) or not name:
            raise RequestError(400, "invalid_request", f"tools[{number}]: a tool needs a name", param="tools")
        for field in tool:
            if field == "cache_control" or field not in _TOOL_FIELDS:
                self._dropped[field if field == "cache_control" else f"tools.{field}"] = None
        function: dict[str, Any] = {"name": name}
        if isinstance(description := _plain(tool.get("description")), str) and description:
            function["description"] = description
        function["parameters"] = _parameters(tool.get("input_schema"))
        if isinstance(strict := _plain(tool.get("strict")), bool):
            function["strict"] = strict
        return {"type": "function", "function": function}

    def _choice(self, choice: dict[str, Any], names: set[str]) -> None:
        kind, name = choice.get("type"), choice.get("name")
        if kind == "tool" and (not isinstance(name, str) or name not in names):
            message = (
                f"tool_choice names {name!r:.80}, which is no tool that can be given to an OpenAI upstream"
            )
            raise RequestError(400, "not_translatable", message, param="tool_choice")
        if kind not in ("auto", "any", "none", "tool"):
            message = f"tool_choice.type must be auto, any, tool or none, not {kind!r:.40}"
            raise RequestError(400, "invalid_request", message, param="tool_choice")
        if not names:
            return  # a choice without tools is an error to OpenAI, and says nothing
        named = {"type": "function", "function": {"name": name}}
        self._out["tool_choice"] = {"auto": "auto", "any": "required", "none": "none"}.get(kind, named)
        if choice.get("disable_parallel_tool_use") is True:
            self._out["parallel_tool_calls"] = False

    # How hard to think, what form to answer in, who asks.

    def _effort(self) -> None:
        config, thinking = self._body.output_config or {}, self._body.thinking or {}
        wanted = config.get("effort")
        effort = _EFFORTS.get(wanted) if isinstance(wanted, str) else None
        if thinking.get("type") == "enabled":
            effort = effort or _effort_of(thinking.get("budget_tokens"))
        if self._reasons:
            if effort is not None:
                self._out["reasoning_effort"] = effort
            return
        if thinking.get("type") in ("enabled", "adaptive"):
            self._dropped["thinking"] = None
        if wanted is not None:
            self._dropped["output_config.effort"] = None

    def _form(self) -> None:
        config = self._body.output_config or {}
        form = config.get("format") or self._body.output_format
        for name in config:
            if name not in ("effort", "format"):
                self._dropped[f"output_config.{name}"[:64]] = None
        if not form:
            return
        schema = form.get("schema") if isinstance(form, dict) else None
        if not isinstance(schema, dict) or form.get("type") != "json_schema":
            message = "output_config.format must be a json_schema with a schema"
            raise RequestError(400, "not_translatable", message, param="output_config.format")
        named = {"name": "answer", "schema": schema, "strict": fits_strict(schema)}
        self._out["response_format"] = {"type": "json_schema", "json_schema": named}

    def _identity(self) -> None:
        metadata = self._body.metadata or {}
        user = metadata.get("user_id")
        if isinstance(user, str) and user:
            self._out["user"] = _short(user)
        for name in metadata:
            if name != "user_id":
                self._dropped[f"metadata.{name}"[:64]] = None
        if self._body.service_tier == "standard_only":
            self._out["service_tier"] = "default"


def _plain(raw: msgspec.Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


def _parameters(raw: msgspec.Raw | None) -> Any:
    """The schema byte for byte, but for `properties`, which OpenAI demands of an object."""
    if raw is None:
        return {"type": "object", "properties": {}}
    schema = msgspec.json.decode(raw)
    if isinstance(schema, dict) and schema.get("type") == "object" and "properties" not in schema:
        return {**schema, "properties": {}}
    return raw


def _effort_of(budget: object) -> str:
    if not isinstance(budget, int | float):
        return "medium"
    return next((effort for most, effort in _BUDGETS if budget <= most), "high")


def _short(user: str) -> str:
    """`user` within OpenAI's 64 characters: a longer one as its SHA-256, so that two users stay two."""
    return user if len(user) <= _LONGEST_USER else hashlib.sha256(user.encode()).hexdigest()


def fits_strict(schema: object) -> bool:
    """Whether OpenAI takes `schema` as strict: every object closed, with all its properties required.

    Source: the vendor's guide to structured outputs, supported schemas.
    """
    if isinstance(schema, list):
        return all(fits_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        names = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        listed = required if isinstance(required, list) else []
        if schema.get("additionalProperties") is not False or any(name not in listed for name in names):
            return False
        return all(fits_strict(inner) for inner in names.values()) and _rest_fits(schema)
    return _rest_fits(schema)


def _rest_fits(schema: dict[str, Any]) -> bool:
    if "oneOf" in schema or "allOf" in schema:
        return False
    inner = ("items", "anyOf", "prefixItems")
    shared = [schema[name] for name in ("$defs", "definitions") if isinstance(schema.get(name), dict)]
    kept = all(fits_strict(list(table.values())) for table in shared)
    return kept and all(fits_strict(schema[name]) for name in inner if name in schema)
