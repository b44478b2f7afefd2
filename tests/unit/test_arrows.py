"""The rooms of the house, held by running code as well as by import-linter."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCREEN_MODULES = "('textual', 'plotext', 'ktui')"


@pytest.mark.parametrize(
    "module", ["proxy.service.gateway_service", "proxy.cli.main", "proxy.gateway.app", "proxy.policy.plan"]
)
def test_the_gateway_loads_without_the_screen(module: str) -> None:
    code = f"import sys, {module}; sys.exit(', '.join(m for m in {SCREEN_MODULES} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["proxy.service.state_dir", "ktui.opening", "ktui.app"])
def test_who_attaches_loads_no_server(module: str) -> None:
    """It would take longer than the rest of opening the screen."""
    code = (
        f"import sys, {module}; servers = ('aiohttp', 'starlette', 'uvicorn', 'aiosqlite'); "
        "sys.exit(', '.join(m for m in servers if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_policy_loads_alone() -> None:
    code = (
        "import sys, proxy.policy.plan, proxy.policy.lint; "
        "sys.exit(', '.join(m for m in sys.modules if m.startswith('proxy.') and not m.startswith('proxy.policy')) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
