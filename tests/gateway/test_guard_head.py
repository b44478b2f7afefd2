"""Which heads of requests are refused, and as what."""

from __future__ import annotations

import pytest

from proxy.gateway.guard import Limits, check_browser, check_head, hostname

HOST = (b"host", b"127.0.0.1:41002")


def code(
    *headers: tuple[bytes, bytes], method: str = "POST", version: str = "1.1", url: bytes = b"/v1/x"
) -> str:
    refusal = check_head(method, version, url, list(headers), Limits())
    return f"{refusal.status} {refusal.code}" if refusal else "ok"


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"127.0.0.1",
        b"a-b.example:80",
        b"[::1]",
        b"[::1]:41002",
        b"UPPER.case",
        b"my_service:8080",
    ],
)
def test_hosts_that_are_names(host: bytes) -> None:
    assert code((b"host", host)) == "ok"


@pytest.mark.parametrize(
    "host",
    [b"", b"a/b?c", b"a#x", b"u@h", b"a b", b"h:port", b"x" * 300, b"[::1", b"a\\b", b"a,b", b"h:123456"],
)
def test_hosts_that_are_not(host: bytes) -> None:
    assert code((b"host", host)) == "400 bad_host"


def test_no_host_and_two_hosts() -> None:
    assert code() == "400 bad_host"
    assert code(HOST, HOST) == "400 bad_host"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"transfer-encoding", b"xchunked")],
        [(b"transfer-encoding", b"identity")],
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"+5")],
        [(b"content-length", b"0x5")],
        [(b"content-length", b"1_0")],
        [(b"content-length", b"")],
        [(b"content-length", b"9" * 30)],
    ],
)
def test_bodies_whose_end_cannot_be_told(headers: list[tuple[bytes, bytes]]) -> None:
    assert code(HOST, *headers) == "400 bad_framing"
    assert code(HOST, (b"transfer-encoding", b"chunked"), version="1.0") == "400 bad_framing"


def test_limits() -> None:
    assert code(HOST, (b"content-length", b"33554432")) == "ok"
    assert code(HOST, (b"content-length", b"33554433")) == "413 body_too_large"
    assert code(HOST, url=b"/" + b"a" * 8192) == "414 url_too_long"
    assert code(HOST, *[(b"x", b"y")] * 100) == "431 headers_too_large"
    assert code(HOST, (b"x", b"y" * 32768)) == "431 headers_too_large"


def test_what_else_is_not_taken() -> None:
    assert code(HOST, (b"content-encoding", b"br")) == "415 unsupported_encoding"
    assert code(HOST, *[(b"content-encoding", b"gzip")] * 2) == "415 unsupported_encoding"
    assert code(HOST, (b"content-encoding", b"gzip")) == "ok"
    assert code(HOST, (b"content-encoding", b"identity")) == "ok"
    assert code(HOST, (b"expect", b"200-ok")) == "417 unsupported_expectation"
    assert code(HOST, (b"expect", b"100-continue")) == "ok"
    assert code(HOST, (b"upgrade", b"websocket")) == "501 websocket_unsupported"
    assert code(HOST, method="TRACE") == "405 method_not_allowed"
    assert code(HOST, method="CONNECT") == "405 method_not_allowed"
    assert code(HOST, url=b"http://evil.test/v1/x") == "400 bad_target"
    assert code(HOST, url=b"*", method="OPTIONS") == "400 bad_target"
    assert code(HOST, version="0.9") == "400 bad_version"


def test_the_name_a_request_is_addressed_to() -> None:
    assert hostname([(b"host", b"Box.LAN:80")]) == "box.lan"
    assert hostname([(b"host", b"[::1]:80")]) == "::1"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ([HOST], True),
        ([(b"host", b"localhost")], True),
        ([(b"host", b"evil.test")], False),
        ([(b"host", b"1.2.3.4.evil.test")], False),
        ([(b"host", b"box.lan")], True),
        ([HOST, (b"origin", b"http://127.0.0.1:41002")], True),
        ([HOST, (b"origin", b"http://127.0.0.1:9999")], False),
        ([HOST, (b"origin", b"null")], False),
        ([HOST, (b"sec-fetch-site", b"cross-site")], False),
        ([HOST, (b"sec-fetch-site", b"same-origin")], True),
    ],
)
def test_pages_of_other_sites(headers: list[tuple[bytes, bytes]], allowed: bool) -> None:
    assert (check_browser(headers, {"box.lan"}) is None) is allowed
