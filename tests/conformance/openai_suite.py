"""Runs openai-python's own resource tests against a mock of the vendor's API, directly and through the gateway.

What passes directly must pass through the gateway. The suite and the mock are not part of this repository:
see README.md in this folder. Prints both results; exit 1 when they differ.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

FILES = (
    "tests/api_resources/chat/test_completions.py",
    "tests/api_resources/test_embeddings.py",
    "tests/api_resources/test_models.py",
    "tests/api_resources/test_responses.py",
)
STYLES = [
    f"--validator-{place}-{kind}-format=brackets"
    for place in ("query", "form")
    for kind in ("array", "object")
]
POLICY = """\
providers:
  targets:
    - id: vendor
      provider: openai-compatible
      base_url: "{url}"
      models: ["*"]
      passthrough: [models, chat/completions, responses]
      secret_key_ref: {{env: KEY}}
"""


def main() -> int:
    """Both runs, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--checkout", type=Path, required=True, help="openai-python, with tests/ and api_reference/"
    )
    parser.add_argument("--steady", type=Path, required=True, help="the executable of @stdy/cli")
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable), help="has the suite's dependencies"
    )
    return asyncio.run(run(parser.parse_args()))


async def run(options: argparse.Namespace) -> int:
    """Exit code: 0 when the gateway changes nothing."""
    async with mock(options.steady, options.checkout) as vendor:
        direct = await suite(options, f"{vendor}/v1")
        async with gateway(vendor) as address:
            through = await suite(options, address)
    for name, text in (("direct", direct), ("through the gateway", through)):
        sys.stdout.write(f"{name}: {summary(text)}\n")
    missing = sorted(set(failures(through)) - set(failures(direct)))
    for line in missing:
        sys.stdout.write(f"  only through the gateway: {line}\n")
    return 1 if missing or summary(direct)[0] != summary(through)[0] else 0


def summary(output: str) -> str:
    """pytest's last line."""
    return re.sub(r" in [\d.]+s.*", "", output.strip().splitlines()[-1]).strip("= ")


def failures(output: str) -> list[str]:
    """What failed."""
    return re.findall(r"^(?:FAILED|ERROR) (\S+)", output, flags=re.MULTILINE)


async def suite(options: argparse.Namespace, address: str) -> str:
    """The suite's output against `address`."""
    process = await asyncio.create_subprocess_exec(
        options.python, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore", "-q", "--tb=line",
        *FILES, cwd=options.checkout, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "TEST_API_BASE_URL": address},
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


@asynccontextmanager
async def mock(steady: Path, checkout: Path) -> AsyncIterator[str]:
    """The vendor's API, made up from its own description, whose paths lack the /v1 that clients send."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = (checkout / "api_reference/openapi.transformed.yml").read_text()
    with tempfile.NamedTemporaryFile("w", suffix=".yml", delete=False) as file:
        file.write(re.sub(r"^(  [\"']?)/", r"\1/v1/", text, flags=re.MULTILINE))
    process = await asyncio.create_subprocess_exec(
        steady, "--host", "127.0.0.1", "-p", str(port), *STYLES, file.name,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while b"Ready to accept" not in (line := await process.stdout.readline()):
                if not line:
                    raise SystemExit("the mock did not start")
        drain = asyncio.create_task(process.stdout.read())
        yield f"http://127.0.0.1:{port}"
        drain.cancel()
    finally:
        process.terminate()
        await process.wait()
        Path(file.name).unlink()


@asynccontextmanager
async def gateway(vendor: str) -> AsyncIterator[str]:
    """A gateway in front of `vendor`."""
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.yaml"
        policy.write_text(POLICY.format(url=vendor))
        service = GatewayService(
            ServiceOptions(
                policy_path=policy, listen="127.0.0.1:0", api_listen="127.0.0.1:0", state_dir=Path(folder) / "state",
                env={"KEY": "sk-test"},
            )
        )  # fmt: skip
        addresses = await service.start()
        try:
            yield f"http://{addresses.listen}/v1"
        finally:
            await service.stop(drain_s=1)


if __name__ == "__main__":
    sys.exit(main())
