"""Anthropic's streams on their way to OpenAI clients: whatever the chunks, and the same as the whole answer."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from wire_a_support import (
    CREATED,
    HELLO,
    MODEL,
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
)

from proxy.wire.chat import read_request
from proxy.wire.chat_turns import JSON_TOOL
from proxy.wire.errors import RequestError
from proxy.wire.messages_stream_to_chat import MessagesStreamToChat
from proxy.wire.transcode import stream_transcoder, translate_answer, translate_request
from proxy.wire.translation import TruncatedError

THINKING = block(
    0,
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "漢 first"},
    {"type": "signature_delta", "signature": "c2ln"},
)
RICH = (
    start(cache_read_input_tokens=4)
    + event("ping")
    + THINKING
    + text_block(1, "Let ", "me 😀", "")
    + b": a comment\n\n"
    + tool_block(2, "t1", "look", "", '{"place": "', "Zürich", '"}')
    + tool_block(3, "t2", "ask")
    + end("tool_use")
)
BROKEN = start() + text_block(0, "hi") + event("error", error={"type": "api_error", "message": "no"})
CUT = start() + text_block(0, "hi 漢") + tool_block(1, "t1", "look", '{"a"')
FORM = start() + text_block(0, "Here:") + tool_block(1, "t", JSON_TOOL, '{"a"', ": 1}") + end("tool_use")
STREAMS = st.sampled_from(
    [RICH, BROKEN, CUT, FORM, RICH.replace(b"\n", b"\r\n"), RICH.replace(b"data: {", b"data: \ndata:{")]
)


def outcome(pieces: list[bytes], json_tool: bool) -> tuple[Any, ...]:
    stream = MessagesStreamToChat(CREATED, includes_usage=True, json_tool=json_tool)
    out = b"".join(stream.feed(piece) for piece in pieces)
    try:
        out += stream.finish()
        cut = False
    except TruncatedError:
        cut = True
    said = (
        stream.usage,
        stream.finish_reason,
        stream.upstream_model,
        stream.first_token,
        stream.done,
        stream.error,
    )
    return out, cut, said


@settings(max_examples=150, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 3_000), max_size=12), st.booleans())
def test_what_the_client_gets_does_not_depend_on_the_chunks(
    source: bytes, cuts: list[int], json_tool: bool
) -> None:
    whole = outcome([source], json_tool)
    places = sorted({0, len(source), *(cut for cut in cuts if cut < len(source))})
    assert outcome([source[a:b] for a, b in itertools.pairwise(places)], json_tool) == whole


@pytest.mark.parametrize("source", [RICH, FORM], ids=["rich", "form"])
def test_byte_by_byte(source: bytes) -> None:
    pieces = [source[place : place + 1] for place in range(len(source))]
    assert outcome(pieces, True) == outcome([source], True)


def test_every_output_of_feed_is_whole_frames() -> None:
    stream = MessagesStreamToChat(CREATED, includes_usage=True)
    for place in range(0, len(RICH), 7):
        out = stream.feed(RICH[place : place + 7])
        assert out == b"" or out.endswith(b"\n\n")


def test_the_role_comes_first_and_once() -> None:
    out, _ = carry(RICH)
    roles = [chunk["choices"][0]["delta"].get("role") for chunk in chunks(out)]
    assert roles[0] == "assistant"
    assert roles.count("assistant") == 1
    late, _ = carry(tool_block(0, "t", "look") + end("tool_use"))  # message_start never came
    assert chunks(late)[0]["choices"][0]["delta"]["role"] == "assistant"


def test_every_chunk_names_the_answer_its_model_and_time() -> None:
    for chunk in chunks(carry(RICH)[0]):
        assert (chunk["id"], chunk["model"], chunk["created"]) == ("msg_1", MODEL, CREATED)


def test_only_the_last_choice_has_a_finish_reason() -> None:
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks(carry(RICH)[0])]
    assert reasons == [None] * (len(reasons) - 1) + ["tool_calls"]


def test_done_is_known_with_the_last_event_and_nothing_follows_it() -> None:
    stream = MessagesStreamToChat(CREATED, includes_usage=False)
    head, stop = RICH[: RICH.index(b"event: message_stop")], RICH[RICH.index(b"event: message_stop") :]
    stream.feed(head)
    assert not stream.done
    assert stream.feed(stop) == b"data: [DONE]\n\n"
    assert stream.done
    assert stream.feed(text_block(9, "late")) == b""
    assert stream.finish() == b""


def test_an_end_without_a_reason_is_still_an_end() -> None:
    out, stream = carry(start() + text_block(0, "x") + event("message_stop"))
    assert joined(out)["finish_reason"] == "stop"
    assert stream.finish_reason is None


def test_the_stream_says_what_the_whole_answer_says() -> None:
    whole = completion(
        message(
            {"type": "thinking", "thinking": "漢 first", "signature": "c2ln"},
            {"type": "text", "text": "Let me 😀"},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"place": "Zürich"}},
            {"type": "tool_use", "id": "t2", "name": "ask", "input": {}},
            stop="tool_use",
        )
    )["choices"][0]
    got = joined(carry(RICH)[0])
    told = whole["message"]
    for name in ("content", "reasoning_content", "thinking_blocks"):
        assert got[name] == told[name]
    assert got["finish_reason"] == whole["finish_reason"]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in told["tool_calls"]
    ]
    assert calls == [
        (call["id"], call["name"], json.loads(call["arguments"])) for call in got["tool_calls"].values()
    ]


def test_the_official_clients_own_accumulator_takes_it_and_its_message_can_be_given_back() -> None:
    state = ChatCompletionStreamState()
    second = block(1, {"type": "redacted_thinking", "data": "ZGF0YQ=="})
    source = RICH.replace(b"event: content_block_start", second + b"event: content_block_start", 1)
    for value in chunks(carry(source, usage=True)[0]):
        state.handle_chunk(ChatCompletionChunk.model_validate(value))
    final = state.get_final_completion()
    told: Any = final.choices[0].message.model_dump(exclude_none=True)
    assert told["content"] == "Let me 😀"
    assert told["reasoning_content"] == "漢 first"
    assert [call["function"]["arguments"] for call in told["tool_calls"]] == ['{"place": "Zürich"}', "{}"]
    assert final.usage is not None
    assert final.usage.prompt_tokens == 14
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in told["tool_calls"]]
    given = sent(messages=[*HELLO, told, *results])["messages"][1]["content"]
    assert given[:3] == [
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "thinking", "thinking": "漢 first", "signature": "c2ln"},
        {"type": "text", "text": "Let me 😀"},
    ]


def test_a_refusal_is_told_in_the_vendors_words() -> None:
    details = {"type": "refusal", "category": None, "explanation": "Not that."}
    whole = completion(message(stop="refusal", stop_details=details))["choices"][0]
    assert whole["message"]["refusal"] == "Not that."
    assert whole["message"]["content"] is None
    delta = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    source = start() + event("message_delta", delta=delta, usage={"output_tokens": 0}) + event("message_stop")
    assert joined(carry(source)[0])["refusal"] == "Not that."


def test_blocks_that_are_open_at_the_same_time_do_not_mix() -> None:
    def call(index: int, name: str) -> bytes:
        first = {"type": "tool_use", "id": name, "name": name, "input": {}}
        return event("content_block_start", index=index, content_block=first)

    def part(index: int, text: str) -> bytes:
        return event(
            "content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": text}
        )

    source = (
        start()
        + call(0, "a")
        + call(1, "b")
        + part(0, '{"x"')
        + part(1, '{"y"')
        + part(0, ":1}")
        + part(1, ":2}")
    )
    stops = event("content_block_stop", index=0) + event("content_block_stop", index=1)
    got = joined(carry(source + stops + end("tool_use"))[0])
    assert [call["arguments"] for call in got["tool_calls"].values()] == ['{"x":1}', '{"y":2}']


@pytest.mark.parametrize(
    "odd",
    [
        b"data: not json\n\n",
        b"data: [1]\n\n",
        b"data: \n\n",
        event("something_new", value=1),
        event("content_block_delta", index=7, delta={"type": "text_delta"}),
        event("content_block_delta", index=7, delta={"type": "input_json_delta", "partial_json": "{"}),
        event("content_block_delta", index=7),
        event("content_block_stop", index=[1]),
        event(
            "content_block_start",
            index=7,
            content_block={"type": "server_tool_use", "id": "s", "name": "web"},
        ),
        event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}),
        event("message_delta", delta=None, usage=None),
    ],
)
def test_what_is_not_known_changes_nothing(odd: bytes) -> None:
    plain, _ = carry(start() + text_block(0, "hi") + end())
    assert carry(start() + odd + text_block(0, "hi") + odd + end())[0] == plain


def test_half_a_character_in_an_escape_is_kept() -> None:
    raw = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "@"}).replace(
        b'"@"', b'"\\ud83d"'
    )
    other = raw.replace(b"d83d", b"de00")
    opened = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    out, _ = carry(start() + opened + raw + other + end())
    assert b'"\\ud83d"' in out
    assert b'"\\ude00"' in out


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"not json", b'{"type":"error","error":{"type":"x"}}', b"\xff", b'{"type":"message"'],
)
def test_a_whole_answer_that_cannot_be_read_is_an_error_of_ours(body: bytes) -> None:
    parsed = read_request("chat", b'{"model":"m","messages":[]}')
    with pytest.raises(RequestError) as caught:
        translate_answer("chat", 200, body, parsed, CREATED)
    assert caught.value.status == 502


@pytest.mark.parametrize(
    "content", [None, "text", [None, 3], [{"type": "text", "text": None}], [{"type": "new"}]]
)
def test_odd_content_is_no_content(content: Any) -> None:
    told = completion(message(content=content))["choices"][0]["message"]
    assert told["content"] is None


def test_a_call_without_an_object_gets_one() -> None:
    call = {"type": "tool_use", "id": "t", "name": "look", "input": None}
    [told] = completion(message(call, stop="tool_use"))["choices"][0]["message"]["tool_calls"]
    assert told["function"]["arguments"] == "{}"


def test_only_chat_goes_to_anthropic() -> None:
    parsed = read_request("embeddings", b'{"model":"m","input":"x"}')
    with pytest.raises(RequestError) as caught:
        translate_request("embeddings", parsed, "anthropic", MODEL)
    assert caught.value.status == 400
    assert "embeddings" in caught.value.message


def test_the_three_functions_fit_together() -> None:
    wanted = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    wanted |= {"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}}
    parsed = read_request("chat", json.dumps(wanted).encode())
    made = translate_request("chat", parsed, "anthropic", MODEL)
    assert made.json_tool
    stream = stream_transcoder("chat", parsed, CREATED, json_tool=made.json_tool)
    got = stream.feed(FORM) + stream.finish()
    assert joined(got)["content"] == '{"a": 1}'
    assert chunks(got)[-1]["usage"]["prompt_tokens"] == 10
