"""A listener: uvicorn on the running event loop, without its signal handlers, logging and unlimited waits."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Any

import uvicorn

from proxy.base.sanitise import sanitise
from proxy.gateway.guard import Limits
from proxy.gateway.http_protocol import GuardedProtocol

_BACKLOG = 2048
_TICK_S = 1.0
_FLUSH_POLL_S = 0.02
_FLUSH_POLLS = 25
_CUT_S = 2.0
"""How long a cancelled request has to record itself and say so to its client."""


class ListenError(Exception):
    """The listener cannot start. Its argument is one sentence."""


class _Server(uvicorn.Server):
    """uvicorn's server without the parts that belong to a process of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Listener:
    """Serves an ASGI application on one address. All methods on the loop that serves."""

    def __init__(
        self,
        app: Any,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        limits: Limits | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
    ) -> None:
        self._host = host
        self._port = port
        protocol = type("ListenerProtocol", (GuardedProtocol,), {"limits": limits or Limits()})
        # uvicorn logs through this logger; without a handler Python would write its warnings to the terminal.
        logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
        self._config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=(limits or Limits()).keep_alive_s,
            backlog=_BACKLOG,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
        )
        self._server: _Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._server.server_state.connections) if self._server else 0

    async def start(self) -> tuple[str, int]:
        """Bind and serve; the address bound. Raises ListenError."""
        try:
            self._config.load()
        except (OSError, ssl.SSLError) as error:
            reason = sanitise(getattr(error, "strerror", None) or error, 200)
            raise ListenError(f"the TLS certificate or key cannot be used: {reason}") from None
        bound = await self._bind()
        server = self._server = _Server(self._config)
        server.lifespan = self._config.lifespan_class(self._config)
        await server.startup(sockets=[bound])
        await server.on_tick(0)
        self._ticking = asyncio.create_task(self._tick(server), name="listener-tick")
        address = bound.getsockname()
        return str(address[0]), int(address[1])

    async def stop(self, drain_s: float = 10.0) -> None:
        """Take no more.

        Let what runs finish for `drain_s` seconds; then cancel it. Calling it again does nothing.
        """
        server, self._server = self._server, None
        if server is None:
            return
        server.should_exit = True
        for listening in server.servers:
            listening.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await _finished(server, drain_s)
        for task in list(server.server_state.tasks):
            task.cancel()
        await _finished(server, _CUT_S)
        await _flushed(server)
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])

    async def _tick(self, server: _Server) -> None:
        """Keeps the Date header right."""
        while True:
            await asyncio.sleep(_TICK_S)
            await server.on_tick(0)

    async def _bind(self) -> socket.socket:
        shown = sanitise(f"{self._host}:{self._port}", 200)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError):
            raise ListenError(f"cannot listen on {shown}: the host is not known") from None
        family, kind, proto, _, address = found[0]
        bound = socket.socket(family, kind, proto)
        try:
            if os.name == "posix":
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(address)
            bound.listen(_BACKLOG)
            bound.setblocking(False)
        except (OSError, OverflowError) as error:
            bound.close()
            raise ListenError(_bind_failure(shown, error)) from None
        return bound


async def _finished(server: _Server, within_s: float) -> None:
    """Wait until every request is answered, `within_s` seconds at most."""
    tasks = list(server.server_state.tasks)
    if tasks:
        await asyncio.wait(tasks, timeout=within_s)


async def _flushed(server: _Server) -> None:
    """Give closing connections a moment to hand over what they still hold."""
    for _ in range(_FLUSH_POLLS):
        if not server.server_state.connections:
            return
        await asyncio.sleep(_FLUSH_POLL_S)


def _bind_failure(shown: str, error: OSError | OverflowError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"cannot listen on {shown}: the port is taken; stop what uses it or choose another port"
    if number == errno.EACCES:
        return f"cannot listen on {shown}: this port needs more rights; choose one above 1023"
    if number == errno.EADDRNOTAVAIL:
        return f"cannot listen on {shown}: the address is not one of this machine"
    return f"cannot listen on {shown}: {sanitise(getattr(error, 'strerror', None) or error, 120)}"
