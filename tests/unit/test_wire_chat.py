"""What is read of a request, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.policy.facts import Endpoint
from proxy.wire.chat import read_request
from proxy.wire.errors import RequestError

TEXT = [{"role": "user", "content": "hé😀"}]


def read(body: dict[str, Any] | bytes, endpoint: Endpoint = "chat") -> Any:
    return read_request(endpoint, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_the_facts_of_a_chat_request() -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    found = read(
        {
            "model": "gpt-4o",
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": parts},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                {"role": "tool", "tool_call_id": "1", "content": "42"},
            ],
            "tools": [{"type": "function"}],
            "user": "u-1",
            "safety_identifier": "s-1",
            "metadata": {"team": "search", "n": 3},
            "max_tokens": 1,
            "max_completion_tokens": 3,
        }
    )
    assert (found.model, found.stream, found.asks_usage) == ("gpt-4o", True, True)
    assert found.prompt_chars == len("Be kind.") + len("look") + len("42")
    assert (found.has_images, found.has_tools) == (True, True)
    assert (found.user, found.safety_identifier, found.metadata) == ("u-1", "s-1", {"team": "search"})
    assert found.max_tokens == 3


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_output_tokens": 6, "max_tokens": 5}, 6),
        ({"max_completion_tokens": 7, "max_output_tokens": 6}, 7),
        ({"max_completion_tokens": None, "max_tokens": 5}, 5),
        ({"max_tokens": "5"}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": 5000.0}, 5000),
        ({"max_tokens": 1.5}, None),
        ({"max_tokens": 10**30}, 2**63 - 1),
        ({}, None),
    ],
)
def test_max_tokens_is_the_first_that_is_there(limits: dict[str, Any], expected: int | None) -> None:
    assert read({"model": "m", "messages": TEXT, **limits}).max_tokens == expected


def test_characters_are_counted_not_bytes() -> None:
    assert read({"model": "m", "messages": TEXT}).prompt_chars == 3
    assert read(b'{"model":"m","messages":[{"content":"h\\u00e9\\ud83d\\ude00"}]}').prompt_chars == 3


@pytest.mark.parametrize(
    ("endpoint", "body", "chars"),
    [
        ("completions", {"prompt": "abc"}, 3),
        ("completions", {"prompt": ["abc", "de"]}, 5),
        ("completions", {"prompt": [1, 2, 3]}, None),
        ("embeddings", {"input": "abc"}, 3),
        ("embeddings", {"input": ["abc", "d"]}, 4),
        ("embeddings", {"input": [[1, 2], [3]]}, None),
        ("moderations", {"input": [{"type": "text", "text": "abc"}]}, 3),
        ("chat", {"messages": "nonsense"}, None),
        ("chat", {"messages": [{"content": [{"type": "text", "text": 7}, "loose"]}, 5]}, 5),
        ("chat", {}, None),
    ],
)
def test_prompts_of_every_shape(endpoint: Endpoint, body: dict[str, Any], chars: int | None) -> None:
    assert read({"model": "m", **body}, endpoint).prompt_chars == chars


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b'{"model":"a","model":"b"}', "duplicate_key", "model stands twice"),
        (b'{"model":"a","stre\\u0061m":true,"stream":false}', "duplicate_key", "stream stands twice"),
        (b'{"model":"a","x":NaN}', "invalid_json", "not valid JSON"),
        (b'{"model":"a"} {}', "invalid_json", "not valid JSON"),
        (b'{"messages":[]}', "missing_model", "names no model"),
        (b'{"model":5}', "invalid_model", "as a string"),
        (b'{"model":""}', "invalid_model", "as a string"),
        (b'{"model":"' + b"m" * 300 + b'"}', "invalid_model", "longer than"),
        (b'{"model":"m","messages":[{"content":"\xff"}]}', "invalid_json", "UTF-8"),
        (b'{"model":"m\xff"}', "invalid_json", "UTF-8"),
        (b'{"model":"m","stream_options":{"include_usage":1,"include_usage":true}}', "invalid_json", "twice"),
        (b"[]", "invalid_json", "JSON object"),
    ],
)
def test_what_is_ambiguous_is_a_400_with_a_sentence(body: bytes, code: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read(body)
    assert (caught.value.status, caught.value.code) == (400, code)


def test_a_doubled_key_that_nobody_reads_is_the_vendor_s_business() -> None:
    assert read(b'{"model":"m","seed":1,"seed":2,"messages":[]}').model == "m"
