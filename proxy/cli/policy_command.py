"""`kt policy`: what a CI pipeline wants of a policy file."""

from __future__ import annotations

import json

import typer

from proxy.cli.exits import emit, exits
from proxy.cli.explain_policy_command import explain_request
from proxy.cli.lint_command import lint_files
from proxy.cli.policy_diff_command import diff
from proxy.cli.simulate_command import simulate
from proxy.cli.versions_command import history, restore, show

app = typer.Typer(no_args_is_help=True, help="Check, compare and go back to policy files.")


@app.callback()
def group() -> None:
    """Check, compare and go back to policy files."""


app.command("lint")(lint_files)
app.command("explain")(explain_request)
app.command("diff")(diff)
app.command("simulate")(simulate)
app.command("history")(history)
app.command("show")(show)
app.command("restore")(restore)


@app.command("schema")
def schema() -> None:
    """Write the JSON Schema of a policy file, for editors and validators."""
    with exits():
        from proxy.policy.schema import json_schema

        emit(json.dumps(json_schema(), indent=2) + "\n")
