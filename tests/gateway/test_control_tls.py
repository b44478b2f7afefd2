"""Both listeners over TLS: `kt` and `ktui attach` find and trust the gateway of their own state directory."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from control_support import gateway
from typer.testing import CliRunner

from ktui.link import GatewayLink
from ktui.opening import OpeningError, find_place
from proxy.cli.main import app

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for a name that nothing here is reached by, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=gateway.example",
         "-addext", "subjectAltName=DNS:gateway.example", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


async def test_own_gateway_is_found_and_trusted(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    async with gateway(tmp_path, tls_cert=certificate, tls_key=key) as running:
        url = running.api.replace("http://", "https://")
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.get(f"{url}/healthz")
        arguments = ["doctor", "--state-dir", str(running.state)]
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env={"KT_API_URL": ""})
        assert result.exit_code == 0, result.stderr
        place = await asyncio.to_thread(
            find_place, None, ask_token=False, insecure=False, state_dir=running.state, env={}
        )
        assert place.url == url and isinstance(place.verify, ssl.SSLContext)
        link = GatewayLink()
        link.connect(place.url, place.token, place.verify)
        assert (await link.status()).gateway.state == "serving"
        await link.close()


async def test_a_foreign_gateway_is_trusted_by_its_authority_only(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = pair
    async with gateway(tmp_path, tls_cert=certificate, tls_key=key) as running:
        url = running.api.replace("http://", "https://")
        elsewhere = tmp_path / "elsewhere"
        env = {"KT_API_URL": url, "KT_API_TOKEN": running.token}
        arguments = ["doctor", "--state-dir", str(elsewhere)]
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)
        assert result.exit_code == 1 and "no gateway answers" in result.stderr
        # The name in the certificate is not that of the address: trusted, but refused all the same.
        result = await asyncio.to_thread(
            CliRunner().invoke, app, arguments, env={**env, "KT_CA_FILE": str(certificate)}
        )
        assert result.exit_code == 1
        missing = {**env, "KT_CA_FILE": str(tmp_path / "none.pem")}
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=missing)
        assert result.exit_code == 2 and "cannot be used" in result.stderr
        with pytest.raises(OpeningError, match="cannot be used"):
            await asyncio.to_thread(
                find_place, url, ask_token=False, insecure=False, state_dir=elsewhere, env=missing
            )


async def test_a_data_plane_request_over_tls(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    async with gateway(tmp_path, tls_cert=certificate, tls_key=key) as running:
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            answer = await client.post(
                running.data.replace("http://", "https://") + "/v1/chat/completions",
                json={"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]},
            )
        assert answer.status_code == 200
