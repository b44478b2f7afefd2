"""`kt gateway`: run a gateway without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.exits import UsageError, exits
from proxy.cli.places import default_state_dir, environment

app = typer.Typer(no_args_is_help=True, help="Run a gateway.")


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
        from proxy.cli.serving import log_to_stderr, serve
        from proxy.service.options import ServiceOptions

        if (tls_cert is None) != (tls_key is None):
            raise UsageError("--tls-cert and --tls-key go together")
        if not policy_config.exists():
            raise UsageError(f"there is no file {policy_config}; name a policy file with --policy-config")
        env = environment()
        token = env.get("KT_API_TOKEN")
        log_to_stderr()
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
        code = serve(options)
    raise typer.Exit(code)
