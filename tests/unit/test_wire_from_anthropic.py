"""Requests of Anthropic clients, read and turned into chat requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from proxy.wire.chat import read_request
from proxy.wire.errors import RequestError
from proxy.wire.messages_to_chat import chat_request, fits_strict
from proxy.wire.translation import Translated

_CHAT = TypeAdapter(CompletionCreateParamsNonStreaming)
_MESSAGES = TypeAdapter(list[ChatCompletionMessageParam])
_TOOLS = TypeAdapter(list[ChatCompletionToolParam])
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "D"}}
CACHED = {"cache_control": {"type": "ephemeral"}}


def translated(body: dict[str, Any] | bytes, model: str = "gpt-4o") -> Translated:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return chat_request(read_request("messages", raw), model)


def chat(messages: list[Any], model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    found = translated({"model": "claude-x", "max_tokens": 64, "messages": messages, **more}, model)
    value: dict[str, Any] = json.loads(found.body)
    _CHAT.validate_python(value)
    _MESSAGES.validate_python(value["messages"])
    _TOOLS.validate_python(value.get("tools", []))
    return value


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def call(name: str, identifier: str, given: Any = None) -> dict[str, Any]:
    return {"type": "tool_use", "id": identifier, "name": name, "input": given or {}}


def result(identifier: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identifier, "content": content, **more}


def refusal(body: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        translated({"model": "claude-x", "max_tokens": 1, **body})
    assert caught.value.status == 400
    return caught.value


# Reading.


def test_the_facts_of_a_messages_request() -> None:
    body = {
        "model": "claude-x",
        "max_tokens": 99,
        "stream": True,
        "system": [{"type": "text", "text": "sys"}],
        "metadata": {"user_id": "u-1"},
        "user": "not-the-user",
        "tools": [{"name": "f", "input_schema": {}}],
        "messages": [
            user("hé😀"),
            assistant([{"type": "text", "text": "ok"}, call("f", "t1", {"text": "no"})]),
            user([result("t1", [{"type": "text", "text": "four"}, PNG]), {"type": "text", "text": "go"}]),
            user(
                [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "doc"}}]
            ),
        ],
    }
    found = read_request("messages", json.dumps(body).encode())
    assert (found.model, found.stream, found.max_tokens) == ("claude-x", True, 99)
    assert found.prompt_chars == len("sys") + 3 + len("ok") + len("four") + len("go") + len("doc")
    assert (found.has_tools, found.has_images) == (True, True)
    assert (found.user, found.metadata) == ("u-1", {"user_id": "u-1"})


def test_an_image_only_inside_a_tool_result_is_an_image_and_no_text_is_no_characters() -> None:
    body = {"model": "m", "messages": [user([result("t", [PNG])])]}
    found = read_request("messages", json.dumps(body).encode())
    assert (found.has_images, found.prompt_chars) == (True, 0)
    assert read_request("messages", b'{"model":"m"}').prompt_chars is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"model":"m","system":"a","system":"b"}', "duplicate_key"),
        (b'{"model":"m","messages":[],"messages":[]}', "duplicate_key"),
        (b'{"model":"m","metadata":{"user_id":"a","user_id":"b"}}', "duplicate_key"),
        (b'{"model":"m","max_tokens":NaN}', "invalid_json"),
        (b'{"model":"m"} x', "invalid_json"),
        (b'{"messages":[]}', "missing_model"),
    ],
)
def test_what_is_ambiguous_or_no_json_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_request("messages", body)
    assert (caught.value.status, caught.value.code) == (400, code)


# Parameters.


def test_sampling_limits_and_stops_are_carried() -> None:
    found = chat(
        [user("hi")], temperature=0.5, top_p=0.9, stop_sequences=["a", "b"], service_tier="standard_only"
    )
    assert found["messages"] == [user("hi")]
    assert (found["temperature"], found["top_p"], found["stop"]) == (0.5, 0.9, ["a", "b"])
    assert (found["max_tokens"], found["service_tier"]) == (64, "default")
    assert "max_completion_tokens" not in found


def test_what_cannot_be_carried_is_named_in_order_once() -> None:
    found = translated(
        {
            "model": "m",
            "max_tokens": 1,
            "system": [{"type": "text", "text": "s", **CACHED}],
            "messages": [user([{"type": "text", "text": "x", **CACHED}])],
            "tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": True, **CACHED}],
            "top_k": 5,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "stop_sequences": ["1", "2", "3", "4", "5"],
            "mcp_servers": [],
            "container": "c",
        }
    )
    assert found.dropped == (
        "cache_control", "stop_sequences[4:]", "tools.defer_loading", "thinking", "top_k", "container"
    )  # fmt: skip
    assert json.loads(found.body)["stop"] == ["1", "2", "3", "4"]
    assert b"cache_control" not in found.body


@pytest.mark.parametrize(
    ("more", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32_000}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "high"),
        ({"output_config": {"effort": "low"}}, "low"),
        ({"thinking": {"type": "disabled"}}, None),
    ],
)
def test_thinking_is_an_effort_of_reasoning_models(more: dict[str, Any], effort: str | None) -> None:
    assert chat([user("hi")], "gpt-5-mini", **more).get("reasoning_effort") == effort
    assert "reasoning_effort" not in chat([user("hi")], "gpt-4o", **more)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("o3", "max_completion_tokens"),
        ("o4-mini-2025-04-16", "max_completion_tokens"),
        ("openai/gpt-5.1", "max_completion_tokens"),
        ("gpt-5-chat-latest", "max_tokens"),
        ("gpt-4o", "max_tokens"),
        ("llama-o1", "max_tokens"),
        ("gpt-50x", "max_tokens"),
    ],
)
def test_the_name_of_the_limit_follows_the_model(model: str, name: str) -> None:
    found = chat([user("hi")], model, temperature=0.2, stop_sequences=["x"])
    assert [key for key in found if key.startswith("max_")] == [name]
    assert ("temperature" in found, "stop" in found) == ((name == "max_tokens"),) * 2


def test_a_stream_asks_for_its_usage_unless_told_not_to() -> None:
    body = {"model": "m", "max_tokens": 1, "stream": True, "messages": [user("x")]}
    assert json.loads(translated(body).body)["stream_options"] == {"include_usage": True}
    parsed = read_request("messages", json.dumps(body).encode())
    assert "stream_options" not in json.loads(chat_request(parsed, "m", ask_usage=False).body)


def test_a_long_user_id_stays_one_user_within_the_limit() -> None:
    def user_of(name: str) -> str:
        return str(chat([user("x")], metadata={"user_id": name})["user"])

    assert user_of("u-1") == "u-1"
    assert user_of("a" * 64) == "a" * 64
    assert len(user_of("a" * 65)) == 64
    assert user_of("a" * 100 + "b") != user_of("a" * 100 + "c")


def test_a_schema_becomes_a_response_format() -> None:
    closed = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    for more in ({"output_config": {"format": {"type": "json_schema", "schema": closed}}},
                 {"output_format": {"type": "json_schema", "schema": closed}}):  # fmt: skip
        found = chat([user("x")], **more)["response_format"]
        assert found == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": closed, "strict": True},
        }
    assert "json_schema" in refusal({"messages": [], "output_config": {"format": {"type": "xml"}}}).message


def test_strict_is_asked_for_only_where_the_schema_bears_it() -> None:
    open_inside = {
        "type": "object",
        "properties": {"a": {"type": "object"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    optional = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
    nested = {"anyOf": [{"type": "array", "items": optional}, {"type": "null"}]}
    assert not any(fits_strict(schema) for schema in (open_inside, optional, nested, {"allOf": [{}]}))
    assert not fits_strict({"$defs": {"x": optional}})
    assert fits_strict({"anyOf": [{"type": "string"}, {"type": "null"}]})


# Tools.


def test_tools_and_choices() -> None:
    tools = [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"a": {}}},
            "strict": True,
        }
    ]
    found = chat(
        [user("x")], tools=tools, tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True}
    )
    function = {"name": "f", "description": "d", "parameters": tools[0]["input_schema"], "strict": True}
    assert found["tools"] == [{"type": "function", "function": function}]
    assert found["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert found["parallel_tool_calls"] is False
    for kind, expected in (("auto", "auto"), ("any", "required"), ("none", "none")):
        assert chat([user("x")], tools=tools, tool_choice={"type": kind})["tool_choice"] == expected
    assert "tool_choice" not in chat([user("x")], tools=[], tool_choice={"type": "auto"})


def test_a_schema_keeps_its_bytes_and_an_object_gets_its_properties() -> None:
    schema = b'{"type": "object",  "properties": {"n": {"maximum": 1.0, "enum": [12345678901234567890123]}}}'
    raw = (
        b'{"model":"m","messages":[],"tools":[{"name":"f","input_schema":'
        + schema
        + b'},{"name":"g","input_schema":{"type":"object"}}]}'
    )
    body = translated(raw).body
    assert schema in body
    assert json.loads(body)["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_tools_that_run_at_the_vendor_are_named_and_cannot_be_forced() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    found = translated(
        {"model": "m", "messages": [user("x")], "tools": [search], "tool_choice": {"type": "auto"}}
    )
    assert found.dropped == ("tools.web_search_20250305",)
    assert not {"tools", "tool_choice"} & set(json.loads(found.body))
    error = refusal(
        {"messages": [user("x")], "tools": [search], "tool_choice": {"type": "tool", "name": "web_search"}}
    )
    assert error.param == "tool_choice"


def test_arguments_of_calls_keep_their_bytes() -> None:
    raw = (
        b'{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use",'
        b'"id":"t1","name":"f","input":{"n": 1.0, "big":123456789012345678901234567890,"u":"\\u00e9"}}]},'
        b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r"}]}]}'
    )
    message = json.loads(translated(raw).body)["messages"][1]
    assert message["content"] is None
    given = message["tool_calls"][0]["function"]["arguments"]
    assert given == '{"n": 1.0, "big":123456789012345678901234567890,"u":"\\u00e9"}'


def test_an_error_of_a_tool_keeps_its_text_and_the_flag_is_named() -> None:
    messages = [user("x"), assistant([call("f", "t1")]), user([result("t1", "it broke", is_error=True)])]
    found = translated({"model": "m", "messages": messages})
    assert found.dropped == ("messages.tool_result.is_error",)
    assert json.loads(found.body)["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "t1",
        "content": "it broke",
    }


# Content.


def test_documents() -> None:
    pdf = {
        "type": "document",
        "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
    }
    note = {
        "type": "document",
        "title": "T",
        "context": "C",
        "source": {"type": "text", "media_type": "text/plain", "data": "D"},
    }
    inside = {
        "type": "document",
        "source": {"type": "content", "content": [{"type": "text", "text": "I"}, PNG]},
    }
    search = {
        "type": "search_result",
        "source": "http://s",
        "title": "S",
        "content": [{"type": "text", "text": "R"}],
    }
    parts = chat([user([pdf, note, inside, search])])["messages"][0]["content"]
    assert parts[0] == {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
    }
    assert [part.get("text") for part in parts[1:]] == ["T", "C", "D", "I", None, "S\nhttp://s", "R"]
    assert parts[5] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "image", "source": {"type": "base64", "data": "AA"}},
        {"type": "document", "source": {"type": "url", "url": "http://x/y.pdf"}},
        {"type": "container_upload", "file_id": "f"},
    ],
)
def test_content_that_must_not_be_lost_is_refused_and_placed(block: dict[str, Any]) -> None:
    error = refusal({"messages": [user("x"), assistant("y"), user([{"type": "text", "text": "z"}, block])]})
    assert error.message.startswith("messages[2].content[1]")


def test_wrong_types_are_told_with_their_place() -> None:
    assert refusal({"messages": [user(5)]}).message == "messages[0].content: expected str | array, got int"
    assert "messages[0].role" in refusal({"messages": [{"role": "robot", "content": "x"}]}).message
    assert "messages" in refusal({}).message


def test_thinking_of_earlier_turns_is_left_out_and_named() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    hidden = {"type": "redacted_thinking", "data": "x"}
    found = translated(
        {
            "model": "m",
            "messages": [user("x"), assistant([thought, hidden, {"type": "text", "text": "y"}]), user("z")],
        }
    )
    assert found.dropped == ("messages.thinking",)
    assert json.loads(found.body)["messages"][1] == {"role": "assistant", "content": "y"}


def test_further_fields_are_named() -> None:
    body = {
        "model": "m",
        "messages": [user([{**DOCUMENT, "citations": {"enabled": True}}])],
        "output_config": {"task_budget": 5},
        "metadata": {"user_id": "u", "team": "x"},
    }
    assert translated(body).dropped == ("citations", "output_config.task_budget", "metadata.team")
    plain = {"model": "m", "messages": [user([{**DOCUMENT, "citations": {"enabled": False}}])]}
    assert translated(plain).dropped == ()


def test_an_effort_that_is_named_goes_before_a_budget() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    found = chat([user("x")], "o3", thinking=thinking, output_config={"effort": "high"})
    assert found["reasoning_effort"] == "high"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"messages": [], "tool_choice": {"type": "some"}}, "tool_choice"),
        ({"messages": [], "tools": [{"input_schema": {}}]}, "tools[0]"),
        ({"messages": [user("x"), assistant([call("f", "")])]}, "messages[1].content[0]"),
        ({"messages": [user("x"), assistant([PNG])]}, "messages[1].content[0]"),
        (
            {"messages": [user([{"type": "document", "source": {"type": "content", "content": [5]}}])]},
            "messages[0]",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(body: dict[str, Any], where: str) -> None:
    assert where in refusal(body).message


def test_what_ran_at_the_vendor_is_named_and_a_turn_of_nothing_else_left_out() -> None:
    ran = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    ]
    found = translated({"model": "m", "messages": [user("x"), assistant(ran), user("y")]})
    assert found.dropped == ("messages.server_tool_use", "messages.web_search_tool_result")
    assert json.loads(found.body)["messages"] == [user("x"), user("y")]


def test_a_turn_between_a_call_and_its_result_parts_them() -> None:
    turns = [user("x"), assistant([call("f", "t1")]), user("y"), assistant("z"), user([result("t1", "r")])]
    assert "t1" in refusal({"messages": turns}).message
    system = {"role": "system", "content": "s"}
    parted = [user("x"), assistant([call("f", "t1")]), user("y"), system, user([result("t1", "r")])]
    assert "t1" in refusal({"messages": parted}).message
    unanswered = [user("x"), assistant([call("f", "t1")]), user("y"), user([result("t1", "r")])]
    assert [message["role"] for message in chat(unanswered)["messages"]][2] == "tool"


def test_another_name_of_a_deployment_tells_what_it_is() -> None:
    parsed = read_request("messages", b'{"model":"m","max_tokens":5,"messages":[]}')
    assert json.loads(chat_request(parsed, "prod", known_as="gpt-5").body)["max_completion_tokens"] == 5
    assert json.loads(chat_request(parsed, "prod", known_as="gpt-4o").body) == {
        "model": "prod",
        "messages": [],
        "max_tokens": 5,
    }
