"""The gateway inside the program, on a thread and in a child process."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from ktui.embedded import EmbeddedError, EmbeddedGateway, Mode, options_from, options_message
from proxy.base.secret import Secret
from proxy.service.options import ServiceOptions

POLICY = """\
providers:
  targets:
    - {id: openai, base_url: "http://127.0.0.1:9", secret_key_ref: {env: OPENAI_API_KEY}}
policies:
  - {name: none-of-it, type: model_filter, blocked_models: [o1-pro]}
"""
MODES: list[Mode] = ["thread", "process"]


def options(tmp_path: Path, **changes: object) -> ServiceOptions:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    given: dict[str, object] = {
        "policy_path": policy,
        "state_dir": tmp_path / "state",
        "listen": "127.0.0.1:0",
        "api_listen": "127.0.0.1:0",
        "env": {"OPENAI_API_KEY": "sk-canary"},
        "badges": ("demo ×60",),
    }
    return ServiceOptions(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_it_serves_and_leaves_nothing(tmp_path: Path, mode: Mode) -> None:
    before = set(threading.enumerate())
    gateway = EmbeddedGateway(options(tmp_path), mode)
    url, token = gateway.start()
    assert gateway.started is not None
    try:
        status = httpx.get(f"{url}/v1/status", headers={"Authorization": f"Bearer {token.reveal()}"}).json()
        assert status["gateway"]["state"] == "serving" and status["badges"] == ["demo ×60"]
        refused = httpx.post(
            f"http://{gateway.started.listen}/v1/chat/completions",
            json={"model": "o1-pro", "messages": [{"role": "user", "content": "x"}]},
        )
        assert refused.status_code == 403
    finally:
        began = time.monotonic()
        gateway.stop(drain_s=0.2)
    assert time.monotonic() - began < 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")
    assert list((tmp_path / "state" / "run").iterdir()) == []
    assert set(threading.enumerate()) <= before
    gateway.stop()


@pytest.mark.parametrize("mode", MODES)
def test_a_taken_port_is_one_sentence(tmp_path: Path, mode: Mode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        gateway = EmbeddedGateway(options(tmp_path, listen=address), mode)
        with pytest.raises(EmbeddedError, match=f"cannot listen on {address}: the port is taken"):
            gateway.start()
        gateway.stop()


@pytest.mark.parametrize("mode", MODES)
def test_a_state_directory_that_is_a_file_is_one_sentence(tmp_path: Path, mode: Mode) -> None:
    (tmp_path / "state").write_text("")
    gateway = EmbeddedGateway(options(tmp_path), mode)
    with pytest.raises(EmbeddedError) as caught:
        gateway.start()
    assert "\n" not in str(caught.value) and "state" in str(caught.value)
    gateway.stop()


def test_one_stopped_before_it_started_does_not_start(tmp_path: Path) -> None:
    gateway = EmbeddedGateway(options(tmp_path))
    gateway.stop()
    with pytest.raises(EmbeddedError):
        gateway.start()
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("mode", MODES)
def test_a_stop_during_the_start_stops_what_was_started(tmp_path: Path, mode: Mode) -> None:
    gateway = EmbeddedGateway(options(tmp_path), mode)
    began = threading.Event()

    def start() -> None:
        began.set()
        gateway.start()

    starter = threading.Thread(target=start)
    starter.start()
    began.wait()
    gateway.stop(drain_s=0)
    starter.join(10)
    # Whichever came first: a second stop finds nothing that listens.
    gateway.stop(drain_s=0)
    if gateway.started is not None:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{gateway.started.api_url}/healthz")


def test_a_broken_file_is_served_around_when_the_screen_can_mend_it(tmp_path: Path) -> None:
    broken = options(tmp_path, allow_broken_start=True)
    broken.policy_path.write_text("policies: [")
    gateway = EmbeddedGateway(broken)
    url, token = gateway.start()
    try:
        assert httpx.get(f"{url}/readyz").status_code == 503
        status = httpx.get(f"{url}/v1/status", headers={"Authorization": f"Bearer {token.reveal()}"}).json()
        assert status["gateway"]["state"] == "not_ready"
    finally:
        gateway.stop(0)


def test_a_gateway_in_a_process_ends_with_its_parents_pipe(tmp_path: Path) -> None:
    gateway = EmbeddedGateway(options(tmp_path), "process")
    url, _ = gateway.start()
    process = gateway._host._child._process  # type: ignore[attr-defined]
    process.stdin.close()
    assert process.wait(5) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")
    gateway.stop(0)


def test_secrets_travel_in_the_pipe_and_not_in_arguments_or_files(tmp_path: Path) -> None:
    given = options(tmp_path, api_token=Secret("kt-token-canary"))
    gateway = EmbeddedGateway(given, "process")
    gateway.start()
    try:
        pid = gateway._host.pid  # type: ignore[attr-defined]
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert b"canary" not in shown
        written = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
        assert b"canary" not in written
    finally:
        gateway.stop(0)


def test_options_survive_the_pipe(tmp_path: Path) -> None:
    given = options(tmp_path, api_token=Secret("kt-1"), tls_cert=None)
    back = options_from(options_message(given))
    assert back == given
    assert options_from(options_message(options(tmp_path, tls_cert=Path("/x")))).tls_cert == Path("/x")
