"""The known traps of translating between vendors: Anthropic clients, chat upstreams. Numbers are those of the list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.chat import read_request
from proxy.wire.errors import RequestError
from proxy.wire.sse import SseReader
from proxy.wire.transcode import stream_transcoder, translate_answer, translate_request
from proxy.wire.translation import StreamTranscoder, TruncatedError, WholeAnswer
from proxy.wire.usage import Usage

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
LINK = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
DONE = b"data: [DONE]\n\n"


def asked(messages: list[Any] | None = None, **more: Any) -> Any:
    body = {"model": "claude-x", "max_tokens": 9, "messages": messages or [], **more}
    return read_request("messages", json.dumps(body).encode())


def chat(messages: list[Any] | None = None, model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(
        translate_request("messages", asked(messages, **more), "openai", model).body
    )
    return value


def dropped(messages: list[Any] | None = None, model: str = "gpt-4o", **more: Any) -> tuple[str, ...]:
    return translate_request("messages", asked(messages, **more), "openai", model).dropped


def answer(status: int, body: dict[str, Any]) -> WholeAnswer:
    return translate_answer("messages", status, json.dumps(body).encode(), asked(), 0)


def completion(message: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    found = answer(
        200, {"id": "i", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}
    )
    value: dict[str, Any] = json.loads(found.body)
    return value


def stream() -> StreamTranscoder:
    return stream_transcoder("messages", asked(stream=True), 0)


def frame(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def delta(found: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    return frame({"id": "i", "choices": [{"index": 0, "delta": found, "finish_reason": finish}], **more})


def tool(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"tool_calls": [{"index": index, "function": function} | ({"id": f"c{index}"} if name else {})]}


def events(*frames: bytes) -> list[dict[str, Any]]:
    found = stream()
    out = b"".join(found.feed(data) for data in frames)
    if not found.done:
        out += found.finish()
    return [json.loads(one.data) for one in SseReader().feed(out) if one.data is not None]


def kinds(*frames: bytes) -> list[str]:
    return [value["type"] for value in events(*frames)]


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(identifier: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": identifier, "name": "f", "input": {}}


def result(identifier: str, *blocks: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identifier, "content": list(blocks), **more}


def roles(messages: list[Any]) -> list[str]:
    return [message["role"] for message in chat(messages)["messages"]]


# Streams.


def test_case_01_the_usage_frame_is_asked_for_and_told_at_the_end() -> None:
    assert chat(stream=True)["stream_options"] == {"include_usage": True}
    usage = frame({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    found = events(delta({"content": "x"}, "stop"), usage, DONE)
    assert [value["type"] for value in found[-2:]] == ["message_delta", "message_stop"]
    assert (found[-2]["usage"]["input_tokens"], found[-2]["usage"]["output_tokens"]) == (3, 2)


def test_case_04_a_null_usage_in_earlier_frames_is_no_usage() -> None:
    found = stream()
    found.feed(delta({"content": "x"}, usage=None))
    assert found.usage is None


def test_case_05_the_first_frame_of_azure_says_nothing_and_is_no_first_token() -> None:
    found = stream()
    assert found.feed(frame({"id": "", "model": "", "choices": [], "prompt_filter_results": [{}]})) == b""
    assert (found.first_token, found.upstream_model) == (False, None)
    assert b'"id":"i"' in found.feed(delta({"content": "x"}))


def test_case_06_a_choice_without_delta_is_borne() -> None:
    filtered = frame(
        {"id": "i", "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}]}
    )
    assert "error" not in kinds(delta({"content": "x"}), filtered, delta({}, "stop"), DONE)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_case_07_and_08_characters_and_frames_split_anywhere(size: int) -> None:
    data = delta({"content": "日本😀"}) + delta(tool(0, '{"é":"😀"}', "f")) + delta({}, "tool_calls") + DONE
    whole, cut = stream(), stream()
    assert b"".join(cut.feed(data[at : at + size]) for at in range(0, len(data), size)) == whole.feed(data)


@pytest.mark.parametrize(
    "form",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data.replace(b"data: ", b"data:"),
        lambda data: data.rstrip(b"\n"),
    ],
)
def test_case_09_every_form_of_lines(form: Any) -> None:
    data = delta({"content": "x"}, "stop") + DONE
    assert events(form(data)) == events(data)


def test_case_10_comments_pass_and_are_no_first_token() -> None:
    found = stream()
    assert found.feed(b": OPENROUTER PROCESSING\n\n") == b": OPENROUTER PROCESSING\n\n"
    assert found.feed(b"event: ping\ndata: {}\n\n") == b""
    assert not found.first_token


def test_case_11_the_finish_reason_is_an_end_and_silence_is_none() -> None:
    assert kinds(delta({"content": "x"}, "stop"))[-1] == "message_stop"
    cut = stream()
    cut.feed(delta({"content": "x"}))
    with pytest.raises(TruncatedError):
        cut.finish()


def test_case_14_and_15_an_error_in_band_is_the_event_of_the_dialect_and_no_usage_frame() -> None:
    found = stream()
    found.feed(delta({"content": "x"}))
    out = found.feed(frame({"choices": [], "error": {"message": "m", "type": "server_error"}}) + DONE)
    assert out.startswith(b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"m"')
    assert b"message_stop" not in out
    assert (found.done, found.error is not None) == (True, True)


# Usage.


def test_case_22_cached_input_stands_beside_the_input() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 90}}
    found = completion({"content": "x"}, usage=usage)["usage"]
    assert (found["input_tokens"], found["cache_read_input_tokens"]) == (10, 90)


def test_case_24_reasoning_is_inside_the_output() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 8}}
    assert completion({"content": "x"}, usage=usage)["usage"]["output_tokens"] == 9


def test_case_25_impossible_usage_breaks_nothing() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": -5, "prompt_tokens_details": {"cached_tokens": 90}}
    found = answer(200, {"id": "i", "choices": [{"message": {"content": "x"}}], "usage": usage})
    assert found.usage == Usage(input_tokens=1)
    assert json.loads(found.body)["usage"]["input_tokens"] == 1


# Parameters and messages.


def test_case_29_the_limit_has_the_name_that_the_model_takes() -> None:
    assert chat(model="o3")["max_completion_tokens"] == 9
    assert chat(model="gpt-4o")["max_tokens"] == 9


def test_case_31_system_text_and_blocks() -> None:
    assert chat(system="s")["messages"] == [{"role": "system", "content": "s"}]
    assert chat(system=[text("a"), text(""), text("b")])["messages"] == [
        {"role": "system", "content": [text("a"), text("b")]}
    ]
    assert chat([user(text("x")), {"role": "system", "content": "mid"}])["messages"][1] == {
        "role": "system",
        "content": "mid",
    }


def test_case_32_turns_of_one_role_are_one() -> None:
    messages = [{"role": "user", "content": "a"}, user(text("b")), assistant(text("c")), assistant(text("d"))]
    assert chat([*messages, {"role": "user", "content": "e"}])["messages"] == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": "cd"},
        {"role": "user", "content": "e"},
    ]


def test_case_33_empty_text_is_left_out() -> None:
    found = chat([user(text("x")), assistant(text(""), call("c1")), user(result("c1"), text(""))])["messages"]
    assert found[1]["content"] is None
    assert found[2:] == [{"role": "tool", "tool_call_id": "c1", "content": ""}]
    blocks = completion({"content": "", "tool_calls": [{"id": "c", "function": {"name": "f"}}]})["content"]
    assert [block["type"] for block in blocks] == ["tool_use"]


def test_case_34_a_prefill_goes_as_a_turn_and_is_named() -> None:
    assert dropped([user(text("x")), assistant(text("{"))]) == ("prefill",)


def test_case_35_images_of_both_sources() -> None:
    parts = chat([user(PNG, LINK)])["messages"][0]["content"]
    assert [part["image_url"]["url"] for part in parts] == ["data:image/png;base64,iVBO", "https://x/y.png"]


def test_case_36_images_in_results_stand_behind_all_results() -> None:
    messages = [
        user(text("x")),
        assistant(call("c1"), call("c2")),
        user(result("c1", text("one"), PNG), text("and?"), result("c2", LINK)),
    ]
    assert roles(messages) == ["user", "assistant", "tool", "tool", "user"]
    found = chat(messages)["messages"]
    assert found[2] == {"role": "tool", "tool_call_id": "c1", "content": "one"}
    assert found[3]["content"]
    parts = found[4]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text", "image_url", "text"]
    assert "c1" in parts[0]["text"]
    assert "c2" in parts[2]["text"]
    assert parts[4] == text("and?")


def test_case_37_results_come_first_and_may_stand_in_several_turns() -> None:
    calls = assistant(call("c1"), call("c2"))
    one = [user(text("x")), calls, user(text("so"), result("c1", text("1"))), user(result("c2", text("2")))]
    assert roles(one) == ["user", "assistant", "tool", "tool", "user"]


@pytest.mark.parametrize(
    "messages",
    [
        [user(text("x")), user(result("c1"))],
        [user(text("x")), assistant(call("c1")), user(result("c2"))],
        [user(text("x")), assistant(call("c1")), user(result("c1"), result("c1"))],
        [user(text("x")), assistant(call("c1")), user(text("y")), assistant(text("z")), user(result("c1"))],
    ],
)
def test_case_37_a_result_without_its_call_is_refused(messages: list[Any]) -> None:
    with pytest.raises(RequestError) as caught:
        chat(messages)
    assert caught.value.status == 400
    assert "which the turn before it does not make" in caught.value.message


def test_case_38_choices_of_tools() -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    choices = [("auto", "auto"), ("any", "required"), ("none", "none")]
    for kind, expected in choices:
        assert chat(tools=tools, tool_choice={"type": kind})["tool_choice"] == expected
    found = chat(tools=tools, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert found["parallel_tool_calls"] is False


def test_case_39_a_schema_is_native_and_the_content_plain() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    found = chat(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert found["response_format"]["json_schema"]["schema"] == schema
    assert "tools" not in found
    assert completion({"content": "{}"})["stop_reason"] == "end_turn"


def test_case_40_sampling_that_a_model_refuses_is_named() -> None:
    assert dropped(model="gpt-5", temperature=0.2, top_p=0.5, top_k=3) == ("temperature", "top_p", "top_k")
    assert dropped(model="gpt-5", temperature=1) == ()
    assert dropped(temperature=0.2, top_k=3) == ("top_k",)


def test_case_41_stop_sequences_and_their_key_in_the_stream() -> None:
    assert chat(stop_sequences=["END"])["stop"] == ["END"]
    assert b'"stop_sequence":null' in stream().feed(delta({"content": "x"}))
    assert events(delta({"content": "x"}, "stop"), DONE)[-2]["delta"] == {
        "stop_reason": "end_turn",
        "stop_sequence": None,
    }


# Tool-call and thinking streams.


def test_case_44_a_message_starts_before_its_first_call() -> None:
    found = events(delta(tool(0, '{"a":1}', "f")), delta({}, "tool_calls"), DONE)
    assert [value["type"] for value in found] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[1]["content_block"] == {"type": "tool_use", "id": "c0", "name": "f", "input": {}}
    assert (found[1]["index"], found[2]["delta"]["partial_json"]) == (0, '{"a":1}')


def test_case_44_text_behind_a_call_is_a_block_of_its_own() -> None:
    found = events(delta(tool(0, "{}", "f")), delta({"content": "x"}), delta({}, "stop"), DONE)
    places = [(value["type"][14:], value["index"]) for value in found if "index" in value]
    assert places == [("start", 0), ("delta", 0), ("stop", 0), ("start", 1), ("delta", 1), ("stop", 1)]


def test_case_45_thinking_without_a_signature_is_not_given_back() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    messages = [user(text("x")), assistant(thought, text("y")), user(text("z"))]
    assert chat(messages)["messages"][1] == {"role": "assistant", "content": "y"}
    assert dropped(messages) == ("messages.thinking",)


@pytest.mark.parametrize(
    ("finish", "tools", "reason"),
    [
        ("stop", False, "end_turn"),
        ("length", False, "max_tokens"),
        ("content_filter", False, "refusal"),
        ("tool_calls", True, "tool_use"),
        ("function_call", True, "tool_use"),
        ("stop", True, "tool_use"),
        ("length", True, "max_tokens"),
        ("tool_calls", False, "end_turn"),
        ("brand_new", False, "end_turn"),
    ],
)
def test_case_46_finish_reasons(finish: str, tools: bool, reason: str) -> None:
    said: dict[str, Any] = tool(0, "{}", "f") if tools else {"content": "x"}
    assert completion(said, finish)["stop_reason"] == reason
    found = stream()
    out = found.feed(delta(said, finish) + DONE)
    assert f'"stop_reason":"{reason}"'.encode() in out
    assert found.finish_reason == finish


# Errors.


def test_case_47_the_status_stays_and_529_is_overload() -> None:
    for status in (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529):
        assert answer(status, {"error": {"message": "m"}}).status == status
    assert json.loads(answer(529, {"error": {"message": "m"}}).body)["error"]["type"] == "overloaded_error"


def test_case_47_the_inner_error_of_azure_is_kept() -> None:
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}
    error = {"message": "m", "code": "content_filter", "type": None, "param": "prompt", "innererror": inner}
    found = answer(400, {"error": error})
    assert json.loads(found.body)["error"] == {
        "type": "invalid_request_error",
        "message": "m",
        "code": "content_filter",
        "param": "prompt",
        "innererror": inner,
    }
    assert found.error is not None
    assert found.error.code == "content_filter"


def test_an_endpoint_without_a_translation_is_refused_clearly() -> None:
    parsed = read_request("responses", b'{"model":"m","input":"x"}')
    with pytest.raises(RequestError) as caught:
        translate_request("responses", parsed, "anthropic", "claude-x")
    assert caught.value.status == 400
    assert "responses" in caught.value.message
