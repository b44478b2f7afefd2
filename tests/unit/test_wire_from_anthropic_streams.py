"""Streams of chat upstreams as Anthropic clients get them."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from proxy.wire.chat_stream_to_messages import ChatStreamToMessages
from proxy.wire.sse import FRAME_LIMIT, SseReader
from proxy.wire.translation import TruncatedError

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}}
COUNTED = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 8,
    "output_tokens": 5,
}


def frame(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return frame({"id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": choices, **more})


def call(
    index: int | None, arguments: str | None, name: str | None = None, identifier: str | None = None
) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"tool_calls": [{"index": index, "id": identifier, "type": "function", "function": function}]}


def transcoder(*, wants_thinking: bool = False) -> ChatStreamToMessages:
    return ChatStreamToMessages("claude-x", wants_thinking=wants_thinking)


def run(*frames: bytes, wants_thinking: bool = False) -> tuple[list[dict[str, Any]], ChatStreamToMessages]:
    stream = transcoder(wants_thinking=wants_thinking)
    out = b"".join(stream.feed(data) for data in frames)
    return events(out if stream.done else out + stream.finish()), stream


def events(out: bytes) -> list[dict[str, Any]]:
    """Every event, which the vendor's own package must be able to read."""
    reader = SseReader()
    found = []
    for one in reader.feed(out):
        if one.data is None:
            continue
        value = json.loads(one.data)
        assert one.event is not None
        assert one.event.decode() == value["type"]
        if value["type"] != "error":
            _EVENT.validate_python(value)
        found.append(value)
    assert reader.finish() is None
    return found


def message(found: list[dict[str, Any]]) -> Message:
    """What the vendor's streaming helper makes of the events."""
    data = b"".join(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in found)
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)
    )
    client = Anthropic(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))
    with client, client.messages.stream(model="m", max_tokens=1, messages=[]) as stream:
        return stream.get_final_message()


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [value["type"] for value in found]


TEXT = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "hé"}),
    chunk({"content": "😀"}),
    chunk({}, "stop"),
    chunk(None, usage=USAGE),
    DONE,
]
TOOLS = [
    chunk({"role": "assistant", "content": None}),
    chunk({"content": "Let me see."}),
    chunk(call(0, "", "f", "c1")),
    chunk(call(0, '{"a": ')),
    chunk(call(0, '"é😀"}')),
    chunk(call(1, '{"b": 1.0, "big": 123456789012345678901}', "g", "c2")),
    chunk(call(2, "", "h", "c3")),
    chunk({}, "tool_calls"),
    chunk(None, usage=USAGE),
    DONE,
]
AZURE = [
    frame({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
    chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
    frame(
        {"id": "chatcmpl-1", "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]}
    ),
    chunk({"content": "ok"}),
    chunk({}, "stop", usage=USAGE),
    DONE,
]
THINKING = [
    chunk({"role": "assistant", "reasoning_content": "hm"}),
    chunk({"reasoning_content": " so"}),
    chunk({"content": "yes"}),
    chunk({}, "length"),
    DONE,
]


def test_a_stream_of_text() -> None:
    found, stream = run(*TEXT)
    assert found == [
        {
            "type": "message_start",
            "message": {
                "id": "chatcmpl-1",
                "type": "message",
                "role": "assistant",
                "model": "gpt-4o-2024",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hé"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "😀"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": COUNTED,
        },
        {"type": "message_stop"},
    ]
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens, stream.usage.cached_tokens) == (20, 5, 8)
    assert (stream.finish_reason, stream.upstream_model, stream.done) == ("stop", "gpt-4o-2024", True)


def test_each_piece_goes_out_with_the_chunk_that_brings_it() -> None:
    stream = transcoder()
    assert kinds(events(stream.feed(TEXT[0]))) == ["message_start"]
    assert not stream.first_token
    assert kinds(events(stream.feed(TEXT[1]))) == ["content_block_start", "content_block_delta"]
    assert stream.first_token
    assert kinds(events(stream.feed(TEXT[2]))) == ["content_block_delta"]


def test_text_then_tools() -> None:
    found, _ = run(*TOOLS)
    made = message(found)
    assert [block.type for block in made.content] == ["text", "tool_use", "tool_use", "tool_use"]
    assert [getattr(block, "input", None) for block in made.content[1:]] == [
        {"a": "é😀"},
        {"b": 1.0, "big": 123456789012345678901},
        {},
    ]
    assert [getattr(block, "id", "") for block in made.content[1:]] == ["c1", "c2", "c3"]
    assert (made.stop_reason, made.usage.output_tokens) == ("tool_use", 5)
    pieces = [
        value["delta"]["partial_json"]
        for value in found
        if value.get("delta", {}).get("type") == "input_json_delta"
    ]
    assert pieces == ['{"a": ', '"é😀"}', '{"b": 1.0, "big": 123456789012345678901}']


def test_blocks_never_overlap_and_count_from_zero() -> None:
    for frames in (TEXT, TOOLS, AZURE, THINKING):
        is_open, index = False, -1
        for value in run(*frames, wants_thinking=True)[0]:
            if value["type"] == "content_block_start":
                assert not is_open
                is_open, index = True, index + 1
            if value["type"].startswith("content_block"):
                assert is_open
                assert value["index"] == index
            if value["type"] == "content_block_stop":
                is_open = False
        assert not is_open


def test_mixed_pieces_of_calls_become_whole_blocks() -> None:
    found, _ = run(
        chunk(call(0, None, "f", "c1")),
        chunk(call(1, None, "g", "c2")),
        chunk(call(0, '{"a":')),
        chunk(call(1, '{"b":')),
        chunk({"content": "by the way"}),
        chunk(call(0, "1}")),
        chunk(call(1, "2}")),
        chunk({}, "tool_calls"),
        DONE,
    )
    content = message(found).content
    assert [block.type for block in content] == ["tool_use", "tool_use", "text"]
    assert [getattr(block, "input", None) for block in content[:2]] == [{"a": 1}, {"b": 2}]


def test_calls_that_share_an_index_or_have_none_are_told_apart_by_id() -> None:
    for index in (0, None):
        found, _ = run(
            chunk(call(index, '{"a":1}', "f", "c1")),
            chunk(call(index, '{"a":2}', "f", "c2")),
            chunk({}, "stop"),
            DONE,
        )
        made = message(found)
        assert [getattr(block, "input", None) for block in made.content] == [{"a": 1}, {"a": 2}]
        assert made.stop_reason == "tool_use"


def test_a_name_that_comes_late_or_twice_is_one_name() -> None:
    found, _ = run(
        chunk(call(0, '{"a"', None, "c1")),
        chunk(call(0, ":1", "f", None)),
        chunk(call(0, "}", "f", "c1")),
        chunk({}, "tool_calls"),
        DONE,
    )
    block = message(found).content[0]
    assert (block.type, getattr(block, "name", ""), getattr(block, "input", None)) == (
        "tool_use",
        "f",
        {"a": 1},
    )


def test_thinking_is_a_block_for_who_asked_for_it() -> None:
    made = message(run(*THINKING, wants_thinking=True)[0])
    assert [block.type for block in made.content] == ["thinking", "text"]
    assert getattr(made.content[0], "thinking", "") == "hm so"
    assert made.stop_reason == "max_tokens"
    found, stream = run(*THINKING)
    assert [block.type for block in message(found).content] == ["text"]
    assert stream.first_token


def test_a_refusal_in_pieces() -> None:
    made = message(run(chunk({"refusal": "I "}), chunk({"refusal": "cannot."}), chunk({}, "stop"), DONE)[0])
    assert (getattr(made.content[0], "text", ""), made.stop_reason) == ("I cannot.", "refusal")


def test_usage_in_two_places_is_merged_and_never_summed() -> None:
    partly = {"prompt_tokens": 20, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}}
    found, stream = run(
        chunk({"content": "x"}, usage=partly),
        chunk({}, "stop", usage={"prompt_tokens": 20, "completion_tokens": 4}),
        chunk(None, usage={"prompt_tokens": 20, "completion_tokens": 5}),
        DONE,
    )
    assert found[0]["message"]["usage"]["input_tokens"] == 12
    assert found[-2]["usage"] == COUNTED
    assert stream.usage is not None
    assert stream.usage.output_tokens == 5


def test_without_done_the_finish_reason_is_the_end_and_without_both_it_is_cut() -> None:
    found, stream = run(chunk({"content": "x"}), chunk({}, "stop"), chunk(None, usage=USAGE))
    assert (found[-1]["type"], found[-2]["usage"]) == ("message_stop", COUNTED)
    assert stream.done
    cut = transcoder()
    assert b"message_stop" not in cut.feed(chunk({"content": "x"}))
    with pytest.raises(TruncatedError):
        cut.finish()
    with pytest.raises(TruncatedError):
        transcoder().finish()


def test_a_last_frame_without_its_blank_line_is_read() -> None:
    stream = transcoder()
    out = stream.feed(chunk({"content": "x"}, "stop") + b"data: [DONE]")
    assert kinds(events(out + stream.finish()))[-1] == "message_stop"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (frame({"choices": [], "error": {"message": "m", "type": "server_error"}}), "api_error"),
        (frame({"error": {"message": "m", "code": 429}}), "rate_limit_error"),
        (frame({"error": {"message": "m", "code": "context_length_exceeded"}}), "invalid_request_error"),
        (frame({"error": "m"}), "api_error"),
        (b'event: error\ndata: {"error":{"message":"m","type":"overloaded_error"}}\n\n', "overloaded_error"),
    ],
)
def test_an_error_in_the_stream_is_an_event_of_the_dialect_and_nothing_follows(
    data: bytes, kind: str
) -> None:
    found, stream = run(chunk({"content": "x"}), data, chunk({"content": "y"}), DONE)
    assert kinds(found) == ["message_start", "content_block_start", "content_block_delta", "error"]
    assert (found[-1]["error"]["type"], found[-1]["error"]["message"]) == (kind, "m")
    assert stream.error is not None
    assert stream.error.message == "m"
    assert stream.done


@pytest.mark.parametrize(
    "data",
    [
        b"data: {broken\n\n",
        b"data: [1]\n\n",
        chunk({"tool_calls": [{"index": 0, "id": "c2"}]}) + chunk({}, "tool_calls") + DONE,
    ],
)
def test_what_cannot_be_read_is_an_error_and_no_made_up_ending(data: bytes) -> None:
    found, stream = run(chunk({"content": "x"}), data)
    assert found[-1]["type"] == "error"
    assert stream.error is not None


def test_a_call_that_goes_on_behind_its_end_is_an_error() -> None:
    found, stream = run(
        chunk(call(0, "{}", "f", "c1")),
        chunk(call(1, "{}", "g", "c2")),
        chunk(call(0, " ")),
        chunk(call(0, "{}")),
    )
    assert (found[-1]["type"], stream.done) == ("error", True)


def test_blanks_behind_arguments_are_no_harm() -> None:
    found, stream = run(
        chunk(call(0, "{}\n", "f", "c1")),
        chunk(call(1, "{}", "g", "c2")),
        chunk(call(0, " ")),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert stream.error is None
    places = [value["index"] for value in found if value["type"] == "content_block_stop"]
    assert places == [0, 1]
    early = transcoder()
    early.feed(chunk(call(0, "{}\n", "f", "c1")))
    assert b'"name":"g"' in early.feed(chunk(call(1, "", "g", "c2")))


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    found, _ = run(chunk(call(0, "{}", "f")), chunk(call(1, "{}", "g")), chunk({}, "tool_calls"), DONE)
    assert [getattr(block, "id", "") for block in message(found).content] == [
        "call_chatcmpl-1_0",
        "call_chatcmpl-1_1",
    ]


def test_content_in_parts_is_its_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "other"}, {"type": "text", "text": "b"}]
    made = message(run(chunk({"content": parts}), chunk({}, "stop"), DONE)[0])
    assert getattr(made.content[0], "text", "") == "ab"


def test_an_error_event_without_an_error_object_is_one() -> None:
    found, stream = run(b'event: error\ndata: {"message":"m"}\n\n')
    assert kinds(found) == ["error"]
    assert stream.error is not None


def test_a_frame_beyond_every_measure_is_an_error() -> None:
    stream = transcoder()
    out = stream.feed(b"data: " + b"x" * (FRAME_LIMIT + 1))
    assert (kinds(events(out)), stream.done) == (["error"], True)
    assert stream.feed(b"more") == b""


def test_a_stream_that_says_only_that_it_is_done_is_an_empty_message() -> None:
    found, _ = run(DONE)
    assert kinds(found) == ["message_start", "message_delta", "message_stop"]
    assert message(found).id.startswith("msg_")


def test_comments_pass_and_pings_do_not() -> None:
    stream = transcoder()
    assert stream.feed(b": keepalive\n\n") == b": keepalive\n\n"
    assert stream.feed(b"event: ping\ndata: pong\n\n") == b""
    assert stream.feed(b"event: other\n\n\n") == b""
    assert not stream.first_token
    assert stream.error is None


def test_only_the_first_choice_is_told() -> None:
    other = frame({"id": "i", "choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]})
    made = message(run(chunk({"content": "yes"}), other, chunk({}, "stop"), DONE)[0])
    assert [getattr(block, "text", "") for block in made.content] == ["yes"]


STREAMS = {
    "text": b"".join(TEXT),
    "tools": b"".join(TOOLS),
    "azure": b"".join(AZURE),
    "thinking": b"".join(THINKING),
    "crlf": b": hello\r\n\r\n" + b"".join(TOOLS).replace(b"\n", b"\r\n"),
    "multi-line": b'data: {"choices":\ndata: [{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    + DONE,
    "no done": b"".join(TEXT[:-1]),
    "error": TEXT[0] + TEXT[1] + frame({"error": {"message": "m"}}),
}


def whole(name: str) -> bytes:
    stream = transcoder(wants_thinking=True)
    out = stream.feed(STREAMS[name])
    return out if stream.done else out + stream.finish()


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte_is_the_same(name: str) -> None:
    stream = transcoder(wants_thinking=True)
    data = STREAMS[name]
    out = b"".join(stream.feed(data[at : at + 1]) for at in range(len(data)))
    assert (out if stream.done else out + stream.finish()) == whole(name)


@given(name=st.sampled_from(sorted(STREAMS)), cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_chunk_boundaries_change_nothing(name: str, cuts: list[int]) -> None:
    stream = transcoder(wants_thinking=True)
    data = STREAMS[name]
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = b"".join(stream.feed(data[start:end]) for start, end in itertools.pairwise(places))
    assert (out if stream.done else out + stream.finish()) == whole(name)


@given(st.data())
def test_any_arguments_in_any_mix_arrive_byte_for_byte(data: st.DataObject) -> None:
    texts = st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.integers() | st.none(), max_size=4)
    calls = [
        json.dumps(value, ensure_ascii=data.draw(st.booleans()))
        for value in data.draw(st.lists(texts, min_size=1, max_size=4))
    ]
    pieces = [(index, piece) for index, text in enumerate(calls) for piece in _cut(text, data)]
    turns = data.draw(st.permutations([index for index, _ in pieces]))
    left = {index: [piece for one, piece in pieces if one == index] for index in range(len(calls))}
    frames = [chunk(call(index, "", f"f{index}", f"c{index}")) for index in range(len(calls))]
    frames += [chunk(call(index, left[index].pop(0))) for index in turns]
    found, _ = run(*frames, chunk({}, "tool_calls"), DONE)
    arrived = [""] * len(calls)
    for value in found:
        if value["type"] == "content_block_delta":
            arrived[value["index"]] += value["delta"]["partial_json"]
    assert arrived == calls


def _cut(text: str, data: st.DataObject) -> list[str]:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
