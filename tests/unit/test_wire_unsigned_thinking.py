"""Thinking without a signature does not go to Anthropic; every other byte does."""

from __future__ import annotations

import pytest

from proxy.wire.chat import read_request
from proxy.wire.json_scan import splice
from proxy.wire.unsigned_thinking import drop_unsigned

HEAD = b'{"model": "m",  "messages": '
UNSIGNED = b'{"type": "thinking", "thinking": "hm", "signature": ""}'
SIGNED = b'{"type":"thinking","thinking":"hm","signature":"c2ln"}'
CALL = b'{"type":"tool_use","id":"t","name":"f","input":{"n": 1.0, "big":123456789012345678901234567890}}'


def without(messages: bytes) -> bytes:
    body = HEAD + messages + b"}"
    edit = drop_unsigned(read_request("messages", body))
    return (splice(body, [edit]) if edit is not None else body)[len(HEAD) : -1]


def test_only_the_unsigned_block_goes_and_the_others_keep_their_bytes() -> None:
    before = b'[{"role":"assistant","content":[' + UNSIGNED + b"," + SIGNED + b"," + CALL + b"]}]"
    assert without(before) == b'[{"role":"assistant","content":[' + SIGNED + b"," + CALL + b"]}]"


def test_a_message_of_nothing_else_goes_too() -> None:
    assert without(b'[{"role":"user","content":"x"},{"role":"assistant","content":[' + UNSIGNED + b"]}]") == (
        b'[{"role":"user","content":"x"}]'
    )


@pytest.mark.parametrize(
    "messages",
    [
        b'[ {"role": "assistant", "content": [' + SIGNED + b"]} ]",
        b'[ {"role": "user", "content": "\\"signature\\":\\"\\""} ]',
        b'[ {"role": "user", "content": [ {"type":"tool_use","input":{"signature":""}} ]} ]',
        b'[ {"role": "user", "content": [ {"type":"text","text":"x","signature":""}, 5 ]} ]',
        b'[ 5, {"signature":""} ]',
        b'{"signature":""}',
    ],
)
def test_everything_else_stays_byte_for_byte(messages: bytes) -> None:
    assert without(messages) == messages
