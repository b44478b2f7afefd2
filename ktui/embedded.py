"""The gateway of this program: on a thread with its own event loop, or in a child process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import gc
import logging
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ktui.child import Child, ChildError, Parent, new_loop
from proxy.base.collector import settle, unsettle
from proxy.base.sanitise import sanitise
from proxy.base.secret import Secret

if TYPE_CHECKING:
    from proxy.service.options import ServiceOptions

Mode = Literal["thread", "process"]
MODES: tuple[Mode, ...] = ("thread", "process")
_START_S = 30.0
_MARGIN_S = 4.0
"""What a stop may take beyond its drain: cut requests, the last batch of events, closed files."""

_SWITCH_S = 0.001
"""A screen that draws hands the interpreter to the gateway's thread after this long; Python's own default is 5 ms."""

logger = logging.getLogger(__name__)


class EmbeddedError(Exception):
    """The gateway cannot start; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Started:
    """Where the gateway listens (`host:port`), the base address of its control API and the operator's token."""

    listen: str
    api_url: str
    token: Secret
    new_client_key: Secret | None = None


class _Host(Protocol):
    def start(self) -> Started: ...

    def stop(self, drain_s: float) -> None: ...


class EmbeddedGateway:
    """One gateway, started and stopped by the program that shows it.

    `thread` shares the process; `process` shares nothing with the screen, at the cost of a second interpreter.
    Both block, so an event loop calls them through a thread. `stop` during a start waits for it and then stops.
    """

    def __init__(self, options: ServiceOptions, mode: Mode = "thread") -> None:
        self._host: _Host = _ThreadHost(options) if mode == "thread" else _ProcessHost(options)
        self._lock = threading.Lock()
        self._stopped = False
        self.started: Started | None = None

    def start(self) -> tuple[str, Secret]:
        """Serve; the address of the control API and its token. Raises EmbeddedError."""
        with self._lock:
            if self._stopped:
                raise EmbeddedError("the gateway was stopped before it started")
            self.started = self._host.start()
            return self.started.api_url, self.started.token

    def stop(self, drain_s: float = 10.0) -> None:
        """Take no more requests, let what runs finish for `drain_s` seconds, let go of everything."""
        with self._lock:
            self._stopped = True
            self._host.stop(drain_s)


class _ThreadHost:
    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        self._ready: concurrent.futures.Future[Started] = concurrent.futures.Future()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._drain_s = 0.0
        self._switch_before_s = sys.getswitchinterval()

    def start(self) -> Started:
        sys.setswitchinterval(_SWITCH_S)
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        try:
            return self._ready.result(_START_S)
        except concurrent.futures.TimeoutError:
            raise EmbeddedError(f"the gateway did not start within {_START_S:g} s") from None

    def stop(self, drain_s: float) -> None:
        thread = self._thread
        if thread is None:
            return
        self._drain_s = drain_s
        if self._loop is not None and self._ending is not None:
            try:
                self._loop.call_soon_threadsafe(self._ending.set)
            except RuntimeError:
                logger.debug("the gateway's loop had ended by itself")
        thread.join(drain_s + _MARGIN_S)
        sys.setswitchinterval(self._switch_before_s)
        if thread.is_alive():
            logger.warning("the gateway did not end in time")

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            if self._ready.done():
                logger.exception("the gateway failed")
            else:
                self._ready.set_exception(_one_sentence(error))

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        # Imported here: the screen draws its first picture while this loads.
        from proxy.service.gateway_service import GatewayService

        service = GatewayService(self._options)
        addresses = await service.start()
        self._ready.set_result(
            Started(addresses.listen, f"http://{addresses.api}", service.token, addresses.new_client_key)
        )
        threshold = gc.get_threshold()
        settle()
        try:
            await self._ending.wait()
        finally:
            unsettle(threshold)
        await service.stop(self._drain_s)


class _ProcessHost:
    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        self._child = Child("the gateway", __name__, options.state_dir / "gateway.log")

    @property
    def pid(self) -> int | None:
        return self._child.pid

    def start(self) -> Started:
        try:
            self._options.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._child.start()
            self._child.send(options_message(self._options))
            answer = self._child.receive(_START_S)
        except ChildError as error:
            self._child.stop(1)
            raise EmbeddedError(str(error)) from None
        except OSError as error:
            raise EmbeddedError(
                f"the state directory {self._options.state_dir} cannot be used: {error.strerror}"
            ) from None
        key = answer["new_client_key"]
        return Started(
            answer["listen"], answer["api_url"], Secret(answer["token"]), Secret(key) if key else None
        )

    def stop(self, drain_s: float) -> None:
        try:
            self._child.send({"drain_s": drain_s})
        except ChildError:
            logger.debug("the gateway's process had ended by itself")
        self._child.stop(drain_s + _MARGIN_S)


def _one_sentence(error: BaseException) -> EmbeddedError:
    from proxy.service.gateway_service import StartError

    if isinstance(error, StartError):
        return EmbeddedError(str(error))
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return EmbeddedError(f"the gateway cannot start: {sanitise(f'{where}{error.strerror}', 300)}")
    logger.error("the gateway cannot start", exc_info=error)
    return EmbeddedError(f"the gateway cannot start: {type(error).__name__} {sanitise(error, 200)}".rstrip())


def options_message(options: ServiceOptions) -> dict[str, Any]:
    """The options as JSON for a child. It holds secrets: it goes through a pipe and nowhere else."""
    message = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    for name, value in message.items():
        if isinstance(value, Path):
            message[name] = str(value)
    message["env"] = dict(options.env)
    message["api_token"] = options.api_token.reveal() if options.api_token is not None else None
    return message


def options_from(message: dict[str, Any]) -> ServiceOptions:
    """The options back from JSON."""
    from proxy.service.options import ServiceOptions

    fields = dict(message)
    for name in ("policy_path", "state_dir", "tls_cert", "tls_key"):
        fields[name] = Path(fields[name]) if fields[name] is not None else None
    fields["badges"] = tuple(fields["badges"])
    fields["api_token"] = Secret(fields["api_token"]) if fields["api_token"] is not None else None
    return ServiceOptions(**fields)


async def main(parent: Parent) -> None:
    """The child process: a gateway until the parent goes or says how long to drain."""
    message = await parent.receive()
    if message is None:
        return
    from proxy.service.gateway_service import GatewayService

    service = GatewayService(options_from(message))
    try:
        addresses = await service.start()
    except Exception as error:  # noqa: BLE001 - whatever it was, the parent is told and this process ends
        parent.send({"error": str(_one_sentence(error))})
        return
    key = addresses.new_client_key
    parent.send(
        {
            "listen": addresses.listen,
            "api_url": f"http://{addresses.api}",
            "token": service.token.reveal(),
            "new_client_key": key.reveal() if key is not None else None,
        }
    )
    settle()
    last = await parent.receive()
    await service.stop(float(last["drain_s"]) if last is not None else 0.0)
