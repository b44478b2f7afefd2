"""Chat requests as Anthropic messages requests: what is kept, what is refused, what the vendor's types say."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from wire_a_support import HELLO, MIDDLE, MODEL, NEW, sent, translate

from proxy.wire.claude_models import version
from proxy.wire.closed_schema import closed_schema
from proxy.wire.errors import RequestError
from proxy.wire.json_values import dump, load_object

PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def tool(name: str = "look", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": PARAMETERS} | function}


def refused(**request: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        translate(**request)
    assert caught.value.status == 400
    return caught.value


def test_the_smallest_request() -> None:
    assert sent() == {
        "model": MODEL,
        "max_tokens": 16_384,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }


def test_a_stream_is_asked_for() -> None:
    assert json.loads(translate(stream=True).body)["stream"] is True


def test_tools_and_their_schemas() -> None:
    described = tool(description="Looks.")
    out = sent(tools=[described, {"type": "function", "function": {"name": "bare"}}])
    assert out["tools"] == [
        {"name": "look", "description": "Looks.", "input_schema": PARAMETERS},
        {"name": "bare", "input_schema": {"type": "object", "additionalProperties": True}},
    ]


def test_only_allowed_tools_go_out() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    out = sent(tools=[tool("a"), tool("b")], tool_choice=choice)
    assert [given["name"] for given in out["tools"]] == ["b"]
    assert out["tool_choice"] == {"type": "any"}


def test_strict_tools_where_the_model_takes_them() -> None:
    assert sent(MIDDLE, tools=[tool(strict=True)])["tools"][0]["strict"] is True
    old = translate(MODEL, tools=[tool(strict=True)])
    assert old.dropped == ("tools.strict",)
    assert b"strict" not in old.body
    many = translate(MIDDLE, tools=[tool(f"t{number}", strict=True) for number in range(21)])
    assert many.dropped == ("tools.strict",)
    open_object = translate(MIDDLE, tools=[tool(strict=True, parameters={"type": "object"})])
    assert open_object.dropped == ("tools.strict",)


def document(kind: str, data: bytes, **more: str) -> list[dict[str, Any]]:
    uri = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return [{"role": "user", "content": [{"type": "file", "file": {"file_data": uri} | more}]}]


def test_documents() -> None:
    [pdf] = sent(messages=document("application/pdf", b"%PDF", filename="a.pdf"))["messages"][0]["content"]
    assert pdf == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
        "title": "a.pdf",
    }
    [plain] = sent(messages=document("text/plain", "é".encode()))["messages"][0]["content"]
    assert plain["source"] == {"type": "text", "media_type": "text/plain", "data": "é"}


@pytest.mark.parametrize(
    "messages",
    [
        document("text/plain", b"\xff"),
        document("application/zip", b"x"),
        [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}]}],
        [{"role": "user", "content": ["text"]}],
        [{"role": "user", "content": 5}],
        [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}, *HELLO],
        [*HELLO, {"role": "function", "name": "f", "content": "x"}],
        [*HELLO, {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}],
        [*HELLO, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "[1]"}}]}],
        [*HELLO, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a":NaN}'}}]}],
        [*HELLO, {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f", "arguments": "{}"}}]}],
        [*HELLO, {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]}],
        ["text"],
        [],
        "text",
        [{"role": "user", "content": ""}],
    ],
)  # fmt: skip
def test_messages_that_must_not_be_dropped_are_refused(messages: Any) -> None:
    error = refused(messages=messages)
    assert error.param is not None
    assert error.param.startswith("messages")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("functions", [{"name": "f"}]),
        ("tools", [{"type": "custom", "custom": {"name": "x"}}]),
        ("tools", [{"type": "function", "function": {}}]),
        ("response_format", {"type": "grammar"}),
        ("tool_choice", {"type": "function"}),
    ],
)
def test_parameters_that_must_not_be_dropped_are_refused(name: str, value: Any) -> None:
    given = {"tools": [tool()]} | {name: value}
    assert str(refused(**given).param).startswith(name)


def test_a_refusal_does_not_repeat_what_it_was_given_raw_or_at_length() -> None:
    error = refused(messages=[{"role": "\x1b[31m" + "x" * 5_000, "content": "x"}])
    assert "\x1b" not in error.message
    assert len(error.message) < 300


def test_ids_of_calls_fit_the_vendors_alphabet() -> None:
    call = {"id": "call:1.é", "type": "function", "function": {"name": "look", "arguments": ""}}
    messages = [*HELLO, {"role": "assistant", "tool_calls": [call]}]
    messages.append({"role": "tool", "tool_call_id": "call:1.é", "content": "x"})
    out = sent(messages=messages, tools=[tool()])
    assert out["messages"][1]["content"][0] == {
        "type": "tool_use",
        "id": "call_1__",
        "name": "look",
        "input": {},
    }
    assert out["messages"][2]["content"][0]["tool_use_id"] == "call_1__"


def test_who_asks() -> None:
    assert sent(user="u1")["metadata"] == {"user_id": "u1"}
    both = translate(user="u1", safety_identifier="s1")
    assert json.loads(both.body)["metadata"] == {"user_id": "s1"}
    assert both.dropped == ("user",)
    assert translate(user="same", safety_identifier="same").dropped == ()
    assert translate(user="x" * 257).dropped == ("user",)


@pytest.mark.parametrize(
    ("tier", "made", "dropped"),
    [
        ("auto", "auto", ()),
        ("default", "standard_only", ()),
        ("flex", None, ("service_tier",)),
        (None, None, ()),
    ],
)
def test_service_tiers(tier: str | None, made: str | None, dropped: tuple[str, ...]) -> None:
    out = translate(service_tier=tier)
    assert json.loads(out.body).get("service_tier") == made
    assert out.dropped == dropped


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "config"),
    [
        (MODEL, "low", {"type": "enabled", "budget_tokens": 1_024}, None),
        (MODEL, "medium", {"type": "enabled", "budget_tokens": 4_096}, None),
        (MODEL, "high", {"type": "enabled", "budget_tokens": 8_192}, None),
        (MODEL, "none", None, None),
        ("claude-opus-4-6", "xhigh", {"type": "adaptive"}, {"effort": "high"}),
        (NEW, "xhigh", {"type": "adaptive"}, {"effort": "xhigh"}),
        (NEW, "none", None, None),
        ("claude-opus-5", "minimal", None, {"effort": "low"}),
    ],
)
def test_effort(model: str, effort: str, thinking: Any, config: Any) -> None:
    out = sent(model, reasoning_effort=effort)
    assert (out.get("thinking"), out.get("output_config")) == (thinking, config)


def test_effort_that_cannot_be_carried_is_named() -> None:
    for made in (
        translate("claude-3-5-sonnet-20241022", reasoning_effort="high"),
        translate(MODEL, reasoning_effort="high", max_tokens=1_024),
        translate(MODEL, reasoning_effort="utmost"),
    ):
        assert made.dropped == ("reasoning_effort",)
        assert b"thinking" not in made.body


def test_a_budget_leaves_room_to_answer() -> None:
    assert sent(reasoning_effort="high", max_tokens=6_000)["thinking"]["budget_tokens"] == 3_000
    assert sent(reasoning_effort="high", max_tokens=1_025)["thinking"]["budget_tokens"] == 1_024


def test_a_turn_that_called_a_tool_without_thinking_cannot_go_on_thinking() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    turn: dict[str, Any] = {"role": "assistant", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c", "content": "x"}
    request: dict[str, Any] = {"tools": [tool()], "reasoning_effort": "low"}
    assert translate(messages=[*HELLO, turn, result], **request).dropped == ("reasoning_effort",)
    thought = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    assert (
        translate(messages=[*HELLO, turn | {"thinking_blocks": [thought]}, result], **request).dropped == ()
    )
    later = [*HELLO, turn, result, {"role": "assistant", "content": "So."}, *HELLO]
    assert translate(messages=later, **request).dropped == ()


def test_thinking_of_the_vendors_own_form_goes_on_as_it_is() -> None:
    given = {"type": "enabled", "budget_tokens": 2_000}
    made = translate(thinking=given, reasoning_effort="high")
    assert json.loads(made.body)["thinking"] == given
    assert made.dropped == ("reasoning_effort",)


def test_a_schema_and_an_effort_share_their_place() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": PARAMETERS}}
    config = sent(NEW, response_format=form, reasoning_effort="low")["output_config"]
    assert config == {"format": {"type": "json_schema", "schema": PARAMETERS}, "effort": "low"}


def test_closed_schemas() -> None:
    inner = {"type": "object", "properties": {}, "additionalProperties": False, "minProperties": 1}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "required": ["a"],
        "properties": {
            "a": {
                "type": "array",
                "items": {"$ref": "#/$defs/I"},
                "minItems": 1,
                "maxItems": 3,
                "description": "Some.",
            },
            "b": {"oneOf": [{"type": ["string", "null"], "format": "date"}, {"enum": ["x"]}]},
            "c": {"type": "string", "format": "odd", "pattern": "^x"},
            "minimum": {"type": "number"},
        },
        "$defs": {"I": inner},
    }
    assert closed_schema(schema) == {
        "type": "object",
        "additionalProperties": False,
        "required": ["a"],
        "properties": {
            "a": {
                "type": "array",
                "items": {"$ref": "#/$defs/I"},
                "minItems": 1,
                "description": 'Some.\n\n{"maxItems":3}',
            },
            "b": {"anyOf": [{"type": ["string", "null"], "format": "date"}, {"enum": ["x"]}]},
            "c": {"type": "string", "description": '{"format":"odd","pattern":"^x"}'},
            "minimum": {"type": "number"},
        },
        "$defs": {
            "I": {
                "type": "object",
                "properties": {},
                "additionalProperties": False,
                "description": '{"minProperties":1}',
            }
        },
    }


CLOSED = {"type": "object", "additionalProperties": False}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {},
        {"type": "any"},
        {"type": [["string"]]},
        CLOSED | {"properties": {"a": True}},
        CLOSED | {"properties": {"a": {"$ref": "#"}}},
        CLOSED | {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/B"}]},
         "B": {"type": "array", "items": {"$ref": "#/$defs/A"}}}},
    ],
)  # fmt: skip
def test_schemas_that_cannot_be_closed(schema: dict[str, Any]) -> None:
    assert closed_schema(schema) is None
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    assert translate(MIDDLE, response_format=form).json_tool


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-3-5-sonnet-latest", (3, 5)),
        ("anthropic/claude-3.7-sonnet", (3, 7)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-sonnet-4@20250514", (4, 0)),
        ("anthropic.claude-opus-4-1-20250805-v1:0", (4, 1)),
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("claude-opus-4.7", (4, 7)),
        ("claude-opus-5", (5, 0)),
        ("claude-2.1", (2, 1)),
        ("mine", (99, 0)),
    ],
)
def test_versions_of_models(name: str, made: tuple[int, int]) -> None:
    assert version(name) == made


def test_json_that_is_not_strict() -> None:
    assert load_object(b'{"a": NaN}') is None
    assert load_object(b'{"a": 1e999}') is None
    half = load_object(b'{"a": "\\ud83d"}')
    assert half == {"a": "\ud83d"}
    assert dump(half) == b'{"a":"\\ud83d"}'
