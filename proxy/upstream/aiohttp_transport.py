"""The transport on aiohttp's client."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextvars import ContextVar
from functools import lru_cache

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.resolver import ThreadedResolver
from aiohttp.tracing import Trace
from multidict import CIMultiDict

from proxy.base.sanitise import sanitise
from proxy.upstream.addresses import is_forbidden
from proxy.upstream.transport import Answer, Call, UpstreamError

_KEEP_ALIVE_S = 30.0
_MAX_HEADERS = 32 * 1024
_AUTOMATIC = ("User-Agent", "Accept-Encoding", "Content-Type")
"""What aiohttp would say for a call that does not."""


class _RefusedAddressError(OSError):
    """A name resolved to an address that is never dialled."""


class _CheckedResolver(AbstractResolver):
    """Resolves a name and gives only what may be dialled, so that the checked address is the dialled one."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [entry for entry in found if not is_forbidden(entry["host"])]
        if not allowed:
            raise _RefusedAddressError(f"{host} is a link-local or metadata address")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


_dialled: ContextVar[bool] = ContextVar("dialled", default=False)
"""Whether the request of this context made a connection of its own, or was given one that was kept alive."""


class _Connector(aiohttp.TCPConnector):
    """Notes in the context of a request that a connection was made for it."""

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        _dialled.set(True)
        return await super()._create_connection(req, traces, timeout)


@lru_cache(maxsize=64)
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=None)


class AiohttpTransport:
    """Plain HTTP/1.1, kept-alive connections, nothing taken from the environment, no redirects, no cookies.

    Make it on the event loop that uses it.
    """

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}

    def _opened(self, anywhere: bool) -> aiohttp.ClientSession:
        """The session for targets that may be anywhere, or for all others: they share no look-up of a name."""
        session = self._sessions.get(anywhere)
        if session is None or session.closed:
            resolver = ThreadedResolver() if anywhere else _CheckedResolver()
            session = self._sessions[anywhere] = aiohttp.ClientSession(
                connector=_Connector(
                    limit=0, keepalive_timeout=_KEEP_ALIVE_S, resolver=resolver, ttl_dns_cache=10
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                max_field_size=_MAX_HEADERS,
                max_line_size=_MAX_HEADERS,
            )
        return session

    async def send(self, call: Call) -> Answer:
        """See Transport."""
        if call.url.host is None or (is_forbidden(call.url.host) and not call.allow_link_local):
            raise UpstreamError(
                "refused", "the address is link-local or a metadata service, which is never dialled"
            )
        _dialled.set(False)
        headers = CIMultiDict(call.headers)
        unsaid = [name for name in _AUTOMATIC if name not in headers]
        deadline = asyncio.get_running_loop().time() + call.first_byte_s
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._opened(call.allow_link_local).request(
                    call.method,
                    call.url,
                    data=aiohttp.BytesPayload(call.body) if call.body else None,
                    headers=headers,
                    skip_auto_headers=unsaid or None,
                    allow_redirects=False,
                    timeout=_timeout(call.connect_s),
                    proxy=call.proxy,
                    ssl=self._context(call.ca_file) or True,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error, call, reused=not _dialled.get()) from error
        return _AiohttpAnswer(response, deadline, call.idle_s)

    def _context(self, ca_file: str | None) -> ssl.SSLContext | None:
        if ca_file is None:
            return None
        context = self._contexts.get(ca_file)
        if context is None:
            try:
                context = self._contexts[ca_file] = ssl.create_default_context(cafile=ca_file)
            except (OSError, ssl.SSLError):
                raise UpstreamError(
                    "connect", f"the ca_file {sanitise(ca_file, 200)} cannot be read as certificates"
                ) from None
        return context

    async def close(self) -> None:
        """See Transport."""
        for session in self._sessions.values():
            await session.close()


class _AiohttpAnswer:
    __slots__ = ("_deadline", "_ended", "_idle_s", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, deadline: float, idle_s: float) -> None:
        self._response = response
        self._deadline: float | None = deadline
        self._idle_s = idle_s
        self._ended = False
        self.status: int = response.status
        self.headers: Sequence[tuple[str, str]] = [
            (name.decode("ascii", "replace").lower(), value.decode("latin-1"))
            for name, value in response.raw_headers
        ]

    async def chunk(self) -> bytes:
        """See Answer."""
        content = self._response.content
        try:
            # What is here already needs no clock.
            data = content.read_nowait()
            if not data and not content.at_eof():
                data = await self._wait(content)
        except TimeoutError as error:
            raise UpstreamError("timeout", "the upstream sent nothing more in time") from error
        except aiohttp.ClientPayloadError as error:
            raise UpstreamError("reset", "the upstream's answer broke off") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError("reset", "the connection to the upstream broke") from error
        except (ValueError, aiohttp.http_exceptions.HttpProcessingError) as error:
            raise UpstreamError("protocol", "the upstream's answer is not HTTP") from error
        self._deadline = None
        if not data:
            self._ended = True
        return data

    async def _wait(self, content: aiohttp.StreamReader) -> bytes:
        deadline = self._deadline or asyncio.get_running_loop().time() + self._idle_s
        async with asyncio.timeout_at(deadline):
            return await content.readany()

    def close(self) -> None:
        """See Answer."""
        if self._ended:
            self._response.release()
        else:
            self._response.close()


def _failure(error: Exception, call: Call, *, reused: bool) -> UpstreamError:
    """What `error` means for the data plane.

    Its own text may quote addresses only, never headers or bodies.
    """
    host = sanitise(call.url.host or "", 200)
    if isinstance(error, aiohttp.ServerTimeoutError) and not isinstance(error, aiohttp.SocketTimeoutError):
        return UpstreamError("connect", f"no connection to {host} within {call.connect_s:g} s")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamError("connect", f"no connection to {host} within {call.connect_s:g} s")
    if isinstance(error, (TimeoutError, aiohttp.SocketTimeoutError)):
        return UpstreamError("timeout", f"{host} did not answer within {call.first_byte_s:g} s")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        cause = error.os_error
        if isinstance(cause, _RefusedAddressError) or isinstance(cause.__cause__, _RefusedAddressError):
            return UpstreamError(
                "refused", f"{host} is a link-local or metadata address, which is never dialled"
            )
        return UpstreamError("connect", f"the name {host} cannot be resolved")
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return UpstreamError("connect", f"no TLS connection to {host}: {_tls_reason(error)}")
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = sanitise(error.os_error.strerror or "refused", 120)
        return UpstreamError("connect", f"no connection to {host}:{call.url.port}: {reason}")
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)):
        return UpstreamError(
            "stale" if reused else "reset", f"{host} closed the connection before it answered"
        )
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, ValueError)):
        return UpstreamError("protocol", f"what {host} answered is not HTTP")
    return UpstreamError("connect", f"no connection to {host}")


def _tls_reason(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "the handshake failed"
    return sanitise(reason, 120)
