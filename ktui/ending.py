"""How the program ends: by itself or by a signal, in order, and with certainty also when its terminal is stalled."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ktui.app import KtuiApp

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
LAST_RESORT_S = 3.0
"""How long an orderly end may take after a signal. A terminal that nobody reads can hold the screen for ever."""

# Out of the alternate screen, mouse, focus, paste and key reporting off, cursor shown.
_RESET = b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?25h\x1b[0m"


class Session(Protocol):
    """What runs behind a screen."""

    def app(self) -> KtuiApp:
        """The screen, made once."""

    def close(self) -> None:
        """End everything and leave nothing; calling it again does nothing."""


def run(make: Callable[[], Session]) -> int:
    """Show the screen of the session that `make` makes, until it ends; the exit code.

    Signals are caught before `make` is called, so that whatever it makes is also removed.
    """
    return _Run(make).run()


class _Run:
    def __init__(self, make: Callable[[], Session]) -> None:
        self._make = make
        self._session: Session | None = None
        self._app: KtuiApp | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signal: int | None = None
        self._over = threading.Event()
        self._modes = _terminal_modes()

    def run(self) -> int:
        before = {number: signal.signal(number, self._asked) for number in SIGNALS}
        try:
            code = asyncio.run(self._main())
        finally:
            self._over.set()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 128 + self._signal if self._signal is not None else code

    async def _main(self) -> int:
        self._loop = asyncio.get_running_loop()
        try:
            self._session = self._make()
            self._app = self._session.app()
            if self._signal is None:
                await self._app.run_async()
            return self._app.return_code or 0
        finally:
            if self._session is not None:
                await asyncio.to_thread(self._session.close)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            return
        self._signal = number
        # The event loop may be stuck in a write to the terminal, so the certainty comes from another thread.
        threading.Thread(target=self._make_sure, name="ending", daemon=True).start()
        if self._loop is not None and self._app is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._app.exit)

    def _make_sure(self) -> None:
        if self._over.wait(LAST_RESORT_S):
            return
        try:
            if self._session is not None:
                self._session.close()
        finally:
            _restore_terminal(self._modes)
            os._exit(128 + (self._signal or 0))


def _terminal_modes() -> list[object] | None:
    try:
        return list(termios.tcgetattr(sys.stdin.fileno()))
    except (termios.error, OSError, ValueError):
        return None


def _restore_terminal(modes: list[object] | None) -> None:
    """Without waiting for a terminal that takes nothing: what it has not taken is thrown away."""
    if modes is None:
        return
    descriptor = sys.stdin.fileno()
    with suppress(termios.error, OSError):
        termios.tcflush(descriptor, termios.TCOFLUSH)
        os.set_blocking(descriptor, False)
        os.write(descriptor, _RESET)
    with suppress(termios.error, OSError):
        os.set_blocking(descriptor, True)
        termios.tcsetattr(descriptor, termios.TCSANOW, modes)  # type: ignore[arg-type]
