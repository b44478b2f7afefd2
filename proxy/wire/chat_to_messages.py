"""A chat request of OpenAI's as an Anthropic messages request.

System and developer messages, wherever they stand, become the system prompt in their order: the other dialect
has no place for them between turns. What cannot be carried and changes only how the answer is made is dropped
and named; what would change what is asked is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.wire.chat import ParsedRequest
from proxy.wire.chat_turns import JSON_TOOL, turns
from proxy.wire.claude_models import (
    can_think,
    default_max_tokens,
    structures_output,
    takes_one_sampling,
)
from proxy.wire.errors import RequestError
from proxy.wire.json_values import dump, items, load_object, mapping, text
from proxy.wire.translation import Translated

_CARRIED = frozenset(
    {
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p",
        "top_k", "stop", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort",
        "thinking", "user", "safety_identifier", "service_tier", "functions", "function_call",
    }
)  # fmt: skip
_SAYS_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "store": (False,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
}
"""Values that mean what the other dialect does anyway."""
_BUDGETS = {"low": 1_024, "medium": 4_096, "high": 16_384, "xhigh": 32_768}
"""Tokens to think with, by effort. The least that is taken is 1024."""
_LEAST_BUDGET = 1_024
_LONGEST_USER = 256
_OPEN_OBJECT = {"type": "object", "properties": {}}


def messages_request(parsed: ParsedRequest, model: str) -> Translated:
    """The request for `model`. Raises RequestError (400) for what must not be dropped."""
    request = load_object(parsed.body)
    if request is None:
        raise RequestError(400, "invalid_json", "the body is not a JSON object")
    return _Translation(request, model).whole()


class _Translation:
    """One request on its way; `dropped` fills as it goes."""

    def __init__(self, request: dict[str, Any], model: str) -> None:
        self._request = request
        self._model = model
        self._out: dict[str, Any] = {"model": model}
        self._dropped: list[str] = []
        self._json_tool = False

    def whole(self) -> Translated:
        if self._request.get("functions") or self._request.get("function_call"):
            raise _refused(
                "functions", "functions is the old form that this model's vendor lacks; send tools"
            )
        system, messages, dropped = turns(items(self._request, "messages"))
        self._dropped += dropped
        filled = self._limit()
        if system:
            self._out["system"] = system
        self._out["messages"] = messages
        if self._request.get("stream") is True:
            self._out["stream"] = True
        self._stops()
        self._tools()
        self._form()
        self._thinking()
        self._sampling()
        self._identity()
        self._rest()
        return Translated(dump(self._out), tuple(dict.fromkeys(self._dropped)), self._json_tool, filled)

    def _limit(self) -> int | None:
        """`max_tokens`; returns the limit that had to be filled in."""
        for name in ("max_completion_tokens", "max_tokens"):
            value = self._request.get(name)
            if value is not None:
                self._out["max_tokens"] = value
                return None
        self._out["max_tokens"] = default_max_tokens(self._model)
        return int(self._out["max_tokens"])

    def _stops(self) -> None:
        stop = self._request.get("stop")
        wanted = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
        # The vendor refuses stops of white space alone.
        kept = [sequence for sequence in wanted if isinstance(sequence, str) and sequence.strip()]
        if len(kept) < len(wanted):
            self._dropped.append("stop")
        if kept:
            self._out["stop_sequences"] = kept

    # Tools.

    def _tools(self) -> None:
        tools = [self._tool(number, tool) for number, tool in enumerate(items(self._request, "tools"))]
        choice = self._request.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
            allowed = mapping(choice, "allowed_tools") or choice
            names = {text(mapping(tool, "function"), "name") for tool in items(allowed, "tools")}
            tools = [tool for tool in tools if tool["name"] in names]
            choice = allowed.get("mode", "auto")
        if not tools:
            return
        self._out["tools"] = tools
        said = self._choice(choice)
        if self._request.get("parallel_tool_calls") is False:
            said = said or {"type": "auto"}
            if said["type"] != "none":
                said["disable_parallel_tool_use"] = True
        if said is not None:
            self._out["tool_choice"] = said

    def _tool(self, number: int, tool: Any) -> dict[str, Any]:
        kind = text(tool, "type") or "function"
        function = mapping(tool, "function")
        if kind != "function" or not text(function, "name"):
            raise _refused(f"tools[{number}]", f"a tool of type {kind!r} cannot be given to this model")
        made: dict[str, Any] = {"name": function["name"]}
        if text(function, "description"):
            made["description"] = function["description"]
        schema = function.get("parameters")
        made["input_schema"] = {"type": "object", **schema} if isinstance(schema, dict) else _OPEN_OBJECT
        if isinstance(tool, dict) and isinstance(tool.get("cache_control"), dict):
            made["cache_control"] = tool["cache_control"]
        if function.get("strict") is True:
            self._dropped.append("tools.strict")
        return made

    @staticmethod
    def _choice(choice: Any) -> dict[str, Any] | None:
        if choice is None:
            return None
        if isinstance(choice, str) and choice in ("auto", "none", "required"):
            return {"type": {"required": "any"}.get(choice, choice)}
        name = text(mapping(choice, "function"), "name")
        if name:
            return {"type": "tool", "name": name}
        raise _refused("tool_choice", "tool_choice must be auto, none, required or name a function")

    # The form of the answer.

    def _form(self) -> None:
        wanted = mapping(self._request, "response_format")
        kind = text(wanted, "type")
        if kind in ("", "text"):
            return
        if kind not in ("json_schema", "json_object"):
            raise _refused("response_format", f"response_format {kind!r} cannot be carried to this model")
        given = mapping(wanted, "json_schema")
        schema = given.get("schema") if kind == "json_schema" else None
        if isinstance(schema, dict) and given.get("strict") is True and structures_output(self._model):
            self._out["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        elif self._out.get("tools"):
            # Forcing a tool of ours would keep the model from calling the client's.
            self._dropped.append("response_format")
        else:
            self._json_tool = True
            shape = schema if isinstance(schema, dict) else _OPEN_OBJECT
            self._out["tools"] = [
                {
                    "name": JSON_TOOL,
                    "description": text(given, "description")
                    or "Gives the answer in the form that is wanted.",
                    "input_schema": {"type": "object", **shape},
                }
            ]
            self._out["tool_choice"] = {"type": "tool", "name": JSON_TOOL}

    # How the model works.

    def _thinking(self) -> None:
        given = self._request.get("thinking")
        effort = self._request.get("reasoning_effort")
        if isinstance(given, dict):
            self._out["thinking"] = given
        elif isinstance(effort, str) and effort not in ("none", "minimal"):
            budget = self._budget(effort)
            if budget is None:
                self._dropped.append("reasoning_effort")
            else:
                self._out["thinking"] = {"type": "enabled", "budget_tokens": budget}

    def _budget(self, effort: str) -> int | None:
        """Tokens to think with; None where the vendor would refuse the request for it."""
        wanted, limit = _BUDGETS.get(effort), self._out["max_tokens"]
        forced = mapping(self._out, "tool_choice").get("type") in ("any", "tool")
        if wanted is None or forced or not can_think(self._model) or _unthinking_tool_turn(self._out):
            return None
        if not isinstance(limit, int) or limit <= _LEAST_BUDGET:
            return None
        return min(wanted, limit - 1)

    def _sampling(self) -> None:
        temperature, top_p = self._request.get("temperature"), self._request.get("top_p")
        thinks = mapping(self._out, "thinking").get("type") == "enabled"
        if isinstance(temperature, int | float) and not isinstance(temperature, bool):
            if thinks:
                self._drop_unless("temperature", temperature == 1)
            else:
                self._drop_unless("temperature", temperature <= 1)
                self._out["temperature"] = min(temperature, 1)
        if top_p is not None:
            excluded = "temperature" in self._out and takes_one_sampling(self._model)
            if (thinks and not _at_least(top_p, 0.95)) or (excluded and top_p != 1):
                self._dropped.append("top_p")
            elif not excluded:
                self._out["top_p"] = top_p
        if self._request.get("top_k") is not None:
            if thinks:
                self._dropped.append("top_k")
            else:
                self._out["top_k"] = self._request["top_k"]

    def _drop_unless(self, name: str, carried: bool) -> None:
        if not carried:
            self._dropped.append(name)

    def _identity(self) -> None:
        for name in ("safety_identifier", "user"):
            value = text(self._request, name)
            if value and len(value) <= _LONGEST_USER:
                self._out["metadata"] = {"user_id": value}
                break
            self._drop_unless(name, not value)
        tier = self._request.get("service_tier")
        if tier in ("auto", "default"):
            self._out["service_tier"] = "auto" if tier == "auto" else "standard_only"
        else:
            self._drop_unless("service_tier", tier is None)

    def _rest(self) -> None:
        for name, value in self._request.items():
            if name not in _CARRIED and value is not None and value not in _SAYS_NOTHING.get(name, ()):
                self._dropped.append(name)


def _unthinking_tool_turn(out: dict[str, Any]) -> bool:
    """Whether a tool was called in the turn under way without thinking before it: the vendor then refuses thinking."""
    messages = out["messages"]
    for message in reversed(messages):
        kinds = [block["type"] for block in message["content"]]
        if message["role"] == "user" and "tool_result" not in kinds:
            return False
        if message["role"] == "assistant" and "tool_use" in kinds:
            return "thinking" not in kinds and "redacted_thinking" not in kinds
    return False


def _at_least(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and value >= least


def _refused(param: str, message: str) -> RequestError:
    return RequestError(400, "unsupported_parameter", message, param=param)
