"""Cases in which gateways go wrong between OpenAI clients and Anthropic, by their numbers in the project's list."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wire_a_support import (
    HELLO,
    MIDDLE,
    MODEL,
    NEW,
    PNG,
    block,
    carry,
    chunks,
    completion,
    end,
    event,
    joined,
    message,
    sent,
    start,
    text_block,
    tool_block,
    translate,
)

from proxy.wire.chat_turns import JSON_TOOL
from proxy.wire.errors import RequestError
from proxy.wire.message_to_chat import chat_completion, chat_error
from proxy.wire.messages_stream_to_chat import MessagesStreamToChat
from proxy.wire.translation import TruncatedError
from proxy.wire.usage import anthropic_usage

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 3}},
    "required": ["a"],
    "additionalProperties": False,
}


def refused(**request: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        translate(**request)
    assert caught.value.status == 400
    return caught.value


def test_case_1_usage_asked_for_comes_last_with_no_choices() -> None:
    out, _ = carry(start() + text_block(0, "hi") + end(), usage=True)
    frames = chunks(out)
    assert frames[-1]["choices"] == []
    assert frames[-1]["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    assert all(frame["usage"] is None for frame in frames[:-1])
    assert out.endswith(b"}\n\ndata: [DONE]\n\n")


def test_case_2_usage_not_asked_for_is_known_but_not_told() -> None:
    out, stream = carry(start() + text_block(0, "hi") + end())
    assert b"usage" not in out
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (10, 5)


def test_case_7_a_character_cut_in_two_arrives_whole() -> None:
    source = start() + text_block(0, "漢😀") + end()
    cut = source.index("😀".encode()) + 2
    out, _ = carry([source[:cut], source[cut:]])
    assert joined(out)["content"] == "漢😀"


def test_case_9_line_ends_and_data_of_several_lines() -> None:
    source = start() + text_block(0, "hi") + end()
    plain, _ = carry(source)
    assert carry(source.replace(b"\n", b"\r\n"))[0] == plain
    assert carry(source.replace(b"data: ", b"data:"))[0] == plain
    assert carry(source.replace(b', "', b',\ndata: "'))[0] == plain
    assert carry(source[:-2])[0] == plain  # no line end behind the last event


def test_case_10_a_ping_becomes_a_comment_and_is_no_token() -> None:
    stream = MessagesStreamToChat(1, includes_usage=False)
    assert stream.feed(event("ping")) == b": ping\n\n"
    assert stream.feed(b": keepalive\n\n") == b": keepalive\n\n"
    assert not stream.first_token
    assert b"chat.completion.chunk" in stream.feed(start())
    assert not stream.first_token


def test_case_11_the_end_is_missing() -> None:
    told = start() + text_block(0, "hi") + end().partition(b"event: message_stop")[0]
    out, stream = carry(told)
    assert joined(out)["finish_reason"] == "stop"
    assert out.endswith(b"data: [DONE]\n\n")
    assert stream.done
    stream = MessagesStreamToChat(1, includes_usage=False)
    stream.feed(start() + text_block(0, "hi"))
    with pytest.raises(TruncatedError):
        stream.finish()


def test_case_14_an_error_inside_the_stream_ends_it_without_done() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    out, stream = carry(start() + text_block(0, "hi") + error + text_block(1, "more") + end())
    assert stream.error is not None
    assert (stream.error.code, stream.error.message) == ("overloaded_error", "Overloaded")
    told, _, last = out.rpartition(b"data: ")
    assert joined(told)["content"] == "hi"
    assert json.loads(last)["error"] == {
        "message": "Overloaded",
        "type": "service_unavailable_error",
        "param": None,
        "code": "overloaded_error",
    }
    assert b"[DONE]" not in out
    assert stream.done, "nothing behind an error is waited for"


def test_case_13_an_error_comes_first() -> None:
    out, stream = carry(event("ping") + event("error", error={"type": "api_error", "message": "no"}))
    assert stream.error is not None
    assert [list(json.loads(line[6:])) for line in out.split(b"\n") if line.startswith(b"data: ")] == [
        ["error"]
    ]


def test_case_21_usage_is_merged_field_by_field_and_never_summed() -> None:
    begin = start(input_tokens=3, cache_creation_input_tokens=12_304, cache_read_input_tokens=0)
    for more in ({}, {"input_tokens": None}, {"input_tokens": 3}, {"cache_read_input_tokens": None}):
        _, stream = carry(begin + text_block(0, "hi") + end(output_tokens=550, **more))
        assert stream.usage is not None
        assert (stream.usage.input_tokens, stream.usage.output_tokens) == (12_307, 550)
        assert stream.usage.cache_write_tokens == 12_304
    _, stream = carry(begin + text_block(0, "hi") + end(output_tokens=550, input_tokens=7))
    assert stream.usage is not None
    assert stream.usage.input_tokens == 12_311


def test_case_22_input_includes_what_the_cache_read_and_wrote() -> None:
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 40,
        "cache_read_input_tokens": 500,
        "output_tokens": 9,
    }
    told = completion(message({"type": "text", "text": "x"}, usage=usage))["usage"]
    assert told["prompt_tokens"] == 543
    assert told["prompt_tokens_details"] == {"cached_tokens": 500, "cache_write_tokens": 40}
    assert told["total_tokens"] == 552


def test_case_23_writes_of_an_hour_are_kept_apart() -> None:
    creation = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 20}
    usage = anthropic_usage({"input_tokens": 1, "output_tokens": 2, "cache_creation": creation})
    assert usage is not None
    assert (usage.input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (121, 120, 20)


def test_case_24_thinking_is_part_of_the_output() -> None:
    usage = {"input_tokens": 3, "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 60}}
    told = completion(message({"type": "text", "text": "x"}, usage=usage))["usage"]
    assert told["completion_tokens"] == 90
    assert told["completion_tokens_details"] == {"reasoning_tokens": 60}


def test_case_25_impossible_usage_is_unknown_not_a_crash() -> None:
    answer = chat_completion(message(usage={"input_tokens": -4, "output_tokens": "x"}), 1)
    assert answer is not None
    assert answer.usage is None


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_case_29_both_names_of_the_limit(name: str) -> None:
    assert sent(**{name: 77})["max_tokens"] == 77


def test_case_29_the_newer_name_wins() -> None:
    assert sent(max_tokens=5, max_completion_tokens=77)["max_tokens"] == 77


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-3-opus-20240229", 4_096),
        ("claude-3-5-sonnet-20241022", 8_192),
        (MODEL, 16_384),
        ("claude", 16_384),
    ],
)
def test_case_30_a_missing_limit_is_filled_in_and_told(model: str, limit: int) -> None:
    made = translate(model)
    assert made.filled_max_tokens == json.loads(made.body)["max_tokens"] == limit
    assert translate(model, max_tokens=9).filled_max_tokens is None


def test_case_31_system_messages_go_to_the_top_in_their_order() -> None:
    cached = {"type": "text", "text": "B", "cache_control": {"type": "ephemeral"}}
    messages = [
        {"role": "system", "content": "A"},
        {"role": "developer", "content": [cached]},
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "C"},
        {"role": "user", "content": "there"},
    ]
    out = sent(messages=messages)
    assert out["system"] == [{"type": "text", "text": "A"}, cached, {"type": "text", "text": "C"}]
    texts = [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]
    assert out["messages"] == [{"role": "user", "content": texts}]


def test_case_31_system_messages_alone_are_what_the_user_says() -> None:
    out = sent(messages=[{"role": "system", "content": "Say hi"}])
    assert out["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Say hi"}]}]
    assert "system" not in out


def test_case_32_neighbours_of_one_role_are_one_turn() -> None:
    said = [("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d"), ("user", "e")]
    out = sent(messages=[{"role": role, "content": text} for role, text in said])
    turns = [(turn["role"], [part["text"] for part in turn["content"]]) for turn in out["messages"]]
    assert turns == [("user", ["a", "b"]), ("assistant", ["c", "d"]), ("user", ["e"])]


def test_case_32_the_user_must_begin() -> None:
    error = refused(messages=[{"role": "assistant", "content": "hi"}, *HELLO])
    assert "must be of the user" in error.message


@pytest.mark.parametrize("content", ["", None, [], [{"type": "text", "text": ""}], " \n"])
def test_case_33_empty_text_is_left_out(content: Any) -> None:
    messages = [*HELLO, {"role": "assistant", "content": content, "tool_calls": [CALL]}]
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": content})
    out = sent(messages=messages, tools=[TOOL])
    assert [part["type"] for part in out["messages"][1]["content"]] == ["tool_use"]
    assert out["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "call_1"}]


def test_case_34_a_prefill_goes_on_as_it_is() -> None:
    out = sent(messages=[*HELLO, {"role": "assistant", "content": "The answer is "}])
    assert out["messages"][-1]["content"] == [{"type": "text", "text": "The answer is "}]


def image(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://example.com/a.png", {"type": "url", "url": "https://example.com/a.png"}),
        (f"data:image/png;base64,{PNG}", {"type": "base64", "media_type": "image/png", "data": PNG}),
        (f"DATA:image/JPG;base64,{PNG}", {"type": "base64", "media_type": "image/jpeg", "data": PNG}),
        ("data:image/webp;q=1;base64,iVBO\nRw0KGgo=", {"type": "base64", "media_type": "image/webp", "data": PNG}),
    ],
)  # fmt: skip
def test_case_35_images(url: str, source: dict[str, Any]) -> None:
    assert sent(messages=image(url))["messages"][0]["content"] == [{"type": "image", "source": source}]


@pytest.mark.parametrize(
    "url",
    ["", "data:", "data:image/png,abc", "data:image/png;base64,", "data:image/png;base64,a!b", "data:image/png;base64,abcde",
     f"data:image/tiff;base64,{PNG}", f"data:;base64,{PNG}", "file:///etc/passwd", "ftp://a/b.png"],
)  # fmt: skip
def test_case_35_a_malformed_image_is_refused_here(url: str) -> None:
    error = refused(messages=image(url))
    assert error.param == "messages[0].content[0]"


def test_case_36_an_image_in_a_tools_result_survives() -> None:
    result = [{"type": "text", "text": "see"}, *image(f"data:image/png;base64,{PNG}")[0]["content"]]
    messages = [*HELLO, {"role": "assistant", "tool_calls": [CALL]}]
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": result})
    given = sent(messages=messages, tools=[TOOL])["messages"][2]["content"][0]
    assert [part["type"] for part in given["content"]] == ["text", "image"]


def test_case_37_results_are_one_turn_and_stand_first() -> None:
    second = CALL | {"id": "call_2"}
    messages = [
        *HELLO,
        {"role": "assistant", "content": "hm", "tool_calls": [CALL, second]},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {"role": "user", "content": "and?"},
        {"role": "tool", "tool_call_id": "call_2", "content": "bad", "is_error": True},
    ]
    turn = sent(messages=messages, tools=[TOOL])["messages"][2]
    assert turn["role"] == "user"
    one, two, asked = turn["content"]
    assert one == {
        "type": "tool_result",
        "tool_use_id": "call_1",
        "content": [{"type": "text", "text": "one"}],
    }
    assert (two["tool_use_id"], two["is_error"]) == ("call_2", True)
    assert asked == {"type": "text", "text": "and?"}


def test_case_37_a_result_without_its_call_is_refused() -> None:
    error = refused(messages=[*HELLO, {"role": "tool", "tool_call_id": "call_9", "content": "x"}])
    assert error.param == "messages[1].tool_call_id"
    assert "'call_9'" in error.message


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "look"}}, {"type": "tool", "name": "look"}),
    ],
)
def test_case_38_tool_choices(choice: Any, made: dict[str, Any]) -> None:
    assert sent(tools=[TOOL], tool_choice=choice)["tool_choice"] == made


def test_case_38_one_call_at_a_time() -> None:
    out = sent(tools=[TOOL], parallel_tool_calls=False)
    assert out["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    forced = sent(tools=[TOOL], parallel_tool_calls=False, tool_choice="required")
    assert forced["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert "tool_choice" not in sent(tools=[TOOL], parallel_tool_calls=True)


def test_case_38_a_forced_call_leaves_no_thinking() -> None:
    made = translate(tools=[TOOL], tool_choice="required", reasoning_effort="high")
    assert "thinking" not in json.loads(made.body)
    assert made.dropped == ("reasoning_effort",)
    newer = sent(NEW, tools=[TOOL], tool_choice="required", reasoning_effort="high")
    assert "thinking" not in newer
    assert newer["output_config"] == {"effort": "high"}


def form(strict: bool = True, schema: Any = SCHEMA) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "strict": strict, "schema": schema}}


def test_case_39_a_schema_is_asked_for_natively_where_the_model_can() -> None:
    made = translate(MIDDLE, response_format=form())
    assert not made.json_tool
    shape = sent(MIDDLE, response_format=form())["output_config"]["format"]
    assert shape["type"] == "json_schema"
    assert shape["schema"]["properties"]["a"] == {"type": "integer", "description": '{"minimum":3}'}


@pytest.mark.parametrize("wanted", [form(), {"type": "json_object"}])
def test_case_39_else_a_tool_of_ours_is_forced(wanted: dict[str, Any]) -> None:
    made = translate(response_format=wanted)
    assert made.json_tool
    out = sent(response_format=wanted)
    assert out["tool_choice"] == {"type": "tool", "name": JSON_TOOL}
    assert [tool["name"] for tool in out["tools"]] == [JSON_TOOL]
    assert made.dropped == ()


def test_case_39_the_forced_tools_call_is_plain_content() -> None:
    call = {"type": "tool_use", "id": "t", "name": JSON_TOOL, "input": {"a": 3}}
    whole = completion(message({"type": "text", "text": "Here:"}, call, stop="tool_use"), json_tool=True)
    [choice] = whole["choices"]
    assert json.loads(choice["message"]["content"]) == {"a": 3}
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "stop"
    source = (
        start() + text_block(0, "Here:") + tool_block(1, "t", JSON_TOOL, '{"a"', ":3}") + text_block(2, "!")
    )
    got = joined(carry(source + end("tool_use"), json_tool=True)[0])
    assert (got["content"], got["tool_calls"], got["finish_reason"]) == ('{"a":3}', {}, "stop")


def test_case_39_text_is_the_content_when_the_model_did_not_call() -> None:
    source = start() + text_block(0, "I can", "not.") + end("refusal")
    got = joined(carry(source, json_tool=True)[0])
    assert (got["content"], got["finish_reason"]) == ("I cannot.", "content_filter")
    whole = completion(message({"type": "text", "text": "I cannot."}, stop="refusal"), json_tool=True)
    assert whole["choices"][0]["message"]["content"] == "I cannot."


def test_case_39_beside_tools_an_old_model_is_told_the_form_in_words() -> None:
    made = translate(response_format=form(), tools=[TOOL])
    assert made.dropped == ("response_format",)
    assert not made.json_tool
    out = sent(response_format=form(), tools=[TOOL], messages=[{"role": "system", "content": "S"}, *HELLO])
    assert [tool["name"] for tool in out["tools"]] == ["look"]
    assert out["system"][0]["text"] == "S"
    assert json.dumps(SCHEMA, separators=(",", ":")) in out["system"][1]["text"]


def test_case_39_a_model_that_cannot_be_forced_is_told_the_form_in_words() -> None:
    made = translate("claude-opus-5-5", response_format={"type": "json_object"})
    assert (made.dropped, made.json_tool) == (("response_format",), False)
    out = sent("claude-opus-5-5", response_format={"type": "json_object"})
    assert "tools" not in out
    assert "one JSON object" in out["system"][0]["text"]


def test_case_39_beside_thinking_no_call_can_be_forced() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2_000}
    made = translate(response_format={"type": "json_object"}, thinking=thinking)
    assert (made.dropped, made.json_tool) == (("response_format",), False)


def test_case_40_what_cannot_be_carried_is_named_in_order() -> None:
    made = translate(n=2, logprobs=True, top_logprobs=3, seed=1, logit_bias={"1": 2}, presence_penalty=0.5,
                     frequency_penalty=0.5, store=True, metadata={"a": "b"}, made_up=1)  # fmt: skip
    assert made.dropped == ("n", "logprobs", "top_logprobs", "seed", "logit_bias", "presence_penalty",
                            "frequency_penalty", "store", "metadata", "made_up")  # fmt: skip
    assert set(json.loads(made.body)) == {"model", "messages", "max_tokens"}


def test_case_40_what_says_nothing_is_not_named() -> None:
    made = translate(n=1, logprobs=False, seed=None, presence_penalty=0, frequency_penalty=0.0, store=False,
                     modalities=["text"], stream=False, stream_options=None)  # fmt: skip
    assert made.dropped == ()


@pytest.mark.parametrize(
    ("model", "given", "kept", "dropped"),
    [
        (MODEL, {"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.3, "top_p": 0.9}, ()),
        (MODEL, {"temperature": 1.7}, {"temperature": 1}, ("temperature",)),
        (MODEL, {"temperature": 0}, {"temperature": 0}, ()),
        (MODEL, {"temperature": "hot"}, {"temperature": "hot"}, ()),
        (MIDDLE, {"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.3}, ("top_p",)),
        (MIDDLE, {"temperature": 0.3, "top_p": 1}, {"temperature": 0.3}, ()),
        (MIDDLE, {"top_p": 0.9}, {"top_p": 0.9}, ()),
        (NEW, {"temperature": 0.3, "top_p": 0.9}, {}, ("temperature", "top_p")),
        (NEW, {"temperature": 1, "top_p": 1}, {}, ()),
        ("my-model", {"temperature": 0.3}, {"temperature": 0.3}, ()),
    ],
)
def test_case_40_sampling(
    model: str, given: dict[str, Any], kept: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    made = translate(model, **given)
    out = json.loads(made.body)
    assert {name: out[name] for name in ("temperature", "top_p") if name in out} == kept
    assert made.dropped == dropped


def test_case_40_thinking_takes_no_sampling() -> None:
    made = translate(reasoning_effort="low", max_tokens=9_000, temperature=0.2, top_p=0.5)
    assert made.dropped == ("temperature", "top_p")
    kept = translate(reasoning_effort="low", max_tokens=9_000, temperature=1, top_p=0.97)
    assert kept.dropped == ()
    assert json.loads(kept.body)["top_p"] == 0.97


@pytest.mark.parametrize(("stop", "made"), [("END", ["END"]), (["a", "b"], ["a", "b"])])
def test_case_41_stop_sequences(stop: Any, made: list[str]) -> None:
    assert sent(stop=stop)["stop_sequences"] == made


def test_case_41_stops_of_white_space_are_left_out_and_named() -> None:
    made = translate(stop=["\n", "END"])
    assert json.loads(made.body)["stop_sequences"] == ["END"]
    assert made.dropped == ("stop",)


def test_case_41_the_sequence_that_stopped_it_is_told() -> None:
    [choice] = completion(message({"type": "text", "text": "x"}, stop="stop_sequence", stop_sequence="END"))[
        "choices"
    ]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "END")
    out, stream = carry(start() + text_block(0, "x") + end("stop_sequence", "END"))
    assert chunks(out)[-1]["choices"][0]["stop_reason"] == "END"
    assert stream.finish_reason == "stop_sequence"


def test_case_43_calls_have_their_own_index() -> None:
    source = (
        start()
        + text_block(0, "Let me")
        + tool_block(1, "t1", "look", '{"a":', " 1}")
        + tool_block(2, "t2", "ask")
    )
    out, stream = carry(source + end("tool_use"))
    got = joined(out)
    assert got["content"] == "Let me"
    assert got["finish_reason"] == "tool_calls"
    assert got["tool_calls"] == {
        0: {"id": "t1", "name": "look", "arguments": '{"a": 1}'},
        1: {"id": "t2", "name": "ask", "arguments": "{}"},
    }
    deltas = [call for chunk in chunks(out) for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert [("id" in call, "name" in call["function"]) for call in deltas].count((True, True)) == 2
    assert all(
        "id" not in call and "name" not in call["function"]
        for call in deltas
        if call["function"]["arguments"]
    )
    assert stream.first_token


def test_case_43_arguments_that_stand_in_the_first_event() -> None:
    first = {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}}
    assert (
        joined(carry(start() + block(0, first) + end("tool_use"))[0])["tool_calls"][0]["arguments"]
        == '{"a":1}'
    )


def test_case_43_arguments_keep_their_bytes() -> None:
    written = '{"z": 1.0, "a": "\\u00e9 é\\n", "n": 12345678901234567890123}'
    call = '{"type":"tool_use","id":"t","name":"look","input":' + written + "}"
    body = message(stop="tool_use").replace(b'"content": []', f'"content": [{call}]'.encode())
    [told] = completion(body)["choices"][0]["message"]["tool_calls"]
    assert told["function"]["arguments"] == written
    parts = [written[place : place + 3] for place in range(0, len(written), 3)]
    got = joined(carry(start() + tool_block(0, "t", "look", *parts) + end("tool_use"))[0])
    assert got["tool_calls"][0]["arguments"] == written
    history = [*HELLO, {"role": "assistant", "tool_calls": [told]}]
    assert written.encode() in translate(messages=history).body


THOUGHT = {"type": "thinking", "thinking": "Hm 漢", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "ZGF0YQ=="}


def test_case_45_thinking_comes_back_as_it_went_out() -> None:
    whole = completion(message(THOUGHT, REDACTED, {"type": "text", "text": "So."}))["choices"][0]["message"]
    assert whole["reasoning_content"] == "Hm 漢"
    assert whole["thinking_blocks"] == [THOUGHT, REDACTED]
    deltas = [{"type": "thinking_delta", "thinking": part} for part in ("Hm", " 漢")]
    signed = [{"type": "signature_delta", "signature": part} for part in ("c2", "ln")]
    empty = {"type": "thinking", "thinking": "", "signature": ""}
    source = start() + block(0, empty, *deltas, *signed) + block(1, REDACTED) + text_block(2, "So.") + end()
    got = joined(carry(source)[0])
    assert got["reasoning_content"] == "Hm 漢"
    assert got["thinking_blocks"] == [THOUGHT, REDACTED]
    out = sent(messages=[*HELLO, whole | {"tool_calls": [CALL]}], tools=[TOOL])
    assert out["messages"][1]["content"][:3] == [THOUGHT, REDACTED, {"type": "text", "text": "So."}]


def test_case_45_unsigned_thinking_stays_behind() -> None:
    unsigned = {"type": "thinking", "thinking": "Hm", "signature": ""}
    turn = {"role": "assistant", "content": "So.", "thinking_blocks": [unsigned], "reasoning_content": "Hm"}
    out = sent(messages=[*HELLO, turn, *HELLO])
    assert out["messages"][1]["content"] == [{"type": "text", "text": "So."}]


@pytest.mark.parametrize(
    ("reason", "made"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("something_new", "stop"),
    ],
)
def test_case_46_finish_reasons(reason: str, made: str) -> None:
    body = message({"type": "text", "text": "x"}, stop=reason)
    assert completion(body)["choices"][0]["finish_reason"] == made
    answer = chat_completion(body, 1)
    assert answer is not None
    assert answer.finish_reason == reason
    out, stream = carry(start() + text_block(0, "x") + end(reason))
    assert joined(out)["finish_reason"] == made
    assert stream.finish_reason == reason


@pytest.mark.parametrize(
    ("status", "kind", "shown", "type_"),
    [
        (400, "invalid_request_error", 400, "invalid_request_error"),
        (401, "authentication_error", 401, "authentication_error"),
        (403, "permission_error", 403, "permission_error"),
        (404, "not_found_error", 404, "invalid_request_error"),
        (413, "request_too_large", 413, "invalid_request_error"),
        (429, "rate_limit_error", 429, "rate_limit_error"),
        (500, "api_error", 500, "api_error"),
        (529, "overloaded_error", 503, "service_unavailable_error"),
    ],
)
def test_case_47_errors_in_the_callers_dialect(status: int, kind: str, shown: int, type_: str) -> None:
    body = json.dumps(
        {"type": "error", "error": {"type": kind, "message": "No."}, "request_id": "r"}
    ).encode()
    answer = chat_error(status, body)
    assert answer.status == shown
    told = json.loads(answer.body)["error"]
    assert told == {"message": "No.", "type": type_, "param": None, "code": kind}
    assert answer.error is not None
    assert answer.error.code == kind


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b'{"error": null}', b"\xff"])
def test_case_47_an_error_that_cannot_be_read(body: bytes) -> None:
    told = json.loads(chat_error(502, body).body)["error"]
    assert told["message"] == "the upstream answered with the status 502"
