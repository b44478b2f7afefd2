"""Work that is done once under each Idempotency-Key: sent again, it answers what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from proxy.control.problems import ApiError

_REMEMBERED = 256
Result = TypeVar("Result")


class Once(Generic[Result]):
    """The answers of one route, as long as the process lives; the newest only. `what` names its work."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._done: dict[str, tuple[Mapping[str, Any], Result]] = {}

    async def run(self, key: str, body: Mapping[str, Any], work: Callable[[], Awaitable[Result]]) -> Result:
        """What `work` gave under `key`. Raises ApiError (409) when the key stood for another body."""
        earlier = self._done.get(key)
        if earlier is not None:
            if earlier[0] != body:
                raise ApiError(
                    409,
                    "conflict",
                    f"this Idempotency-Key was used for another {self._what}",
                    "idempotency-key",
                )
            return earlier[1]
        result = await work()
        while len(self._done) >= _REMEMBERED:
            del self._done[next(iter(self._done))]
        self._done[key] = body, result
        return result
