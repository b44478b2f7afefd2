"""A control API without a gateway: the answers of the mockups, changed by the calls a screen makes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import fake_cost
import fake_events
import httpx

from ktui.link import GatewayLink
from proxy.base.secret import Secret

NOW = datetime(2026, 6, 11, 14, 32, 7, 400_000, tzinfo=UTC)
TOKEN = "fake-token"

POLICY = """\
# Traffic policy of the assistant.
providers:
  targets:
    - {id: openai, provider: openai, secret_key_ref: {env: OPENAI_API_KEY}}
    - {id: anthropic, provider: anthropic, secret_key_ref: {env: ANTHROPIC_API_KEY}}
policies:
  - name: model-routing
    type: model_filter
    allowed_models: [gpt-4o, gpt-4o-mini, gpt-4-turbo, claude-sonnet-4-20250514]

  - name: route-simple-tasks
    type: model_filter
    conditions: {max_tokens_lte: 200}
    preferred_model: gpt-4o-mini

  - name: ab-test-models
    type: traffic_split
    variants:
      - {model: gpt-4o, weight: 95, tag: variant-a}
      - {model: claude-sonnet-4-20250514, weight: 5, tag: variant-b}
    rollout:
      phase: canary
      phases:
        - {name: canary, weights: {variant-a: 95, variant-b: 5}, duration: 3d}
        - {name: expand, weights: {variant-a: 70, variant-b: 30}, duration: 7d}
        - {name: equal, weights: {variant-a: 50, variant-b: 50}, duration: 7d}
        - {name: promote, weights: {variant-a: 10, variant-b: 90}, duration: 3d}
        - {name: complete, weights: {variant-a: 0, variant-b: 100}}
"""

PLAN = (
    ("canary", 95.0, 5.0, "3d"),
    ("expand", 70.0, 30.0, "7d"),
    ("equal", 50.0, 50.0, "7d"),
    ("promote", 10.0, 90.0, "3d"),
    ("complete", 0.0, 100.0, None),
)

# second, status, model, tag, latency, ttft, in, out, cost, decision, policies, error
EVENTS: tuple[tuple[Any, ...], ...] = (
    (3.4, 200, "gpt-4o-mini", None, 640, 221, 402, 96, "0.00012", "redirect", ["route-simple-tasks"], None),
    (3.5, 200, "gpt-4o", "variant-a", 2040, 518, 1310, 344, "0.00672", "allow", ["ab-test-models"], None),
    (3.9, 200, "gpt-4o", "variant-a", 1380, 377, 618, 201, "0.00356", "allow", ["ab-test-models"], None),
    (4.0, 200, "claude-sonnet-4-20250514", "variant-b", 1420, 455, 912, 163, "0.00518", "allow", [], None),
    (4.2, 200, "gpt-4o", "variant-a", 884, 296, 540, 92, "0.00227", "allow", ["ab-test-models"], None),
    (4.3, 200, "gpt-4o-mini", None, 512, 198, 366, 71, "0.00010", "redirect", ["route-simple-tasks"], None),
    (
        4.6,
        503,
        "gpt-4o",
        "variant-a",
        1810,
        None,
        655,
        None,
        None,
        "allow",
        ["ab-test-models"],
        "upstream_error",
    ),
    (4.9, 200, "gpt-4o", "variant-a", 1710, 431, 902, 240, "0.00466", "allow", ["ab-test-models"], None),
    (5.1, 200, "gpt-4-turbo", None, 3200, 811, 744, 236, "0.01452", "warn", ["deprecation-warning"], None),
    (5.3, 200, "gpt-4o", "variant-a", 1060, 352, 701, 158, "0.00333", "allow", ["ab-test-models"], None),
    (5.4, 200, "gpt-4o-mini", None, 702, 240, 498, 122, "0.00015", "redirect", ["route-simple-tasks"], None),
    (5.8, 200, "claude-sonnet-4-20250514", "variant-b", 1190, 398, 655, 120, "0.00377", "allow", [], None),
    (6.0, 200, "gpt-4o", "variant-a", 2870, 604, 1644, 402, "0.00813", "allow", ["ab-test-models"], None),
    (6.1, 403, "o1-pro", None, 2, None, 210, None, None, "block", ["model-routing"], "policy_blocked"),
    (6.4, 200, "gpt-4o", "variant-a", 1330, 420, 688, 179, "0.00351", "allow", ["ab-test-models"], None),
    (6.6, 200, "gpt-4o-mini", None, 588, 205, 377, 84, "0.00011", "redirect", ["route-simple-tasks"], None),
    (6.8, 200, "gpt-4o", "variant-a", 1950, 466, 1021, 266, "0.00521", "allow", ["ab-test-models"], None),
    (7.1, 200, "claude-sonnet-4-20250514", "variant-b", 2310, 702, 1204, 288, "0.00793", "allow", [], None),
    (7.4, 200, "gpt-4o", "variant-a", 1470, 389, 733, 214, "0.00397", "allow", ["ab-test-models"], None),
)


VERSIONS: dict[int, tuple[str, str, str, str, int]] = {
    12: ("2026-06-11T12:22:00Z", "ops", "editor", "make the deadline visible", 2620),
    11: ("2026-06-11T10:22:04Z", "ops", "slider", "started canary 95/5", 40318),
    10: ("2026-06-11T10:20:47Z", "ops", "editor", "added ab-test-models", 424),
    9: ("2026-06-11T09:02:10Z", "max", "api", "max_tokens_lte 1000 to 2000", 27114),
    8: ("2026-06-10T15:12:00Z", "max", "api", "target anthropic added", 118902),
    7: ("2026-06-10T11:40:00Z", "", "file", "", 301455),
    6: ("2026-06-10T09:15:00Z", "eva", "slider", "", 88240),
    5: ("2026-06-10T08:00:00Z", "eva", "editor", "added llama-canary", 64120),
    4: ("2026-06-09T16:00:00Z", "", "file", "", 402377),
    3: ("2026-06-09T12:00:00Z", "max", "restore", "v1 restored", 11208),
    2: ("2026-06-09T11:30:00Z", "", "file", "", 1904),
    1: ("2026-06-06T08:00:00Z", "", "start", "", 811036),
}
"""number -> applied_at, who, through, why, events."""

MEANING = (
    "ab-test-models: variant-a 95 % → 88 %, variant-b 5 % → 12 %",
    "ab-test-models: phase canary now 88/12, duration 3d",
)
IMPACT: dict[str, Any] = {
    "requests": 10_000, "asked": 10_000, "from": "2026-06-11T14:02:00Z", "to": "2026-06-11T14:32:07Z",
    "took_ms": 412.0, "same": 9_612, "changed": 344, "cannot_tell": 44,
    "moves": [
        {"from": {"decision": "allow", "model": "gpt-4o", "variant": "variant-a"},
         "to": {"decision": "allow", "model": "claude-sonnet-4-20250514", "variant": "variant-b"}, "requests": 331},
        {"from": {"decision": "allow", "model": "gpt-4-turbo", "variant": None},
         "to": {"decision": "block", "model": "gpt-4-turbo", "variant": None}, "requests": 13},
    ],
    "decisions": [{"from": "allow", "to": "allow", "requests": 9_943}, {"from": "allow", "to": "block", "requests": 13}],
    "cost": {"now": "31.20", "draft": "31.84", "difference": "0.64", "unpriced": 12, "estimate": True},
    "policies": [
        {"policy": "model-routing", "type": "model_filter", "line": 7, "fired": 10_000, "would_fire": 10_000, "note": None},
        {"policy": "route-simple-tasks", "type": "model_filter", "line": 11, "fired": 2_951, "would_fire": 2_951, "note": None},
        {"policy": "ab-test-models", "type": "traffic_split", "line": 16, "fired": 6_885, "would_fire": 6_885, "note": None},
        {"policy": "night-budget", "type": "cost_limit", "line": 40, "fired": 0, "would_fire": 0, "note": "not enforced yet"},
    ],
    "reasons": [{"reason": "header x-team was not recorded", "requests": 44}],
}  # fmt: skip
EXPLANATION: dict[str, Any] = {
    "decision": "allow", "model": "claude-sonnet-4-20250514", "variant": "variant-b",
    "steps": [
        {"policy": "model-routing", "type": "model_filter", "line": 7, "outcome": "matched",
         "reason": "gpt-4o is in allowed_models"},
        {"policy": "route-simple-tasks", "type": "model_filter", "line": 11, "outcome": "skipped",
         "reason": "does not hold: max_tokens_lte 200, the request says 4096"},
        {"policy": "ab-test-models", "type": "traffic_split", "line": 15, "outcome": "matched",
         "reason": "unit user: variant-b 0.0058 < variant-a 0.0112"},
    ],
    "assignment": {
        "split": "ab-test-models", "unit_kind": "user", "unit_digest": "9b1c5a7e40d2f6b88a3c11d09e7f2a64", "salt": "",
        "phase": "canary",
        "arms": [{"tag": "variant-a", "weight": 95, "score": 0.0112, "chosen": False},
                 {"tag": "variant-b", "weight": 5, "score": 0.0058, "chosen": True}],
    },
    "version": {"number": 12, "hash": "3fa9c1e" + "0" * 57, "applied_at": "2026-06-11T12:22:00Z"},
    "cannot_tell": [],
    "text": "",
}  # fmt: skip


def event(index: int, when: datetime | None = None, seq: int | None = None) -> dict[str, Any]:
    """Event `index` of the mockup (endless: it repeats), as the API writes it with unknown=null."""
    at, status, model, tag, latency, ttft, tokens_in, tokens_out, cost, decision, policies, error = EVENTS[
        index % len(EVENTS)
    ]
    stamp = when or NOW.replace(second=0, microsecond=0) + timedelta(seconds=at)
    metadata: dict[str, Any] = {"request": {}}
    if tag:
        metadata |= {"ab_tag": tag, "experiment": "ab-test-models", "phase": "canary", "unit_kind": "user"}
    return {
        "id": f"01976b2e-0000-7000-8000-{index:012d}",
        "seq": index + 1 if seq is None else seq,
        "timestamp": stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{stamp.microsecond // 1000:03d}Z",
        "model": model,
        "requested_model": model,
        "provider": "anthropic" if model.startswith("claude") else "openai",
        "decision": decision,
        "status": status,
        "outcome": "blocked" if decision == "block" else "ok" if status < 400 else "error",
        "error": error,
        "error_message": None,
        "latency_ms": latency,
        "ttft_ms": ttft,
        "cost": cost,
        "cost_status": "priced" if cost else "none",
        "usage_status": "reported" if tokens_out else "none",
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "policies_triggered": policies,
        "severity": "warning" if decision == "warn" else None,
        "attempt": 2 if status == 503 else 0 if decision == "block" else 1,
        "stream": ttft is not None,
        "config_version": "3fa9c1e" + "0" * 57,
        "metadata": metadata,
    }


def _wave(seed: float, low: float, high: float, points: int) -> list[float | None]:
    middle, half = (low + high) / 2, (high - low) / 2
    return [
        middle + half * (0.7 * math.sin(seed + i / 9) + 0.3 * math.sin(seed * 3 + i / 4))
        for i in range(points)
    ]


class FakeGateway:
    """Answers the control API from memory. Tests change `status`, `text`, `events`, `down` and push messages."""

    def __init__(self) -> None:
        self.text = POLICY
        self.file_text = POLICY
        self.number = 12
        self.events = [event(i) for i in range(len(EVENTS))]
        self.calls: list[tuple[str, str, Any]] = []
        self.lint_answer: list[dict[str, Any]] = []
        self.meaning = list(MEANING)
        self.impact = dict(IMPACT)
        self.examples = [
            {"id": item["id"], "timestamp": item["timestamp"], "requested_model": item["model"],
             "from": {"decision": "allow", "model": "gpt-4o", "variant": "variant-a"},
             "to": {"decision": "allow", "model": "claude-sonnet-4-20250514", "variant": "variant-b"},
             "why": "ab-test-models: unit user, variant-b 0.0058 < variant-a 0.0112"}
            for item in self.events if item["model"] == "gpt-4o"
        ]  # fmt: skip
        self.explanation: dict[str, Any] | None = dict(EXPLANATION)
        self.series_data = True
        self.series_asked: list[dict[str, str]] = []
        self.down = False
        self.hold_search = False
        """While true a search stops after its first slice, and goes on when this is false again."""
        self._queues: list[asyncio.Queue[bytes | None]] = []
        self._tails: list[tuple[asyncio.Queue[bytes | None], dict[str, str]]] = []
        self.cost = fake_cost.FakeCost(POLICY)
        self.status = self._first_status()

    def link(self) -> GatewayLink:
        """A link whose calls end here."""
        return GatewayLink(
            "http://127.0.0.1:41003", Secret(TOKEN), transport=httpx.MockTransport(self.answer)
        )

    def push(self, kind: str, data: Any) -> None:
        """Sends one message to every open stream."""
        for queue in self._queues:
            queue.put_nowait(f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())

    def push_status(self) -> None:
        """Sends the present status."""
        self.push("status", self.status)

    def add_events(self, number: int) -> None:
        """`number` more requests happen now."""
        first = len(self.events)
        fresh = [event(first + i, NOW + timedelta(seconds=0.2 * i)) for i in range(number)]
        self.events += fresh
        self.status["events"]["last_seq"] = self.events[-1]["seq"]
        self.push("events", fresh)
        for queue, params in self._tails:
            if said := fake_events.tail_of(fresh, params, NOW):
                queue.put_nowait(said)

    def break_streams(self) -> None:
        """Ends every open stream, as a stopped gateway does."""
        for queue in [*self._queues, *(queue for queue, _ in self._tails)]:
            queue.put_nowait(None)

    @property
    def hash(self) -> str:
        """Hash of the running text."""
        return "3fa9c1e" + "0" * 57 if self.text == POLICY else hashlib.sha256(self.text.encode()).hexdigest()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """The transport's handler."""
        if self.down:
            raise httpx.ConnectError("refused", request=request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "unauthorized", "the token is wrong")
        path = request.url.path
        body = json.loads(request.content) if request.content else None
        self.calls.append((request.method, path, body))
        if path == "/v1/stream":
            return httpx.Response(200, content=self._stream(), headers={"content-type": "text/event-stream"})
        if (
            path.startswith("/v1/events")
            and (answer := self._list(path, dict(request.url.params))) is not None
        ):
            return answer
        if request.method == "GET":
            return self._get(path, request.url.params)
        return self._change(request, path, body)

    async def _stream(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queues.append(queue)
        try:
            yield f"event: status\ndata: {json.dumps(self.status)}\n\n".encode()
            while (chunk := await queue.get()) is not None:
                yield chunk
        finally:
            self._queues.remove(queue)

    def _list(self, path: str, params: dict[str, str]) -> httpx.Response | None:
        """The lists of events; None for another path."""
        sse = {"content-type": "text/event-stream"}
        try:
            if path == "/v1/events" and params.get("format") == "jsonl":
                found = fake_events.select(self.events, params, NOW)
                return httpx.Response(200, text="".join(f"{json.dumps(item)}\n" for item in found))
            if path == "/v1/events":
                return httpx.Response(200, json=fake_events.select(self.events, params, NOW))
            if path == "/v1/events/fields":
                return httpx.Response(200, json=fake_events.fields_answer())
            if path in ("/v1/events/search", "/v1/events/stream"):
                fake_events.check(params, NOW)
                search = path.endswith("search")
                content = self._search(params) if search else self._tail(params)
                return httpx.Response(200, content=content, headers=sse)
        except fake_events.BadFilter as error:
            return httpx.Response(400, json=error.body)
        return None

    async def _search(self, params: dict[str, str]) -> AsyncIterator[bytes]:
        async for chunk in fake_events.search(self.events, params, NOW):
            yield chunk
            while self.hold_search and b"event: progress" in chunk:
                await asyncio.sleep(0.02)

    async def _tail(self, params: dict[str, str]) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._tails.append(entry := (queue, params))
        try:
            yield b": tail\n\n" + fake_events.tail_of(self.events, params, NOW)
            while (chunk := await queue.get()) is not None:
                yield chunk
        finally:
            self._tails.remove(entry)

    def _get(self, path: str, params: httpx.QueryParams) -> httpx.Response:
        if path == "/v1/status":
            return httpx.Response(200, json=self.status)
        if path == "/v1/splits":
            return httpx.Response(200, json={"splits": self.status["splits"]})
        if path == "/v1/config":
            return httpx.Response(200, json=self._config(), headers={"etag": f'"{self.hash}"'})
        if path == "/v1/cost":
            return httpx.Response(200, json=self.cost.answer(params["window"], params["group_by"]))
        if path == "/v1/cost/advice":
            self.cost.version = self._config()["file"]["hash"]
            return httpx.Response(200, json=self.cost.advice())
        if path == "/v1/metrics/series":
            self.series_asked.append(params)
            return httpx.Response(200, json=self._series(params["metric"]))
        if path == "/v1/config/versions":
            listed = [self._version(number) for number in range(self.number, 0, -1)]
            return httpx.Response(200, json={"versions": listed})
        if path.startswith("/v1/config/versions/"):
            wanted = path.rpartition("/")[2]
            for number in range(self.number, 0, -1):
                version = self._version(number)
                if version["hash"] == wanted:
                    return httpx.Response(200, json=version | {"text": self._version_text(number)})
            return _error(404, "not_found", "no version of this file has that hash")
        if path.startswith("/v1/events/") and path.endswith("/explain"):
            if self.explanation is None:
                return _error(404, "not_found", "there is no event of that id")
            return httpx.Response(200, json=self.explanation)
        for item in self.events:
            if path == f"/v1/events/{item['id']}":
                return httpx.Response(200, json=item)
        return _error(404, "not_found", f"there is no {path}")

    def _change(self, request: httpx.Request, path: str, body: Any) -> httpx.Response:
        if path == "/v1/policy/lint":
            errors = [d for d in self.lint_answer if d["severity"] == "error"]
            answer = {"valid": not errors, "diagnostics": self.lint_answer, "not_enforced": []}
            return httpx.Response(200, json=answer)
        if path == "/v1/policy/diff":
            answer = {"unified": _unified(body["a"], body["b"]), "values": [], "meaning": []}
            if body["a"] != body["b"]:
                answer["meaning"] = self.meaning
            return httpx.Response(200, json=answer)
        if path == "/v1/policy/impact":
            return httpx.Response(200, json=self._impact(body))
        wanted = request.headers.get("if-match", "").strip('"')
        if wanted not in {"*", self.hash, hashlib.sha256(self.file_text.encode()).hexdigest()}:
            error = {"code": "conflict", "message": "the file has changed since", "where": None}
            current = {"hash": self.hash, "text": self.file_text}
            return httpx.Response(409, json={"error": error, "current": current})
        if path == "/v1/config" and self.lint_answer:
            error = {"code": "lint", "message": "the text has errors; nothing was written", "where": None}
            return httpx.Response(422, json={"error": error, "diagnostics": self.lint_answer})
        text = self._new_text(path, body)
        diff = _unified(self.text, text)
        if not (isinstance(body, dict) and body.get("dry_run")):
            self._apply(text)
        answer = {
            "number": self.number,
            "hash": self.hash,
            "changed": True,
            "applied_ms": 1.2,
            "diagnostics": [],
        }
        return httpx.Response(200, json=answer | {"text": text, "diff": diff})

    def _new_text(self, path: str, body: Any) -> str:
        if path == "/v1/config":
            return str(body["text"])
        if path == "/v1/config/restore":
            number = next(n for n in range(self.number, 0, -1) if self._version(n)["hash"] == body["hash"])
            return self._version_text(number)
        text = self.text
        plan = {name: (a, b) for name, a, b, _ in PLAN}
        if body.get("phase"):
            text = text.replace(f"phase: {self.status['splits'][0]['phase']}", f"phase: {body['phase']}")
            a, b = plan[body["phase"]]
        elif body.get("weights"):
            a, b = body["weights"]["variant-a"], body["weights"]["variant-b"]
        else:
            return text
        arms = self.status["splits"][0]["arms"]
        for arm, weight in zip(arms, (a, b), strict=True):
            text = text.replace(
                f"weight: {arm['weight']:g}, tag: {arm['tag']}", f"weight: {weight:g}, tag: {arm['tag']}"
            )
            if not body.get("dry_run"):
                arm.update(weight=weight, share=weight, observed_share=None)
        if body.get("phase") and not body.get("dry_run"):
            self.status["splits"][0]["phase"] = body["phase"]
        return text

    def _apply(self, text: str) -> None:
        self.text = self.file_text = text
        self.number += 1
        config = self.status["config"]
        config.update(number=self.number, hash=self.hash, short=self.hash[:7])
        self.push("config", {"number": self.number, "hash": self.hash})
        self.push_status()

    def _config(self) -> dict[str, Any]:
        file_hash = (
            hashlib.sha256(self.file_text.encode()).hexdigest() if self.file_text != POLICY else self.hash
        )
        state = self.status["config"]["file"]
        return {
            "number": self.number, "hash": self.hash, "text": self.text, "path": "/srv/policy.yaml",
            "name": "policy.yaml", "diagnostics": [],
            "file": state | {"hash": file_hash, "text": self.file_text},
        }  # fmt: skip

    def _version(self, number: int) -> dict[str, Any]:
        at, who, through, why, events = VERSIONS.get(number, ("2026-06-11T14:32:00Z", "ops", "editor", "", 0))
        return {
            "number": number, "hash": self.hash if number == self.number else f"{number:02d}" + "c4f7e" * 12,
            "applied_at": at, "who": who, "through": through, "why": why, "events": events,
        }  # fmt: skip

    def _version_text(self, number: int) -> str:
        if number == self.number:
            return self.text
        return POLICY.replace("weight: 95", f"weight: {85 + number}").replace("duration: 3d", "duration: 2d")

    def _impact(self, body: dict[str, Any]) -> dict[str, Any]:
        show = body.get("show")
        return self.impact | {"examples": self.examples if show else []}

    def _series(self, metric: str) -> dict[str, Any]:
        points, end = 90, NOW.timestamp()
        cost = metric == "cost_per_1k"
        a = _wave(1.0, 3.9, 4.3, points) if cost else _wave(0.2, 1_900, 2_700, points)
        b = _wave(2.2, 4.3, 5.4, points) if cost else _wave(2.4, 1_700, 2_500, points)
        last_a, last_b = (4.12, 4.97) if cost else (2_310, 2_050)
        series = [
            {"group": "variant-a", "split": "ab-test-models", "values": a, "window_value": last_a},
            {"group": "variant-b", "split": "ab-test-models", "values": b, "window_value": last_b},
        ]
        return {
            "metric": metric, "unit": "$" if cost else "ms", "step_s": 10, "from": end - 900, "to": end,
            "times": [end - 900 + 10 * i for i in range(points)] if self.series_data else [],
            "series": series if self.series_data else [],
            "markers": [{"time": end - 480, "label": "v12"}] if self.series_data else [],
        }  # fmt: skip

    def _first_status(self) -> dict[str, Any]:
        arms = [
            {"tag": "variant-a", "model": "gpt-4o", "target": "openai", "weight": 95.0, "share": 95.0,
             "observed_share": 94.9, "observed_units": 2104, "requests": 40318},
            {"tag": "variant-b", "model": "claude-sonnet-4-20250514", "target": "anthropic", "weight": 5.0,
             "share": 5.0, "observed_share": 5.1, "observed_units": 113, "requests": 2166},
        ]  # fmt: skip
        phases = [
            {"name": name, "weights": {"variant-a": a, "variant-b": b}, "shares": {"variant-a": a, "variant-b": b},
             "duration": span, "duration_s": int(span[0]) * 86_400 if span else None, "line": 25 + i}
            for i, (name, a, b, span) in enumerate(PLAN)
        ]  # fmt: skip
        return {
            "gateway": {"state": "serving", "reason": None, "listen": "127.0.0.1:41002", "api": "127.0.0.1:41003",
                        "pid": 4711, "started": "2026-06-11T09:00:00Z", "version": "0.1.0", "in_flight": 0},
            "config": {"number": 12, "hash": "3fa9c1e" + "0" * 57, "short": "3fa9c1e", "path": "/srv/policy.yaml",
                       "name": "policy.yaml", "applied_at": "2026-06-11T12:22:00Z", "who": "ops",
                       "through": "editor", "file": {"state": "same", "reason": None, "diagnostics": []},
                       "warnings": [], "not_enforced": []},
            "traffic": {"window_s": 60, "requests": 366, "requests_per_s": 6.1,
                        "recent_per_s": [4.0, 5.0, 6.0, 7.0, 6.0, 5.0, 6.0, 7.0], "error_rate": 0.0061,
                        "latency_ms": {"p50": 1210.0, "p95": 2210.0, "p99": 3400.0}, "cost_per_min": "1.15",
                        "unpriced": 0},
            "splits": [{"name": "ab-test-models", "line": 16, "enabled": True, "unit": ["user"], "salt": "",
                        "phase": "canary", "advance": "manual", "off_plan": False,
                        "observed_since": "2026-06-11T14:17:00Z", "arms": arms, "phases": phases}],
            "events": {"accepted": 8214806, "stored": 8214806, "spilled": 0, "dropped": {}, "total": 8214806,
                       "last_seq": len(EVENTS), "last_timestamp": "2026-06-11T14:32:07.400Z"},
            "targets": [], "badges": [],
        }  # fmt: skip


def _unified(a: str, b: str) -> str:
    import difflib

    lines = difflib.unified_diff(a.splitlines(True), b.splitlines(True), "running", "draft")
    return "".join(lines)


def _error(status: int, code: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": message, "where": None}})
