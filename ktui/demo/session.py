"""One run of the demo: everything temporary, everything gone afterwards."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ktui.child import Child
from ktui.demo.scenario import SPEED, badge
from ktui.demo.traffic import REQUESTS_PER_S
from ktui.embedded import EmbeddedError, EmbeddedGateway, Mode, Started

if TYPE_CHECKING:
    from ktui.app import KtuiApp
    from ktui.link import GatewayLink
    from proxy.service.options import ServiceOptions

_READY_S = 20.0
_DRAIN_S = 0.3
_LEAVE_S = 1.0


class DemoSession:
    """Simulated vendors, a gateway, traffic and the script.

    `seed`: the same prompts, users and answers each time. `mode`: where the gateway runs. `rate`: requests per second.
    `speed`: seconds of the rollout plan per second.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        mode: Mode = "thread",
        rate: float = REQUESTS_PER_S,
        speed: float = SPEED,
        theme: str | None = None,
    ) -> None:
        self._seed = seed
        self._mode: Mode = mode
        self._rate = rate
        self._speed = speed
        self._theme = theme
        # Vendors refuse any other key: the demo shows that the gateway's is the one they see.
        self._key = secrets.token_urlsafe(18)
        self._lock = threading.Lock()
        self._closed = False
        self._gateway: EmbeddedGateway | None = None
        self.directory = Path(tempfile.mkdtemp(prefix="ktui-demo-"))
        self._world = Child("the simulated world", "ktui.demo.world", self.directory / "world.log")
        self._world_started = False

    def app(self) -> KtuiApp:
        """The screen; it starts everything in the background once it is drawn."""
        # The child loads on another core while the screen loads here.
        self._start_world()
        from ktui.app import KtuiApp
        from ktui.link import GatewayLink

        return KtuiApp(
            GatewayLink(),
            demo=True,
            starter=self.connect,
            theme=self._theme,
            settings=self.directory / "settings.yaml",
        )

    async def connect(self, link: GatewayLink) -> None:
        """Start, then give `link` its address. Raises what `begin` raises."""
        started = await asyncio.to_thread(self.begin)
        link.connect(started.api_url, started.token)

    def begin(self) -> Started:
        """Start all of it; where the gateway is. Blocks for about a second. Raises EmbeddedError or ChildError."""
        with self._lock:
            if self._closed:
                raise EmbeddedError("the demo was closed before it started")
            self._start_world()
            policy = self._write_policy(self._world.receive(_READY_S))
            self._gateway = EmbeddedGateway(self._options(policy), self._mode)
            url, token = self._gateway.start()
            started = self._gateway.started
            assert started is not None
            self._world.send({"url": f"http://{started.listen}", "api": url, "token": token.reveal()})
            return started

    def close(self) -> None:
        """End all of it and remove every trace. A start that is under way is waited for."""
        self._closed = True
        with self._lock:
            self._world.stop(_LEAVE_S)
            if self._gateway is not None:
                self._gateway.stop(_DRAIN_S)
            shutil.rmtree(self.directory, ignore_errors=True)

    def _start_world(self) -> None:
        if not self._world_started:
            self._world_started = True
            self._world.start()
            self._world.send({"key": self._key, "seed": self._seed, "rate": self._rate, "speed": self._speed})

    def _write_policy(self, addresses: dict[str, str]) -> Path:
        text = files("ktui.demo").joinpath("policy.yaml").read_text(encoding="utf-8")
        for vendor, url in addresses.items():
            text = text.replace(f"{{{vendor}}}", url)
        policy = self.directory / "policy.yaml"
        policy.write_text(text, encoding="utf-8")
        return policy

    def _options(self, policy: Path) -> ServiceOptions:
        from proxy.service.options import ServiceOptions

        return ServiceOptions(
            policy_path=policy,
            state_dir=self.directory / "state",
            listen="127.0.0.1:0",
            api_listen="127.0.0.1:0",
            env={"OPENAI_API_KEY": self._key, "ANTHROPIC_API_KEY": self._key},
            badges=(badge(self._speed),),
        )
