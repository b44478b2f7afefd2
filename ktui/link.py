"""GatewayLink: the control API as the screen sees it. The only way from the screen to the gateway."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from ktui.answers import (
    Applied,
    Bodies,
    Config,
    Difference,
    EventRow,
    FilterField,
    Linted,
    Problem,
    Series,
    Split,
    Status,
    Version,
)
from ktui.cost_answers import Advice, Cost
from ktui.workbench_answers import Explanation, Impact, ModelPrice
from proxy.base.sanitise import sanitise
from proxy.base.secret import Secret

Answer = TypeVar("Answer")

AT_HEADER = "x-kt-at"
REPLAY_WITHIN_S = 60.0
"""How long a replay of recorded requests may take: its process may have to start first."""


class LinkError(Exception):
    """A call that gave no usable answer; the text is one sentence, safe to show."""


class Unreachable(LinkError):
    """Nothing answered."""


class Refused(LinkError):
    """The gateway answered with an error."""

    def __init__(
        self,
        message: str,
        status: int,
        code: str = "",
        where: str = "",
        columns: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.where = where
        self.columns = columns
        """Where the fault in the text that was sent begins, and the column after its end, from 1; None: not told."""


class Conflict(Refused):
    """The file is no longer the one the change was made on; `text` and `hash` are the present ones."""

    def __init__(self, message: str, hash_: str, text: str) -> None:
        super().__init__(message, 409, "conflict")
        self.hash = hash_
        self.text = text


class LintRefused(Refused):
    """The text has errors; nothing was written."""

    def __init__(self, message: str, diagnostics: tuple[Problem, ...]) -> None:
        super().__init__(message, 422, "lint")
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """One server-sent event (of /v1/stream: `events`, `status` or `config`); `data` is raw JSON."""

    kind: str
    data: bytes

    def decode(self, as_type: type[Answer]) -> Answer:
        """The data as `as_type`; LinkError when it does not fit."""
        return _decoded(self.data, as_type, f"the stream's {self.kind}")


class _Splits(msgspec.Struct):
    splits: tuple[Split, ...]


class _Versions(msgspec.Struct):
    versions: tuple[Version, ...]


class _Prices(msgspec.Struct):
    prices: tuple[ModelPrice, ...]


class _Fields(msgspec.Struct):
    fields: tuple[FilterField, ...]


class _Events(msgspec.Struct):
    events: tuple[EventRow, ...]


def _decoded(data: bytes, as_type: type[Answer], where: str) -> Answer:
    try:
        return msgspec.json.decode(data, type=as_type, strict=False)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise LinkError(f"{where} gave an answer this screen cannot read: {sanitise(error, 160)}") from None


class GatewayLink:
    """Client of one control API; every call raises LinkError with one sentence.

    Made without an address it is unreachable until `connect` is called: so a screen can be drawn before its
    gateway listens.
    """

    def __init__(
        self, url: str = "", token: Secret | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = ""
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        if url:
            self.connect(url, token or Secret(""))

    def connect(self, url: str, token: Secret, verify: ssl.SSLContext | bool = True) -> None:
        """Sets the address and the token; calls made after this go there.

        `verify`: what the certificate of an https address is verified with.
        """
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token.reveal()}"},
            timeout=httpx.Timeout(10.0, connect=2.0),
            transport=self._transport,
            verify=verify,
            trust_env=False,
        )

    def show_moment(self, at: datetime | None) -> None:
        """From now on every answer is as of `at` (with a zone); None: of the present again."""
        headers = self._open().headers
        if at is None:
            headers.pop(AT_HEADER, None)
        else:
            headers[AT_HEADER] = at.isoformat(timespec="milliseconds")

    @property
    def connected(self) -> bool:
        """Whether an address is known (not whether something answers there)."""
        return self._client is not None

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            raise Unreachable("the gateway is starting")
        return self._client

    async def status(self) -> Status:
        """The whole state of the gateway."""
        return await self._get("/v1/status", Status)

    async def splits(self) -> tuple[Split, ...]:
        """All splits that run."""
        return (await self._get("/v1/splits", _Splits)).splits

    async def set_weights(
        self,
        split: str,
        *,
        if_match: str = "*",
        weights: Mapping[str, float] | None = None,
        phases: Mapping[str, Mapping[str, float]] | None = None,
        phase: str | None = None,
        why: str = "",
        dry_run: bool = False,
    ) -> Applied:
        """Writes weights into the file and applies; a dry run only says what would be written."""
        body: dict[str, Any] = {"why": why, "dry_run": dry_run}
        if weights is not None:
            body["weights"] = dict(weights)
        if phases is not None:
            body["phases"] = {name: dict(values) for name, values in phases.items()}
        if phase is not None:
            body["phase"] = phase
        path = f"/v1/splits/{quote(split, safe='')}/weights"
        return await self._send("PUT", path, body, Applied, if_match=if_match)

    async def config(self) -> Config:
        """The running text and the state of the file."""
        return await self._get("/v1/config", Config)

    async def put_config(
        self, text: str, *, if_match: str, why: str = "", through: str = "editor"
    ) -> Applied:
        """Writes `text` to the file and applies it.

        Conflict when the file is not `if_match`, LintRefused on errors.
        """
        body = {"text": text, "why": why, "through": through}
        return await self._send("PUT", "/v1/config", body, Applied, if_match=if_match)

    async def versions(self) -> tuple[Version, ...]:
        """Applied versions, as the gateway lists them."""
        return (await self._get("/v1/config/versions", _Versions)).versions

    async def version(self, hash_: str) -> Version:
        """One version with its text."""
        return await self._get(f"/v1/config/versions/{quote(hash_, safe='')}", Version)

    async def restore(self, hash_: str, *, if_match: str, why: str = "") -> Applied:
        """Makes an older version the file and applies it."""
        return await self._send(
            "POST", "/v1/config/restore", {"hash": hash_, "why": why}, Applied, if_match=if_match
        )

    async def lint(self, text: str) -> Linted:
        """What is wrong with `text`."""
        return await self._send("POST", "/v1/policy/lint", {"text": text}, Linted)

    async def diff(self, a: str, b: str) -> Difference:
        """What differs between two policy texts."""
        return await self._send("POST", "/v1/policy/diff", {"a": a, "b": b}, Difference)

    async def impact(
        self,
        text: str,
        *,
        last: int = 10_000,
        show: Mapping[str, str | int] | None = None,
        limit: int = 100,
    ) -> Impact:
        """The draft `text` replayed over the newest `last` recorded requests.

        `show` asks for up to `limit` of the requests behind a number: `{"kind": "blocked"}`, `{"kind": "move",
        "index": 0}`, `{"kind": "policy", "name": "..."}`. LintRefused when the draft has errors.
        """
        body = {"text": text, "last": last, "show": show, "limit": limit}
        return await self._send("POST", "/v1/policy/impact", body, Impact, timeout_s=REPLAY_WITHIN_S)

    async def explain_event(self, id_: str) -> Explanation:
        """Why one recorded request went where it went, under the version that ran."""
        return await self._get(f"/v1/events/{quote(id_, safe='')}/explain", Explanation)

    async def model_prices(self) -> tuple[ModelPrice, ...]:
        """The models served by name, at each target, with what they cost."""
        return (await self._get("/v1/prices", _Prices)).prices

    async def events(
        self,
        *,
        limit: int = 500,
        before_seq: int | None = None,
        after_seq: int | None = None,
        oldest: bool = False,
        window: Mapping[str, str] | None = None,
    ) -> tuple[EventRow, ...]:
        """The newest `limit` requests, newest first, or with `oldest` the oldest ones, oldest first.

        `before_seq`, `after_seq` leave out what is not before or after them; `window` narrows further, as the
        API names it: `filter`, `since`, `until`, `at`.
        """
        params: dict[str, str | int] = {"limit": limit, "unknown": "null", **(window or {})}
        if before_seq is not None:
            params["before_seq"] = before_seq
        if after_seq is not None:
            params["after_seq"] = after_seq
        if oldest:
            params["order"] = "oldest"
        data = await self._bytes("GET", "/v1/events", params=params)
        if data.lstrip()[:1] == b"[":
            return _decoded(data, tuple[EventRow, ...], "/v1/events")
        return _decoded(data, _Events, "/v1/events").events

    async def filter_fields(self) -> tuple[FilterField, ...]:
        """What a filter can ask for."""
        return (await self._get("/v1/events/fields", _Fields)).fields

    async def event(self, id_: str) -> EventRow:
        """One request."""
        return await self._get(f"/v1/events/{quote(id_, safe='')}?unknown=null", EventRow)

    async def event_json(self, id_: str) -> dict[str, Any]:
        """One request, exactly as the API gives it."""
        return await self._get(f"/v1/events/{quote(id_, safe='')}", dict[str, Any])

    async def body(self, id_: str) -> Bodies:
        """What was asked and answered, word for word. Refused (404) with a sentence when it was not kept."""
        return await self._get(f"/v1/events/{quote(id_, safe='')}/body", Bodies)

    async def series(
        self,
        metric: str,
        *,
        group_by: str = "variant",
        window: str = "15m",
        step: str = "10s",
        span: tuple[float, float] | None = None,
    ) -> Series:
        """One metric along time: over the `window` up to now, or over a `span` in seconds since 1970."""
        params = {"metric": metric, "group_by": group_by, "step": step}
        if span is None:
            params["window"] = window
        else:
            params["since"], params["until"] = (
                datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds") for at in span
            )
        return _decoded(
            await self._bytes("GET", "/v1/metrics/series", params=params), Series, "/v1/metrics/series"
        )

    async def cost(self, *, window: str = "7d", group_by: str = "model") -> Cost:
        """What was spent over a window, by group, along time and by the calendar."""
        params = {"window": window, "group_by": group_by}
        return _decoded(await self._bytes("GET", "/v1/cost", params=params), Cost, "/v1/cost")

    async def cost_advice(self, *, window: str = "7d") -> Advice:
        """What recorded requests would have cost elsewhere."""
        patience = httpx.Timeout(REPLAY_WITHIN_S, connect=2.0)
        data = await self._bytes("GET", "/v1/cost/advice", params={"window": window}, timeout=patience)
        return _decoded(data, Advice, "/v1/cost/advice")

    def stream(self) -> AsyncGenerator[StreamMessage, None]:
        """Messages of /v1/stream until it ends; Unreachable when it breaks or is silent for 30 s."""
        return self.messages("/v1/stream")

    async def messages(
        self, path: str, params: Mapping[str, str | int] | None = None
    ) -> AsyncGenerator[StreamMessage, None]:
        """The server-sent events of `path` until they end; Unreachable when it breaks or is silent for 30 s."""
        timeout = httpx.Timeout(10.0, connect=2.0, read=30.0)
        try:
            async with self._open().stream("GET", path, params=params, timeout=timeout) as response:
                if response.status_code != 200:
                    raise _error(response.status_code, await response.aread())
                async for message in _sse(response.aiter_lines()):
                    yield message
        except httpx.HTTPError as error:
            raise Unreachable(_sentence(error, self.url)) from None

    async def download(self, path: str, params: Mapping[str, str | int]) -> AsyncGenerator[bytes, None]:
        """The answer's bytes as they come, without an end to its size. Unreachable when it breaks off."""
        timeout = httpx.Timeout(60.0, connect=2.0)
        try:
            async with self._open().stream("GET", path, params=params, timeout=timeout) as response:
                if response.status_code != 200:
                    raise _error(response.status_code, await response.aread())
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx.HTTPError as error:
            raise Unreachable(_sentence(error, self.url)) from None

    async def _get(self, path: str, as_type: type[Answer]) -> Answer:
        return _decoded(await self._bytes("GET", path), as_type, path)

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        as_type: type[Answer],
        *,
        if_match: str | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        headers = {"Content-Type": "application/json"}
        if if_match is not None:
            headers["If-Match"] = if_match if if_match == "*" else f'"{if_match}"'
        patience = {} if timeout_s is None else {"timeout": httpx.Timeout(timeout_s, connect=2.0)}
        content = msgspec.json.encode(body)
        data = await self._bytes(method, path, content=content, headers=headers, **patience)
        return _decoded(data, as_type, path)

    async def _bytes(self, method: str, path: str, **kwargs: Any) -> bytes:
        try:
            response = await self._open().request(method, path, **kwargs)
        except httpx.HTTPError as error:
            raise Unreachable(_sentence(error, self.url)) from None
        if response.status_code >= 400:
            raise _error(response.status_code, response.content)
        return response.content


async def _sse(lines: AsyncIterator[str]) -> AsyncIterator[StreamMessage]:
    kind = "message"
    data: list[str] = []
    async for line in lines:
        if not line:
            if data:
                yield StreamMessage(kind, "\n".join(data).encode())
            kind, data = "message", []
        elif line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


def _sentence(error: httpx.HTTPError, url: str) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"{sanitise(url, 80)} did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return f"nothing answers at {sanitise(url, 80)}"
    return f"the connection to {sanitise(url, 80)} broke ({type(error).__name__})"


def _error(status: int, content: bytes) -> Refused:
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = {}
    body = body if isinstance(body, dict) else {}
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    message = sanitise(error.get("message") or f"the gateway answered {status}", 300)
    if status == 409 and isinstance(body.get("current"), dict):
        current = body["current"]
        return Conflict(message, str(current.get("hash", "")), str(current.get("text", "")))
    if status == 422 and isinstance(body.get("diagnostics"), list):
        try:
            problems = msgspec.convert(body["diagnostics"], tuple[Problem, ...], strict=False)
        except msgspec.ValidationError:
            problems = ()
        return LintRefused(message, problems)
    start, end = body.get("column"), body.get("end_column")
    columns = (start, end) if isinstance(start, int) and isinstance(end, int) else None
    where = sanitise(error.get("where", ""), 120)
    return Refused(message, status, sanitise(error.get("code", ""), 60), where, columns)
