"""Whatever a client or an upstream sends: an answer, or an error that says what is wrong."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_a_support import CREATED, HELLO, MIDDLE, MODEL, NEW, message

from proxy.wire.chat import read_request
from proxy.wire.chat_to_messages import messages_request
from proxy.wire.errors import RequestError
from proxy.wire.message_to_chat import chat_completion, chat_error
from proxy.wire.messages_stream_to_chat import MessagesStreamToChat
from proxy.wire.translation import TruncatedError

_WORDS_TEXT = """
type text name role content function arguments id tool_calls tool_call_id image_url url file file_data
refusal parameters properties items $ref $defs anyOf strict schema json_schema json_object description
enum required user assistant system tool auto none any object array string {} data:image/png;base64,AA==
#/$defs/a index delta content_block input thinking signature tool_use text_delta input_json_delta
partial_json message_start content_block_start content_block_delta content_block_stop message_delta
message_stop error usage input_tokens output_tokens stop_reason redacted_thinking data stop_details
explanation allowed_tools tools mode
"""
WORDS = st.sampled_from(_WORDS_TEXT.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
_KEYS_TEXT = """
messages tools tool_choice response_format stop temperature top_p top_k reasoning_effort thinking user
safety_identifier service_tier max_tokens max_completion_tokens n functions parallel_tool_calls stream
"""
KEYS = st.sampled_from(_KEYS_TEXT.split())
MODELS = st.sampled_from([MODEL, MIDDLE, NEW, "other", ""])
SHAPES = st.fixed_dictionaries(
    {"role": WORDS},
    optional={"content": VALUES, "tool_calls": st.lists(VALUES, max_size=2), "thinking_blocks": VALUES},
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.lists(SHAPES, max_size=3), MODELS)
def test_any_request_is_translated_or_refused(more: dict[str, Any], messages: list[Any], model: str) -> None:
    body = json.dumps({"model": "m", "messages": [*HELLO, *messages]} | more).encode()
    parsed = read_request("chat", body)
    with contextlib.suppress(RequestError):
        made = messages_request(parsed, model)
        assert json.loads(made.body)["messages"][0]["role"] == "user"
        assert len(set(made.dropped)) == len(made.dropped)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.dictionaries(WORDS, VALUES, max_size=4) | VALUES, max_size=6), st.booleans())
def test_any_stream_is_carried(events: list[Any], json_tool: bool) -> None:
    stream = MessagesStreamToChat(CREATED, includes_usage=True, json_tool=json_tool)
    for value in events:
        out = stream.feed(b"data: " + json.dumps(value).encode() + b"\n\n")
        assert out == b"" or out.endswith(b"\n\n")
    with contextlib.suppress(TruncatedError):
        stream.finish()


@pytest.mark.parametrize("kind", ["start", "delta", "stop"])
@pytest.mark.parametrize("index", [[1], {}, None, "x", -1, 10**30])
def test_an_index_of_any_kind(kind: str, index: Any) -> None:
    stream = MessagesStreamToChat(CREATED, includes_usage=False)
    value = {
        "index": index,
        "content_block": {"type": "text", "text": "a"},
        "delta": {"type": "text_delta", "text": "a"},
    }
    stream.feed(b'data: {"type":"content_block_start","index":5,"content_block":{"type":"text"}}\n\n')
    out = stream.feed(b"data: " + json.dumps(value | {"type": f"content_block_{kind}"}).encode() + b"\n\n")
    assert (b'"content":"a"' in out) == (kind != "stop")


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(WORDS, VALUES, max_size=4),
    st.lists(st.dictionaries(WORDS, VALUES, max_size=4), max_size=3),
)
def test_any_answer_is_read_or_not(more: dict[str, Any], content: list[Any]) -> None:
    answer = chat_completion(message(**({"content": content} | more | {"type": "message"})), CREATED)
    assert answer is not None
    assert json.loads(answer.body)["object"] == "chat.completion"


@settings(max_examples=40, deadline=None)
@given(VALUES, st.integers(400, 599))
def test_any_error_is_an_error(value: Any, status: int) -> None:
    told = json.loads(chat_error(status, json.dumps(value).encode()).body)["error"]
    assert told["message"]


@pytest.mark.parametrize("depth", [500, 900, 990, 5_000])
def test_deep_nesting_is_no_crash(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    parameters = {"type": "string", "enum": ["@"]}
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": parameters}}
    body = json.dumps({"model": "m", "messages": HELLO, "tools": [tool]}).replace('"@"', deep)
    with contextlib.suppress(RequestError):
        messages_request(read_request("chat", body.encode()), MIDDLE)
