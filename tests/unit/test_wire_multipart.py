"""What is read of a form, and how another model is written into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.facts import Endpoint
from proxy.wire.errors import RequestError
from proxy.wire.json_scan import splice
from proxy.wire.multipart import read_form
from proxy.wire.parsed import ParsedRequest, model_edit

TYPE = "multipart/form-data; boundary=XyZ"


def field(name: str, value: bytes, more: bytes = b"") -> bytes:
    return b'Content-Disposition: form-data; name="' + name.encode() + b'"' + more + b"\r\n\r\n" + value


def form(*parts: bytes, boundary: bytes = b"XyZ") -> bytes:
    return (
        b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
    )


FILE = b'Content-Disposition: form-data; name="file"; filename="model"\r\nContent-Type: audio/wav\r\n\r\n\x00\xff\r\n\r\n--Xy\r\n'


def read(body: bytes, content_type: str = TYPE, endpoint: Endpoint = "audio") -> ParsedRequest:
    return read_form(endpoint, content_type, body)


def code_of(body: bytes, content_type: str = TYPE) -> str:
    with pytest.raises(RequestError) as caught:
        read(body, content_type)
    assert caught.value.status == 400
    return caught.value.code


def test_the_facts_of_a_form() -> None:
    body = form(
        FILE,
        field("model", b"whisper-1"),
        field("stream", b"true"),
        field("prompt", "hé".encode()),
        field("user", b"u"),
    )
    found = read(body)
    assert (found.model, found.stream, found.prompt_chars, found.user) == ("whisper-1", True, 2, "u")
    assert found.body is body
    assert not found.has_images


def test_a_picture_is_an_image() -> None:
    assert read(
        form(field("model", b"m"), field("image[]", b"x"), field("image[]", b"y")), endpoint="images"
    ).has_images
    assert not read(form(field("model", b"m"), field("file", b"x")), endpoint="images").has_images


def test_another_model_is_written_in_the_place_of_the_old_one_and_no_other_byte_changes() -> None:
    before, after = (
        form(FILE, field("model", b"whisper-1"), FILE),
        form(FILE, field("model", b"gpt-4o-transcribe"), FILE),
    )
    assert splice(before, [model_edit(read(before), "gpt-4o-transcribe")]) == after


def test_the_model_of_a_path_is_written_into_a_form_without_one() -> None:
    found = read_form("audio", TYPE, form(FILE), "my-whisper")
    assert found.model == "my-whisper"
    assert found.body == form(field("model", b"my-whisper"), FILE)
    assert read_form("audio", TYPE, form(field("model", b"x")), "d").body == form(field("model", b"d"))
    with pytest.raises(RequestError):
        read_form("audio", TYPE, form(FILE), "a\r\nb")


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="XyZ"',
        "Multipart/Form-Data; charset=utf-8; Boundary=XyZ",
        'multipart/form-data; boundary="X\\yZ"',
    ],
)
def test_spellings_of_the_boundary(content_type: str) -> None:
    assert read(form(field("model", b"m")), content_type).model == "m"


def test_a_preamble_an_epilogue_and_blanks_are_stepped_over() -> None:
    body = b"before\r\n" + form(field("model", b"m")).replace(b"--XyZ\r\n", b"--XyZ \t\r\n") + b"behind"
    assert read(body).model == "m"
    assert read(form(b"content-disposition:form-data;name=model\r\n\r\nm")).model == "m"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(field("model", b"a"), field("model", b"b")), "duplicate_field"),
        (form(field("stream", b"a"), field("stream", b"b"), field("model", b"m")), "duplicate_field"),
        (form(FILE), "missing_model"),
        (form(field("model", b"")), "invalid_model"),
        (form(field("model", b"m" * 257)), "invalid_model"),
        (form(field("model", b"\xff")), "invalid_form"),
        (form(field("model", b"bQ==", b"\r\nContent-Transfer-Encoding: base64")), "invalid_form"),
        (form(field("model", b"m"))[:-5], "invalid_form"),
        (form(field("model", b"m")).replace(b"--XyZ\r\n", b"--XyZzz\r\n"), "invalid_form"),
        (form(b"X: 1", field("model", b"m")), "invalid_form"),
        (form(field("model", b"m"), b"X: 1\r\n\r\nno name"), "invalid_form"),
        (form(field("model", b"m", b'; name="stream"')), "invalid_form"),
        (form(field("model", b"m", b"\r\n folded")), "invalid_form"),
        (form(field("model", b"m", b"\r\nContent-Disposition: form-data; name=x")), "invalid_form"),
        (b'--XyZ\r\nContent-Disposition: form-data; name="model"\r\n\r\n--XyZ--\r\n', "invalid_form"),
        (b'--XyZ\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + form(FILE), "invalid_form"),
        (form(b"\r\nno headers", field("model", b"m")), "invalid_form"),
        (form(field("model", b"m"), field("prompt", b"x" * 1024 * 1024 + b"y")), "invalid_form"),
        (b"", "invalid_form"),
        (b'{"model":"m"}', "invalid_form"),
        (form(*[field("x", b"")] * 1001), "invalid_form"),
    ],
)
def test_what_is_ambiguous_or_broken_is_refused(body: bytes, code: str) -> None:
    assert code_of(body) == code


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=a; boundary=b",
        'multipart/form-data; boundary=""',
        f"multipart/form-data; boundary={'a' * 71}",
    ],
)
def test_a_content_type_that_names_not_one_boundary_is_refused(content_type: str) -> None:
    assert code_of(form(field("model", b"m")), content_type) == "invalid_form"


@given(st.binary(max_size=200), st.integers(0, 300))
def test_no_bytes_do_anything_but_be_read_or_refused(noise: bytes, at: int) -> None:
    body = form(FILE, field("model", b"whisper-1"))
    at = min(at, len(body))
    for candidate in (noise, body[:at] + noise + body[at:], body[:at]):
        try:
            read(candidate)
        except RequestError as error:
            assert error.status == 400
