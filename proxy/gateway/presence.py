"""Whether the client of a connection is still there, as the connection itself knows it."""

from __future__ import annotations

from collections.abc import Callable

EXTENSION = "kt.presence"
"""Under this name a request finds the presence of its client among the `extensions` of its ASGI scope."""


class Presence:
    """The client at the other end of one connection. It has one request answered at a time.

    The one after it may begin while an answer that is out is still being tidied up; who watches is then that one.
    """

    __slots__ = ("_keep_reading", "_left", "_tell")

    def __init__(self, keep_reading: Callable[[], None]) -> None:
        """`keep_reading`: only a connection that is read from notices that its other end is gone."""
        self._keep_reading = keep_reading
        self._left = False
        self._tell: Callable[[], None] | None = None

    def watch(self, tell: Callable[[], None]) -> None:
        """Call `tell` when the client leaves; at once when it has left. It takes the place of an earlier one."""
        if self._left:
            tell()
            return
        self._tell = tell
        self._keep_reading()

    def unwatch(self, tell: Callable[[], None]) -> None:
        """Do not call `tell` any more. Who took its place stays."""
        if self._tell == tell:
            self._tell = None

    def leave(self) -> None:
        """The connection is gone."""
        self._left = True
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()
