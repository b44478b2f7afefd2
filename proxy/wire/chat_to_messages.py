"""A chat request of OpenAI's as an Anthropic messages request.

System and developer messages, wherever they stand, become the system prompt in their order: the other dialect
has no place for them between turns. What cannot be carried and changes only how the answer is made is dropped
and named; what would change what is asked is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.base.sanitise import sanitise
from proxy.wire import claude_models
from proxy.wire.chat import ParsedRequest
from proxy.wire.chat_turns import JSON_TOOL, turns
from proxy.wire.closed_schema import closed_schema
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
_SAMPLING = ("temperature", "top_p", "top_k")
_BUDGETS = {"low": 1_024, "medium": 4_096, "high": 16_384, "xhigh": 32_768, "max": 32_768}
"""Tokens to think with, by effort. The least that is taken is 1024."""
_NO_EFFORT = ("none", "minimal")
_LEAST_BUDGET = 1_024
_LONGEST_USER = 256
_MOST_STRICT_TOOLS = 20
"""More strict tools in one request are refused by the vendor."""
_OPEN_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}


def messages_request(parsed: ParsedRequest, model: str) -> Translated:
    """The request for `model`. Raises RequestError (400) for what must not be dropped."""
    request = load_object(parsed.body)
    if request is None:
        raise RequestError(400, "invalid_json", "the body is not a JSON object")
    try:
        return _Translation(request, model).whole()
    except RecursionError:
        raise RequestError(400, "invalid_json", "the body is nested too deeply") from None


class _Translation:
    """One request on its way; `dropped` fills as it goes."""

    def __init__(self, request: dict[str, Any], model: str) -> None:
        self._request = request
        self._model = model
        self._out: dict[str, Any] = {"model": model}
        self._dropped: list[str] = []
        self._json_tool = False
        self._strict = claude_models.structures_output(model)

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
        self._out["max_tokens"] = claude_models.default_max_tokens(self._model)
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
        given = items(self._request, "tools")
        self._strict = self._strict and len(given) <= _MOST_STRICT_TOOLS
        tools = [self._tool(number, tool) for number, tool in enumerate(given)]
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
            message = (
                f"a tool of type '{sanitise(kind, 80)}' cannot be given to this model, or it has no name"
            )
            raise _refused(f"tools[{number}]", message)
        made: dict[str, Any] = {"name": function["name"]}
        if text(function, "description"):
            made["description"] = function["description"]
        schema = function.get("parameters")
        made["input_schema"] = {"type": "object", **schema} if isinstance(schema, dict) else _OPEN_OBJECT
        if isinstance(tool, dict) and isinstance(tool.get("cache_control"), dict):
            made["cache_control"] = tool["cache_control"]
        if function.get("strict") is True:
            closed = closed_schema(made["input_schema"]) if self._strict else None
            if closed is None:
                self._dropped.append("tools.strict")
            else:
                made |= {"input_schema": closed, "strict": True}
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
            message = f"response_format '{sanitise(kind, 80)}' cannot be carried to this model"
            raise _refused("response_format", message)
        given = mapping(wanted, "json_schema")
        schema = given.get("schema") if kind == "json_schema" else None
        native = claude_models.structures_output(self._model) and isinstance(schema, dict)
        closed = closed_schema(schema) if native and isinstance(schema, dict) else None
        if closed is not None:
            self._out["output_config"] = {"format": {"type": "json_schema", "schema": closed}}
        elif self._out.get("tools") or self._cannot_force():
            # Forcing a tool of ours would keep the model from calling the client's.
            self._ask_by_words(schema)
        else:
            self._ask_by_tool(
                schema if isinstance(schema, dict) else _OPEN_OBJECT, text(given, "description")
            )

    def _cannot_force(self) -> bool:
        """Whether a forced call would be refused: by the model as such, or beside the thinking that is asked for."""
        thinks = mapping(self._request, "thinking").get("type") in ("enabled", "adaptive")
        return thinks or not claude_models.can_be_forced(self._model)

    def _ask_by_words(self, schema: Any) -> None:
        """Tell the model the form; nothing makes sure of it, so that it counts as not carried."""
        self._dropped.append("response_format")
        wish = "Unless you call a tool, answer with one JSON object and nothing else."
        if isinstance(schema, dict):
            wish += f" It must be valid against this JSON schema: {dump(schema).decode()}"
        self._out.setdefault("system", []).append({"type": "text", "text": wish})

    def _ask_by_tool(self, schema: dict[str, Any], description: str) -> None:
        self._json_tool = True
        tool = {
            "name": JSON_TOOL,
            "description": description
            or "Gives the whole answer, as a JSON object in the form that is wanted.",
            "input_schema": {"type": "object", **schema},
        }
        self._out["tools"] = [tool]
        self._out["tool_choice"] = {"type": "tool", "name": JSON_TOOL}

    # How the model works.

    def _thinking(self) -> None:
        given = self._request.get("thinking")
        effort = self._request.get("reasoning_effort")
        if isinstance(given, dict):
            self._out["thinking"] = given
            self._drop_unless("reasoning_effort", effort is None)
        elif effort in _NO_EFFORT:
            if claude_models.thinks_unasked(self._model):
                self._config("effort", "low")
        elif isinstance(effort, str) and effort in _BUDGETS:
            self._effort(effort)
        else:
            self._drop_unless("reasoning_effort", effort is None)

    def _effort(self, effort: str) -> None:
        if claude_models.thinks_by_effort(self._model):
            lower = effort == "xhigh" and not claude_models.knows_highest_effort(self._model)
            self._config("effort", "high" if lower else effort)
            if not self._forces_tool():
                self._out["thinking"] = {"type": "adaptive"}
            return
        budget = self._budget(effort)
        if budget is None:
            self._dropped.append("reasoning_effort")
        else:
            self._out["thinking"] = {"type": "enabled", "budget_tokens": budget}

    def _config(self, name: str, value: Any) -> None:
        self._out.setdefault("output_config", {})[name] = value

    def _forces_tool(self) -> bool:
        """Whether a tool must be called: the vendor refuses thinking before it."""
        return mapping(self._out, "tool_choice").get("type") in ("any", "tool")

    def _budget(self, effort: str) -> int | None:
        """Tokens to think with, which leave as many to answer; None where the vendor would refuse the request."""
        limit = self._out["max_tokens"]
        if self._forces_tool() or _unthinking_tool_turn(self._out):
            return None
        if not claude_models.thinks_by_budget(self._model):
            return None
        if not isinstance(limit, int) or limit <= _LEAST_BUDGET:
            return None
        return min(_BUDGETS[effort], max(_LEAST_BUDGET, limit // 2))

    def _sampling(self) -> None:
        """Temperature, top_p and top_k, as far as the model takes them; what is no number the vendor judges."""
        given = {name: self._request[name] for name in _SAMPLING if self._request.get(name) is not None}
        thinks = mapping(self._out, "thinking").get("type") in ("enabled", "adaptive")
        if not claude_models.takes_sampling(self._model):
            self._dropped += [name for name, value in given.items() if value != 1]
            return
        temperature, top_p = given.get("temperature"), given.get("top_p")
        if thinks:
            self._drop_unless("temperature", temperature in (None, 1))
            self._drop_unless("top_k", "top_k" not in given)
            if top_p is not None and top_p != 1:
                self._keep_or_drop("top_p", top_p, _at_least(top_p, 0.95))
            return
        if temperature is not None:
            above = isinstance(temperature, int | float) and temperature > 1
            self._out["temperature"] = 1 if above else temperature
            self._drop_unless("temperature", not above)
        if top_p is not None and not (top_p == 1 and temperature is not None):
            alone = temperature is None or not claude_models.takes_one_sampling(self._model)
            self._keep_or_drop("top_p", top_p, alone)
        if "top_k" in given:
            self._out["top_k"] = given["top_k"]

    def _keep_or_drop(self, name: str, value: Any, kept: bool) -> None:
        if kept:
            self._out[name] = value
        else:
            self._dropped.append(name)

    def _drop_unless(self, name: str, carried: bool) -> None:
        if not carried:
            self._dropped.append(name)

    def _identity(self) -> None:
        for name in ("safety_identifier", "user"):
            value = text(self._request, name)
            if value and "metadata" not in self._out and len(value) <= _LONGEST_USER:
                self._out["metadata"] = {"user_id": value}
            else:
                self._drop_unless(name, not value or mapping(self._out, "metadata").get("user_id") == value)
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
