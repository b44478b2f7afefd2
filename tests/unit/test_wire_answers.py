"""What answers and streams say about themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.errors import error_frame, read_error
from proxy.wire.sse import SseReader
from proxy.wire.stream_tap import StreamTap, read_answer
from proxy.wire.usage import Usage, openai_usage


def tap_of(*frames: Any) -> tuple[StreamTap, list[bool]]:
    tap, reader = StreamTap(), SseReader()
    text = b"".join(
        f if isinstance(f, bytes) else b"data: " + json.dumps(f).encode() + b"\n\n" for f in frames
    )
    return tap, [tap.see(frame) for frame in reader.feed(text)]


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


USAGE = {"prompt_tokens": 10, "completion_tokens": 4}


def test_a_stream_from_its_first_frame_to_done() -> None:
    tap, hidden = tap_of(
        {"id": "", "model": "", "choices": [], "prompt_filter_results": [{}]},
        b": OPENROUTER PROCESSING\n\n",
        chunk({"role": "assistant", "content": ""}),
    )
    assert hidden == [False, False, False] and not tap.content and tap.model == "m-1"
    tap, hidden = tap_of(
        chunk({"content": "Hi"}), chunk({}, "stop"), {"choices": [], "usage": USAGE}, b"data: [DONE]\n\n"
    )
    assert tap.content and tap.done and tap.complete and tap.finish_reason == "stop"
    assert hidden == [False, False, True, False]
    assert tap.usage == Usage(input_tokens=10, output_tokens=4)


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0}]},
        {"refusal": "no"},
        {"reasoning_content": "hm"},
        {"function_call": {"name": "f"}},
    ],
)
def test_tool_calls_refusals_and_reasoning_are_first_tokens(delta: dict[str, Any]) -> None:
    assert tap_of(chunk(delta))[0].content


def test_text_of_the_completions_dialect_is_a_first_token() -> None:
    assert tap_of({"choices": [{"text": "Hi", "index": 0, "finish_reason": None}]})[0].content


def test_a_frame_with_choices_and_usage_is_not_hidden_and_figures_are_not_summed() -> None:
    tap, hidden = tap_of(
        chunk({"content": "a"}, usage={"prompt_tokens": 10, "completion_tokens": 1}),
        chunk({"content": "b"}, usage={"completion_tokens": 2}),
    )
    assert hidden == [False, False]
    assert tap.usage == Usage(input_tokens=10, output_tokens=2)


def test_an_error_inside_a_stream_is_an_error_and_no_usage_frame() -> None:
    tap, hidden = tap_of({"choices": [], "error": {"message": "busy", "type": "overloaded"}, "usage": USAGE})
    assert hidden == [False]
    assert tap.error is not None and (tap.error.code, tap.error.message) == ("overloaded", "busy")
    tap, _ = tap_of(b'event: error\ndata: "odd"\n\n')
    assert tap.error is not None


@pytest.mark.parametrize(
    "frame",
    [
        b"data: {not json}\n\n",
        b"data: 5\n\n",
        b"data: \xff\n\n",
        b'data: {"choices":[7]}\n\n',
        chunk(None),
        {"choices": None},
    ],
)
def test_nonsense_changes_nothing(frame: Any) -> None:
    tap, hidden = tap_of(frame)
    assert hidden == [False] and tap.error is None and not tap.content and not tap.complete


def test_done_inside_content_is_content() -> None:
    tap, _ = tap_of(chunk({"content": "data: [DONE]"}))
    assert not tap.done


def test_details_of_usage() -> None:
    report = {
        "prompt_tokens": 10,
        "completion_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert openai_usage(report) == Usage(10, 8, 6, None, 5)
    assert openai_usage({"input_tokens": 1, "output_tokens": 2}) == Usage(1, 2)


@pytest.mark.parametrize("bad", [-1, 10**18, "7", True, 1.5, None])
def test_impossible_counts_are_unknown_never_zero(bad: Any) -> None:
    found = openai_usage({"prompt_tokens": bad, "completion_tokens": 3})
    assert found is not None and found.input_tokens is None and not found.reported


def test_more_cached_than_input_is_unknown() -> None:
    found = openai_usage(
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}
    )
    assert found == Usage(5, 1)


def test_whole_answers() -> None:
    body = json.dumps(
        {"model": "m", "choices": [{"finish_reason": "length", "message": {}}], "usage": USAGE}
    ).encode()
    found = read_answer(body, generates=True)
    assert (found.model, found.finish_reason, found.usage) == ("m", "length", Usage(10, 4))
    embedded = read_answer(
        b'{"data":[],"model":"e","usage":{"prompt_tokens":4,"total_tokens":4}}', generates=False
    )
    assert embedded.usage == Usage(4, 0)
    assert read_answer(b"<html>", generates=True).usage is None


def test_errors_are_read_and_written_in_the_dialect() -> None:
    frame = error_frame(502, "stream_truncated", "it broke off")
    assert json.loads(frame.removeprefix(b"data: "))["error"] == {
        "message": "it broke off",
        "type": "upstream_error",
        "param": None,
        "code": "stream_truncated",
    }
    found = read_error(b'{"error":{"message":"slow down","code":"rate_limited"}}')
    assert found is not None and found.code == "rate_limited"
    assert read_error(b'{"error":"plain"}') is not None
    assert read_error(b"oops") is None and read_error(b'{"ok":1}') is None
