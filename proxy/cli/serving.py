"""A gateway in this process, from its start until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from proxy.base.collector import settle
from proxy.cli.exits import PROBLEMS, complain, emit, say
from proxy.cli.lint_formats import Report, text_lines
from proxy.service.gateway_service import Addresses, GatewayService, StartError
from proxy.service.options import ServiceOptions

DRAIN_S = 10.0


def log_to_stderr() -> None:
    """What the gateway has to say while it runs."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    # Their lines say nothing an operator needs, one for every request.
    for name in ("watchfiles", "httpx", "aiosqlite", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def serve(options: ServiceOptions) -> int:
    """Run it; the exit code."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(_serve(options))
    return asyncio.run(_serve(options))


async def _serve(options: ServiceOptions) -> int:
    stop, now = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        (now if stop.is_set() else stop).set()

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(name, ask)
    service = GatewayService(options)
    try:
        addresses = await service.start()
    except StartError as error:
        complain(str(error))
        text = service.config.file.text or ""
        errors = tuple(item for item in error.diagnostics if item.severity == "error")
        if errors:
            report = Report(str(options.policy_path), text, errors)
            emit("".join(f"{line}\n" for line in text_lines(report, colour=False)))
        return PROBLEMS
    settle()
    _announce(service, addresses, encrypted=options.tls_cert is not None)
    await stop.wait()
    await _stop(service, now)
    return 0


async def _stop(service: GatewayService, now: asyncio.Event) -> None:
    ending = asyncio.ensure_future(service.stop(DRAIN_S))
    hurry = asyncio.ensure_future(now.wait())
    await asyncio.wait({ending, hurry}, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not ending.done():
        ending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ending
        await service.stop(0)


def _announce(service: GatewayService, addresses: Addresses, *, encrypted: bool) -> None:
    running, file = service.config.running, service.config.file
    scheme = "https" if encrypted else "http"
    say(f"serving {scheme}://{addresses.listen}, control API {scheme}://{addresses.api}")
    if running is not None:
        say(f"policy v{running.number} {running.hash[:7]} from {service.config.path}")
        for problem in running.diagnostics:
            if problem.severity == "warning":
                say(f"! line {problem.line}: {problem.message}")
    if file.reason is not None:
        say(f"! the file differs from what runs: {file.reason}")
    for notice in service.info.notices:
        say(f"! {notice}")
    if addresses.new_client_key is not None:
        say("clients off this machine need a key; this one was made and is shown once:")
        say(addresses.new_client_key.reveal())
    sys.stdout.flush()
