"""The control API as `kt` calls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from proxy.base.sanitise import sanitise
from proxy.cli.exits import ProblemError
from proxy.cli.places import Gateway


class RefusedError(ProblemError):
    """The gateway answered with an error."""

    def __init__(self, sentence: str, status: int, code: str, message: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.message = message
        """What it said, without where."""


class Api:
    """One gateway's control API; every failure is a ProblemError with one sentence."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._client = httpx.Client(
            base_url=gateway.api,
            headers={"Authorization": f"Bearer {gateway.token.reveal()}"},
            timeout=httpx.Timeout(30, connect=3),
            verify=gateway.verify,
            trust_env=False,
        )

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """The JSON of `path`."""
        with self._failures():
            answer = self._client.get(path, params=dict(parameters or {}))
            self._check(answer)
            return answer.json()

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        within_s: float = 90.0,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON that `path` answers to `body`."""
        with self._failures():
            answer = self._client.post(
                path,
                json=dict(body),
                headers=dict(headers or {}),
                timeout=httpx.Timeout(within_s, connect=3),
            )
            self._check(answer)
            return answer.json()

    @contextmanager
    def stream(
        self, path: str, parameters: Mapping[str, str], endless: bool = False
    ) -> Iterator[httpx.Response]:
        """The answer of `path`, to be read piece by piece."""
        timeout = httpx.Timeout(30, connect=3, read=None if endless else 30)
        with (
            self._failures(),
            self._client.stream("GET", path, params=dict(parameters), timeout=timeout) as answer,
        ):
            if answer.status_code >= 400:
                answer.read()
            self._check(answer)
            yield answer

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise ProblemError(f"no gateway answers at {self._gateway.api}") from None
        except httpx.HTTPError as error:
            raise ProblemError(f"{self._gateway.api}: {type(error).__name__}: {error}") from None

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code < 400:
            return
        try:
            error = answer.json()["error"]
            code, message = str(error["code"]), sanitise(error["message"], 500)
        except (ValueError, KeyError, TypeError):
            code, message = "", f"answered {answer.status_code}"
        raise RefusedError(f"{self._gateway.api}: {message}", answer.status_code, code, message)
