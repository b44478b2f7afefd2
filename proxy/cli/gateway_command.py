"""`kt gateway`: run a gateway without a screen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.exits import PROBLEMS, UsageError, complain, emit, exits, say
from proxy.cli.places import default_state_dir, environment

if TYPE_CHECKING:
    from proxy.service import Addresses, GatewayService, ServiceOptions

app = typer.Typer(no_args_is_help=True, help="Run a gateway.")

DRAIN_S = 10.0


@app.command("run")
def run(
    policy_config: Annotated[Path, typer.Option(help="The policy file; saving it is applying it.")],
    listen: Annotated[str, typer.Option(help="Where clients connect, host:port.")] = "127.0.0.1:41002",
    api_listen: Annotated[str, typer.Option(help="Where the control API listens.")] = "127.0.0.1:41003",
    state_dir: Annotated[Path | None, typer.Option(help="Events, versions and tokens.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate for both listeners.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    insecure: Annotated[bool, typer.Option(help="Control API off loopback without TLS.")] = False,
) -> None:
    """Serve until SIGTERM or ctrl+c; then finish what runs, for at most ten seconds."""
    with exits():
        from proxy.base.secret import Secret
        from proxy.service import ServiceOptions

        if (tls_cert is None) != (tls_key is None):
            raise UsageError("--tls-cert and --tls-key go together")
        if not policy_config.exists():
            raise UsageError(f"there is no file {policy_config}; name a policy file with --policy-config")
        env = environment()
        token = env.get("KT_API_TOKEN")
        _log_to_stderr()
        options = ServiceOptions(
            policy_path=policy_config,
            state_dir=state_dir or default_state_dir(env),
            listen=listen,
            api_listen=api_listen,
            env=env,
            insecure_api=insecure,
            tls_cert=tls_cert,
            tls_key=tls_key,
            api_token=Secret(token) if token else None,
        )
        code = _run(options)
    raise typer.Exit(code)


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    # Their lines say nothing an operator needs, one for every request.
    for name in ("watchfiles", "httpx", "aiosqlite", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _run(options: ServiceOptions) -> int:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(_serve(options))
    return asyncio.run(_serve(options))


async def _serve(options: ServiceOptions) -> int:
    from proxy.cli.lint_formats import Report, text_lines
    from proxy.service import GatewayService, StartError

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
    if addresses.new_client_key is not None:
        say("clients off this machine need a key; this one was made and is shown once:")
        say(addresses.new_client_key.reveal())
    sys.stdout.flush()
