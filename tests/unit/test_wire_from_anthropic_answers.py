"""Whole answers and errors of chat upstreams as Anthropic clients get them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message

from proxy.wire.chat import ParsedRequest, read_request
from proxy.wire.chat_to_message import message, message_error
from proxy.wire.errors import anthropic_error_frame
from proxy.wire.translation import WholeAnswer


def asked(**more: Any) -> ParsedRequest:
    return read_request(
        "messages", json.dumps({"model": "claude-x", "max_tokens": 9, "messages": [], **more}).encode()
    )


def answered(
    said: dict[str, Any], finish: str | None = "stop", request: ParsedRequest | None = None, **more: Any
) -> WholeAnswer:
    choice = {
        "index": 0,
        "message": {"role": "assistant", **said},
        "finish_reason": finish,
        **more.pop("choice", {}),
    }
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-2024",
        "choices": [choice],
        **more,
    }
    return message(request or asked(), json.dumps(body).encode())


def value(answer: WholeAnswer) -> dict[str, Any]:
    """The message, which the vendor's own package must be able to read."""
    found: dict[str, Any] = json.loads(answer.body)
    Message.model_validate(found, strict=True)
    return found


def tool_call(arguments: Any, **more: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}, **more}


def test_a_text_answer() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    answer = answered({"content": "hé😀"}, usage=usage)
    assert value(answer) == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "gpt-4o-2024",
        "content": [{"type": "text", "text": "hé😀"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 40,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 60,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3},
        },
    }
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.cached_tokens, answer.usage.reasoning_tokens) == (
        100,
        60,
        3,
    )
    assert (answer.status, answer.finish_reason, answer.upstream_model) == (200, "stop", "gpt-4o-2024")


def test_usage_that_was_not_reported_stays_unknown_on_our_side() -> None:
    answer = answered({"content": "x"})
    assert value(answer)["usage"]["output_tokens"] == 0
    assert answer.usage is None


def test_tool_calls_keep_the_bytes_of_their_input() -> None:
    arguments = '{"a": 1.0,"big":123456789012345678901234567890,"s":"\\u00e9"}'
    answer = answered({"content": "", "tool_calls": [tool_call(arguments), tool_call("")]}, "tool_calls")
    found = value(answer)
    assert b'"input":' + arguments.encode() in answer.body
    assert [block["type"] for block in found["content"]] == ["tool_use", "tool_use"]
    assert found["content"][1]["input"] == {}
    assert found["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": ', {"INVALID_JSON": '{"a": '}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("null", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_arguments_that_are_no_object(arguments: Any, expected: dict[str, Any]) -> None:
    found = value(answered({"content": None, "tool_calls": [tool_call(arguments)]}, "length"))
    assert found["content"][0]["input"] == expected
    assert found["stop_reason"] == "max_tokens"


def test_reasoning_is_shown_to_who_asked_for_thinking_only() -> None:
    said = {"content": "x", "reasoning_content": "hm"}
    assert [block["type"] for block in value(answered(said))["content"]] == ["text"]
    thinking = asked(thinking={"type": "enabled", "budget_tokens": 1024})
    block = value(answered(said, request=thinking))["content"][0]
    assert block == {"type": "thinking", "thinking": "hm", "signature": ""}
    assert (
        value(answered({"content": "x", "reasoning": "hm"}, request=thinking))["content"][0]["thinking"]
        == "hm"
    )


def test_a_refusal_is_text_and_a_reason() -> None:
    found = value(answered({"content": None, "refusal": "I cannot."}))
    assert (found["content"], found["stop_reason"]) == ([{"type": "text", "text": "I cannot."}], "refusal")


def test_a_stop_sequence_is_told_where_the_server_tells_it() -> None:
    found = value(answered({"content": "x"}, choice={"stop_reason": "END"}))
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")
    found = value(answered({"content": "x"}, choice={"stop_reason": 128001}))
    assert (found["stop_reason"], found["stop_sequence"]) == ("end_turn", None)


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    calls = [tool_call("{}", id=None), tool_call("{}", id="")]
    found = value(answered({"content": None, "tool_calls": calls}, "tool_calls"))["content"]
    assert [block["id"] for block in found] == ["call_chatcmpl-1_0", "call_chatcmpl-1_1"]


def test_an_answer_without_id_and_model_gets_one_id_and_the_name_asked_for() -> None:
    found = [value(answered({"content": text}, id="", model="")) for text in ("x", "x", "y")]
    assert found[0]["id"].startswith("msg_")
    assert found[0]["id"] == found[1]["id"] != found[2]["id"]
    assert found[0]["model"] == "claude-x"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":[]}', b'{"id":"x"}'])
def test_what_is_no_completion_is_an_error(body: bytes) -> None:
    answer = message(asked(), body)
    assert answer.status == 502
    assert json.loads(answer.body) == {
        "type": "error",
        "error": {"type": "api_error", "message": "what the upstream sent is no chat completion"},
    }
    assert answer.error is not None


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded", "param": "messages"}, "invalid_request_error"),
        (401, {"code": "invalid_api_key"}, "authentication_error"),
        (402, {}, "billing_error"),
        (403, {}, "permission_error"),
        (404, {"code": "model_not_found"}, "not_found_error"),
        (408, {}, "timeout_error"),
        (413, {}, "request_too_large"),
        (422, {}, "invalid_request_error"),
        (429, {"type": "insufficient_quota"}, "rate_limit_error"),
        (500, {"type": "server_error"}, "api_error"),
        (503, {"code": "slow_down"}, "overloaded_error"),
        (503, {}, "api_error"),
        (504, {}, "timeout_error"),
        (529, {}, "overloaded_error"),
    ],
)
def test_errors_keep_their_status_and_say_it_in_the_dialect(
    status: int, error: dict[str, Any], kind: str
) -> None:
    answer = message_error(status, json.dumps({"error": {"message": "m", **error}}).encode())
    found = json.loads(answer.body)
    assert (answer.status, found["type"]) == (status, "error")
    assert (found["error"]["type"], found["error"]["message"]) == (kind, "m")
    assert found["error"].get("param") == error.get("param")
    assert answer.error is not None
    assert answer.error.code == (error.get("code") or error.get("type") or kind)


def test_errors_of_other_shapes() -> None:
    assert json.loads(message_error(500, b'{"error":"plain"}').body)["error"]["message"] == "plain"
    assert "said nothing" in json.loads(message_error(500, b"<html>raw</html>").body)["error"]["message"]
    frame = anthropic_error_frame("api_error", "m", request_id="r")
    assert (
        frame
        == b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"m"},"request_id":"r"}\n\n'
    )
