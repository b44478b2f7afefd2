"""Who is measured: each starts in a directory of its own and says where it listens."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.machine import cpu_s, hold, pin, tree

_ROOT = Path(__file__).parent.parent
_START_S = 30.0
_KEY = "sk-benchmark"

POLICY = """\
providers:
  targets:
    - {{id: openai, base_url: "http://127.0.0.1:{port}", secret_key_ref: {{env: OPENAI_API_KEY}}}}
policies:
  - name: model-routing
    type: model_filter
    allowed_models: [gpt-4o, gpt-4o-mini]
  - name: route-long-answers
    type: model_filter
    conditions: {{max_tokens_gt: 4000}}
    preferred_model: gpt-4o-mini
  - name: ab-test-models
    type: traffic_split
    variants:
      - {{model: gpt-4o, weight: 70, tag: variant-a}}
      - {{model: gpt-4o-mini, weight: 30, tag: variant-b}}
"""

NGINX = """\
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log; {user}
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  keepalive_requests 10000000;
  upstream vendor {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ proxy_pass http://vendor; proxy_http_version 1.1; proxy_set_header Connection "";
                 proxy_set_header Authorization "Bearer {key}"; proxy_buffering off; }}
  }}
}}
"""


class Contender:
    """Something that listens. `cpu` is of the processes that carry requests, `beside` of those that do not."""

    def __init__(self, name: str, address: tuple[str, int]) -> None:
        self.name = name
        self.address = address

    def carriers(self) -> list[int]:
        """The processes that carry requests."""
        return []

    def others(self) -> list[int]:
        """Its other processes."""
        return []

    def hold(self, still: bool) -> None:
        """Stand still while others are measured, and go on."""
        hold(self.carriers() + self.others(), still)

    def cpu(self) -> tuple[float, float]:
        """Seconds of processor time so far: of the carriers, of the others."""
        return cpu_s(self.carriers()), cpu_s(self.others())

    def stop(self) -> None:
        """End what was started."""


class Program(Contender):
    """A program of one process tree, all of it on one core."""

    def __init__(
        self,
        name: str,
        port: int,
        command: Sequence[str],
        directory: Path,
        core: int,
        env: dict[str, str] | None = None,
    ) -> None:
        super().__init__(name, ("127.0.0.1", port))
        self._log = directory / f"{name.replace(' ', '-')}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=_ROOT
            )
        pin(self._process.pid, core)
        _wait_for(self.address, lambda: self._process.poll() is None, self._log)
        for pid in self.carriers():
            pin(pid, core)

    def carriers(self) -> list[int]:
        return tree(self._process.pid)

    def stop(self) -> None:
        self.hold(False)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WithScreen(Contender):
    """`ktui` on a terminal of 120x40 that `cat` reads: the Live screen draws every request that is measured."""

    def __init__(self, mode: str, policy: Path, directory: Path, core: int, other_core: int) -> None:
        port, api = free_port(), free_port()
        super().__init__(f"ktui, {mode}", ("127.0.0.1", port))
        state = directory / f"state-{mode}"
        command = [
            sys.executable, "-m", "ktui", str(policy), "--listen", f"127.0.0.1:{port}", "--api-listen",
            f"127.0.0.1:{api}", "--gateway", mode, "--state-dir", str(state),
        ]  # fmt: skip
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        env = {**environment(), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._screen = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=_ROOT, start_new_session=True
        )
        os.close(slave)
        self._reader = subprocess.Popen(
            ["cat"], stdin=master, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._master = master
        _wait_for(self.address, lambda: self._screen.poll() is None, state / "ktui.log")
        token = operator_token(state)
        self._gateway = _gateway_pid(f"http://127.0.0.1:{api}", token)
        for pid in tree(self._screen.pid):
            pin(pid, core if pid == self._gateway else other_core)

    def carriers(self) -> list[int]:
        return [self._gateway]

    def others(self) -> list[int]:
        return [pid for pid in tree(self._screen.pid) if pid != self._gateway]

    def stop(self) -> None:
        self.hold(False)
        self._screen.send_signal(signal.SIGTERM)
        try:
            self._screen.wait(15)
        except subprocess.TimeoutExpired:
            self._screen.kill()
            self._screen.wait()
        self._reader.kill()
        self._reader.wait()
        os.close(self._master)


def gateway(policy: Path, directory: Path, core: int) -> Contender:
    """`kt gateway run`."""
    port = free_port()
    command = [
        sys.executable, "-c", "from proxy.cli.main import main; main()", "gateway", "run", "--policy-config",
        str(policy), "--listen", f"127.0.0.1:{port}", "--api-listen", f"127.0.0.1:{free_port()}",
        "--state-dir", str(directory / "state-headless"),
    ]  # fmt: skip
    return Program("kt, no screen", port, command, directory, core, environment())


def nginx(upstream: int, directory: Path, core: int) -> Contender | None:
    """nginx with `proxy_pass`; None when it is not installed."""
    program = shutil.which("nginx")
    if program is None:
        return None
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    conf = directory / "nginx.conf"
    conf.write_text(NGINX.format(dir=directory, user=user, port=port, upstream=upstream, key=_KEY))
    return Program("nginx", port, [program, "-p", str(directory), "-c", str(conf)], directory, core)


def envoy(upstream: int, directory: Path, core: int) -> Contender | None:
    """Envoy with one worker; None when it is not installed."""
    program = shutil.which("envoy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        return None
    port = free_port()
    conf = directory / "envoy.json"
    conf.write_text(json.dumps(_envoy_config(port, upstream)))
    command = [program, "-c", str(conf), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"]
    return Program("envoy", port, command, directory, core)


def _envoy_config(port: int, upstream: int) -> dict[str, object]:
    def at(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    http = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{http}.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "vendor", "timeout": "0s"}}
    manager = {
        "@type": f"{http}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}]
    cluster = {
        "name": "vendor",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "vendor", "endpoints": endpoints},
    }
    listener = {"name": "in", "address": at(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def environment() -> dict[str, str]:
    """The environment of our own programs: the vendor's key, and nothing that changes where they look."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KT_")}
    return {**kept, "OPENAI_API_KEY": _KEY, "PYTHONPATH": str(_ROOT)}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(address: tuple[str, int], lives: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        with suppress(OSError):
            socket.create_connection(address, 0.5).close()
            return
        if not lives():
            break
        time.sleep(0.05)
    said = log.read_text(errors="replace")[-2_000:] if log.exists() else ""
    raise SystemExit(f"nothing listens at {address[0]}:{address[1]}; its log ends:\n{said}")


def operator_token(state: Path) -> str:
    """The token with which a gateway's own machine may ask its control API anything."""
    entries = json.loads((state / "tokens.json").read_text())["tokens"]
    return str(next(entry["token"] for entry in entries if entry["role"] == "operator"))


def _gateway_pid(api: str, token: str) -> int:
    asked = urllib.request.Request(f"{api}/v1/status", headers={"Authorization": f"Bearer {token}"})
    until = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return int(json.load(answer)["gateway"]["pid"])
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
