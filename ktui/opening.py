"""What a screen opens on: a gateway of our own, or one that runs already."""

from __future__ import annotations

import asyncio
import getpass
import ipaddress
import json
import os
import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ktui.embedded import EmbeddedGateway, Mode
from ktui.paths import POLICY_NAME, last_policy, remember_policy, sample_configs, settings_file, user_themes
from proxy.base.sanitise import sanitise
from proxy.base.secret import Secret

if TYPE_CHECKING:
    from ktui.app import KtuiApp
    from ktui.link import GatewayLink
    from proxy.service.options import ServiceOptions

DEFAULT_LISTEN = "127.0.0.1:41002"
DEFAULT_API_LISTEN = "127.0.0.1:41003"
STARTER = "gradual-rollout.yaml"
DRAIN_S = 10.0
_PATIENCE_S = 0.7
_CALL_S = 3.0
_TOAST_S = 8.0
_KEY_TOAST_S = 60.0


class OpeningError(Exception):
    """There is nothing to open; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Place:
    """A control API: base address, token, and what its certificate is verified with."""

    url: str
    token: Secret
    verify: ssl.SSLContext | bool = True


# -- a gateway of our own


@dataclass(frozen=True, slots=True)
class OwnOptions:
    """What the command line says of it. `policy` may be missing or broken: the screen then helps to mend it."""

    policy: Path
    state_dir: Path
    env: Mapping[str, str]
    listen: str = DEFAULT_LISTEN
    api_listen: str = DEFAULT_API_LISTEN
    mode: Mode = "thread"
    theme: str | None = None


class OwnSession:
    """The screen and the gateway it runs."""

    def __init__(self, options: OwnOptions) -> None:
        self._options = options
        self._gateway: EmbeddedGateway | None = None
        self._app: KtuiApp | None = None
        self._lock = threading.Lock()
        self._closed = False

    def app(self) -> KtuiApp:
        """See Session."""
        from ktui.app import KtuiApp
        from ktui.link import GatewayLink

        env = self._options.env
        self._app = KtuiApp(
            GatewayLink(),
            starter=self.connect,
            theme=self._options.theme,
            user_themes=user_themes(env),
            settings=settings_file(env),
            env=env,
        )
        return self._app

    async def connect(self, link: GatewayLink) -> None:
        """Start the gateway, then give `link` its address. Raises EmbeddedError."""
        await asyncio.to_thread(self._start)
        gateway = self._gateway
        if gateway is None or gateway.started is None:
            return
        link.connect(gateway.started.api_url, gateway.started.token)
        remember_policy(self._options.state_dir, self._options.policy)
        if gateway.started.new_client_key is not None and self._app is not None:
            path = sanitise(self._options.state_dir / "client_key", 200)
            self._app.notify(
                f"clients off this machine need a key: one was made, it is in {path}",
                timeout=_KEY_TOAST_S,
                markup=False,
            )

    def close(self) -> None:
        """See Session. Requests in flight are finished, for ten seconds at most."""
        self._closed = True
        notice = threading.Timer(0.7, _say, [f"finishing requests in flight, {DRAIN_S:g} s at most"])
        notice.daemon = True
        notice.start()
        try:
            with self._lock:
                if self._gateway is not None:
                    self._gateway.stop(DRAIN_S)
        finally:
            notice.cancel()

    def _start(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._gateway = EmbeddedGateway(self._service_options(), self._options.mode)
            self._gateway.start()

    def _service_options(self) -> ServiceOptions:
        from proxy.service.options import ServiceOptions

        token = self._options.env.get("KT_API_TOKEN")
        return ServiceOptions(
            policy_path=self._options.policy,
            state_dir=self._options.state_dir,
            listen=self._options.listen,
            api_listen=self._options.api_listen,
            env=self._options.env,
            allow_broken_start=True,
            api_token=Secret(token) if token else None,
        )


def find_policy(named: Path | None, state_dir: Path) -> Path:
    """The named file, else ./policy-config.yaml, else the one used last, else a starter file if one is wanted.

    Asks on the terminal. Raises OpeningError.
    """
    if named is not None:
        if not named.exists():
            raise OpeningError(
                f"there is no file {sanitise(named, 200)}; name a policy file, or run ktui without one"
            )
        if named.is_dir():
            raise OpeningError(f"{sanitise(named, 200)} is a directory; name the policy file in it")
        return named
    here = Path(POLICY_NAME)
    if here.is_file():
        return here
    last = last_policy(state_dir)
    if last is not None:
        return last
    if not _agreed(f"There is no policy file here. Write a starter file to ./{POLICY_NAME}? [y/N] "):
        raise OpeningError("there is no policy file; run ktui FILE, or ktui demo to look around")
    return write_starter(here)


def write_starter(path: Path) -> Path:
    """Writes a sample policy to `path`, which must not exist. Raises OpeningError."""
    try:
        text = (sample_configs() / STARTER).read_text(encoding="utf-8")
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OpeningError(f"the starter file {path} cannot be written: {error.strerror}") from None
    return path


def _agreed(question: str) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# -- a gateway that runs


class AttachedSession:
    """The screen of a gateway that somebody else runs; it stays when the screen ends."""

    def __init__(self, place: Place, *, theme: str | None, env: Mapping[str, str], note: str = "") -> None:
        self._place = place
        self._theme = theme
        self._env = env
        self._note = note

    def app(self) -> KtuiApp:
        """See Session."""
        from ktui.app import KtuiApp
        from ktui.link import GatewayLink

        async def connect(link: GatewayLink) -> None:
            link.connect(self._place.url, self._place.token, self._place.verify)
            if self._note:
                app.notify(sanitise(self._note, 300), timeout=_TOAST_S, markup=False)

        app = KtuiApp(
            GatewayLink(),
            starter=connect,
            attached=sanitise(urlsplit(self._place.url).netloc, 60),
            theme=self._theme,
            user_themes=user_themes(self._env),
            settings=settings_file(self._env),
            env=self._env,
        )
        return app

    def close(self) -> None:
        """See Session."""


def answering(api_listen: str) -> str | None:
    """The base address of whatever answers where our control API would listen; None when nothing does."""
    host, _, port = api_listen.rpartition(":")
    host = host.strip("[]")
    if not port.isdigit() or port == "0":
        return None
    try:
        socket.create_connection((host, int(port)), _PATIENCE_S).close()
    except OSError:
        return None
    return f"http://{api_listen}"


def local_place(url: str, state_dir: Path, env: Mapping[str, str]) -> Place | None:
    """The gateway at `url` on this machine; None when what answers there is not a gateway.

    Raises OpeningError when it is one that our token does not open.
    """
    if _status_of(url, None) != 401:
        return None
    given = env.get("KT_API_TOKEN")
    # Anybody can listen on a port: the token of the state directory goes to the gateway that announced itself there.
    token = Secret(given) if given else _known_token(state_dir, {}) if _announced(url, state_dir) else None
    if token is not None and _status_of(url, token) == 200:
        return Place(url, token)
    raise OpeningError(
        f"a gateway runs at {url} with another state directory; name that with --state-dir, or set KT_API_TOKEN"
    )


def _announced(url: str, state_dir: Path) -> bool:
    from proxy.service.state_dir import running_gateways

    return any(record.api_url == url for record in running_gateways(state_dir))


def find_place(
    url: str | None, *, ask_token: bool, insecure: bool, state_dir: Path, env: Mapping[str, str]
) -> Place:
    """The gateway to attach to: `url`, else KT_API_URL, else the only one of the state directory.

    The token is KT_API_TOKEN, else on loopback that of the state directory, else asked for. Raises OpeningError.
    """
    address = _address(url or env.get("KT_API_URL") or _only_live(state_dir))
    parts = urlsplit(address)
    near = _is_loopback(parts.hostname or "")
    if parts.scheme == "http" and not near and not insecure:
        raise OpeningError(
            f"{address} would carry the token unencrypted; use https, an ssh tunnel, or --insecure"
        )
    verify = _verify(address, state_dir, env)
    token = None if ask_token else _known_token(state_dir if near else None, env)
    if token is None:
        token = _asked_token(address)
    status = _status_of(address, token, verify)
    if status == 401 and not ask_token:
        token = _asked_token(address)
        status = _status_of(address, token, verify)
    if status is None:
        raise OpeningError(f"no gateway answers at {address}")
    if status in (401, 403):
        raise OpeningError(f"{address} does not know this token; set KT_API_TOKEN to one of its own")
    if status != 200:
        raise OpeningError(f"what answers at {address} is not the control API of a gateway")
    return Place(address, token, verify)


def _verify(address: str, state_dir: Path, env: Mapping[str, str]) -> ssl.SSLContext | bool:
    """What the certificate at `address` is verified with. Raises OpeningError."""
    from proxy.base.tls import CA_VARIABLE, pinned, trusted
    from proxy.service.state_dir import running_gateways

    if not address.startswith("https://"):
        return True
    own = next((record for record in running_gateways(state_dir) if record.api_url == address), None)
    certificate = own.certificate if own is not None else None
    try:
        return pinned(Path(certificate)) if certificate else trusted(env)
    except OSError as error:
        place = sanitise(certificate or env.get(CA_VARIABLE, ""), 200)
        raise OpeningError(f"the certificate {place} cannot be used: {error.strerror or error}") from None


def _address(text: str) -> str:
    address = (text if "://" in text else f"http://{text}").rstrip("/")
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None:
        raise OpeningError(f"{sanitise(text, 120)} is not an address; write http://host:port")
    return address


def _only_live(state_dir: Path) -> str:
    from proxy.service.state_dir import running_gateways

    live = running_gateways(state_dir)
    if not live:
        raise OpeningError("no gateway runs here; name one: ktui attach http://host:port")
    if len(live) > 1:
        names = ", ".join(record.api_url for record in live)
        raise OpeningError(f"{len(live)} gateways run ({names}); name one: ktui attach URL")
    return live[0].api_url


def _known_token(state_dir: Path | None, env: Mapping[str, str]) -> Secret | None:
    if env.get("KT_API_TOKEN"):
        return Secret(env["KT_API_TOKEN"])
    if state_dir is None:
        return None
    try:
        entries = json.loads((state_dir / "tokens.json").read_text(encoding="utf-8"))["tokens"]
        return Secret(next(entry["token"] for entry in entries if entry["role"] == "operator"))
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None


def _asked_token(address: str) -> Secret:
    token = ""
    with suppress(EOFError):
        token = getpass.getpass(f"Token of {sanitise(address, 120)}: ").strip()
    if not token:
        raise OpeningError(f"{address} needs a token; set KT_API_TOKEN")
    return Secret(token)


def _status_of(url: str, token: Secret | None, verify: ssl.SSLContext | bool = True) -> int | None:
    """What GET /v1/status answers: 200 only from a gateway; None when nothing answers HTTP."""
    import httpx

    headers = {"Authorization": f"Bearer {token.reveal()}"} if token is not None else {}
    try:
        answer = httpx.get(
            f"{url}/v1/status", headers=headers, timeout=_CALL_S, verify=verify, trust_env=False
        )
        if answer.status_code == 200:
            return 200 if "gateway" in answer.json() else 404
        # Only a gateway refuses in this shape.
        if answer.status_code in (401, 403) and "code" in answer.json()["error"]:
            return answer.status_code
    except httpx.HTTPError:
        return None
    except (ValueError, KeyError, TypeError):
        return 404
    return 404


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _say(sentence: str) -> None:
    with suppress(OSError):
        os.write(2, f"ktui: {sanitise(sentence, 500)}\n".encode())
