"""The scan that finds values by their place: exact offsets, strict about what is JSON, blind to look-alikes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.json_scan import ScanError, Span, ask_usage, scan_object, set_model, splice

KEYS = st.sampled_from(["model", "stream", "stream_options", "a", '"model":', "\\", "é", ""]) | st.text(
    max_size=5
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.just('{"model":"x","stream":true}'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
SPACE = st.text(" \t\n\r", max_size=2)


@given(st.lists(st.tuples(KEYS, VALUES, SPACE, SPACE), max_size=6), st.booleans())
def test_every_value_is_found_where_it_stands(
    members: list[tuple[str, Any, str, str]], ascii_only: bool
) -> None:
    parts, expected = [], {}
    for key, value, before, after in members:
        spelled = json.dumps(value, ensure_ascii=ascii_only)
        parts.append(f"{before}{json.dumps(key, ensure_ascii=ascii_only)}{after}:{before}{spelled}{after}")
        expected[key] = spelled
    text = (" {" + ",".join(parts) + "} \n").encode()
    scan = scan_object(text)
    assert {key: scan.raw(key) for key in scan.values} == {k: v.encode() for k, v in expected.items()}
    keys = [key for key, *_ in members]
    assert scan.repeated == {key for key in keys if keys.count(key) > 1}


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1}{"b":2}',
        b'{"a":1} x',
        b'{"a":1,}',
        b'{"a":01}',
        b"{'a':1}",
        b'{"a":"\n"}',
        b'{"a":"\\ud800"}',
        b'{"a":1',
        b"",
        b"null",
        b"[1]",
        b'"{}"',
        b'\xef\xbb\xbf{"a":1}',
        b'{"\xff":1}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_one_strict_object_is_refused_with_a_sentence(text: bytes) -> None:
    with pytest.raises(ScanError, match="the body"):
        scan_object(text)


def test_an_escaped_spelling_of_a_key_is_that_key() -> None:
    scan = scan_object(b'{"mod\\u0065l":"a","model":"b"}')
    assert scan.repeated == {"model"}
    assert scan.raw("model") == b'"b"'


def test_repeated_keys_of_any_shape_are_stepped_over_exactly() -> None:
    text = b'{"x":{"model":"no","s":"}\\"]"},"x":12,"x":123,"x":"a\\\\","x":[1,[2,"]"]],"model":"yes","x":1}'
    scan = scan_object(text)
    assert scan.repeated == {"x"}
    assert scan.raw("model") == b'"yes"'
    assert scan.raw("x") == b"1"


def test_a_number_that_begins_like_another_is_told_apart() -> None:
    scan = scan_object(b'{"n":12.5,"n":1,"model":"m"}')
    assert scan.raw("n") == b"1" and scan.raw("model") == b'"m"'


def test_naming_another_model_changes_no_other_byte() -> None:
    text = b'{ "messages":[{"content":"\\"model\\":\\"gpt-4o\\""}] ,\t"model" : "gpt-4o","temperature":1.0 }'
    changed = splice(text, [set_model(scan_object(text), 'new "é"')])
    assert changed == text.replace(b': "gpt-4o"', ': "new \\"é\\""'.encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            b'{"model":"m","stream":true}',
            b'{"stream_options":{"include_usage":true},"model":"m","stream":true}',
        ),
        (b'{ "stream" : true }', b'{"stream_options":{"include_usage":true}, "stream" : true }'),
        (b"{}", b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":{}}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options": { }}', b'{"stream_options": {"include_usage":true }}'),
        (b'{"stream_options":{"x":1}}', b'{"stream_options":{"include_usage":true,"x":1}}'),
        (b'{"stream_options":{"include_usage" : false}}', b'{"stream_options":{"include_usage" : true}}'),
        (b'{"stream_options":{"include_usage":true}}', None),
        (b'{"stream_options":"yes"}', None),
    ],
)
def test_usage_is_asked_for_in_place(text: bytes, expected: bytes | None) -> None:
    edit = ask_usage(scan_object(text))
    assert (splice(text, [edit]) if edit else None) == expected
    assert expected is None or json.loads(expected)["stream_options"]["include_usage"] is True


def test_a_doubled_include_usage_is_refused() -> None:
    with pytest.raises(ScanError, match="include_usage"):
        ask_usage(scan_object(b'{"stream_options":{"include_usage":true,"include_usage":false}}'))


def test_splice_takes_edits_in_any_order() -> None:
    assert splice(b"0123456789", [(Span(7, 9), b"B"), (Span(1, 1), b"A"), (Span(3, 5), b"")]) == b"0A1256B9"
