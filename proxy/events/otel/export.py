"""Export of spans and metrics to an OpenTelemetry collector.

What the store has stored is queued here and sent by a process of its own: encoding and waiting for a collector
cost requests nothing. A full queue drops, and says how much.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from proxy.base.sanitise import sanitise
from proxy.base.telemetry import ExportState
from proxy.base.times import now_ms
from proxy.base.trace_context import TraceContext, read_text, span_id_of, trace_id_of
from proxy.base.worker import Worker, WorkerError
from proxy.events.event import Event
from proxy.events.otel import child
from proxy.events.otel.child import Identity, Job, Place
from proxy.events.otel.settings import Settings, shown
from proxy.events.totals import TrafficTotals

CLOSE_WITHIN_S = 5.0
_CLOSE_WITHOUT_HOPE_S = 1.0
"""After a failure: the collector may be gone."""
_GRACE_S = 5.0
"""Beside the exporter's own timeout: the process has to start."""

logger = logging.getLogger(__name__)


class NoExport:
    """Nothing is exported; `text` says why."""

    def __init__(self, text: str) -> None:
        self._state = ExportState(False, text)

    def state(self) -> ExportState:
        """See Export."""
        return self._state


class OtelExport:
    """One export. `observe_all` listens to the store; `start` and `close` on its event loop."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        identity: Identity,
        totals: TrafficTotals,
        places: Callable[[], Mapping[str, Place]],
    ) -> None:
        """`environment`: the OTEL_* variables. `places`: where each target is, by its id."""
        self._settings = settings
        self._job = Job(dict(environment), identity, settings.traces_url, settings.metrics_url)
        self._totals = totals
        self._places = places
        self._since_ns = now_ms() * 1_000_000
        self._waiting: deque[Event] = deque()
        self._worker = Worker()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._exported = self._unsampled = 0
        self._dropped: Counter[str] = Counter({"queue-full": 0, "failed": 0, "stopped": 0})
        self._trouble: str | None = None
        self._metrics_at = time.monotonic() + settings.metrics_every_s

    # -- what the rest of the gateway asks

    def state(self) -> ExportState:
        """See Export."""
        url = self._settings.traces_url or self._settings.metrics_url or ""
        what = " and ".join(
            name
            for name, there in (("spans", self._settings.traces_url), ("metrics", self._settings.metrics_url))
            if there
        )
        return ExportState(
            on=True,
            text=f"{what} go to {shown(url)}",
            endpoint=shown(url),
            exported=self._exported,
            waiting=len(self._waiting),
            dropped=dict(self._dropped),
            unsampled=self._unsampled,
            trouble=self._trouble,
        )

    def outgoing(self, parent: TraceContext | None, request_id: str, attempt: int) -> str | None:
        """The `traceparent` of an attempt: it names the span that will be exported of it."""
        if self._settings.traces_url is None:
            return None
        trace_id = parent.trace_id if parent is not None else trace_id_of(request_id)
        sampled = self._settings.sampling.wants(trace_id, parent)
        return TraceContext(trace_id, span_id_of(request_id, attempt), int(sampled)).header()

    def observe_all(self, events: Sequence[Event]) -> None:
        """Queue stored events."""
        if self._settings.traces_url is None:
            return
        for event in events:
            parent = read_text(event.trace)
            trace_id = parent.trace_id if parent is not None else trace_id_of(event.id)
            if not self._settings.sampling.wants(trace_id, parent):
                self._unsampled += 1
            elif len(self._waiting) >= self._settings.queue:
                self._dropped["queue-full"] += 1
            else:
                self._waiting.append(event if event.bodies is None else replace(event, bodies=None))
        if len(self._waiting) >= self._settings.batch:
            self._wake.set()

    # -- life

    def start(self) -> None:
        """Send from now on."""
        self._task = asyncio.create_task(self._run(), name="otel-export")

    async def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """Send what waits, and the last figures, within `within_s` seconds; the rest is dropped."""
        task, self._task = self._task, None
        if task is None:
            return
        self._closing = True
        self._wake.set()
        try:
            async with asyncio.timeout(_CLOSE_WITHOUT_HOPE_S if self._trouble is not None else within_s):
                await task
                await self._send_metrics()
        except TimeoutError:
            self._trouble = "the OpenTelemetry collector did not answer in time for the stop"
        finally:
            self._dropped["stopped"] += len(self._waiting)
            self._waiting.clear()
            await self._worker.close()

    async def _run(self) -> None:
        while not self._closing:
            try:
                async with asyncio.timeout(min(self._settings.delay_s, self._until_metrics())):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._round()
            except Exception as error:
                # A fault of ours; what comes later may be exported all the same.
                logger.exception("an OpenTelemetry export failed")
                self._trouble = f"the OpenTelemetry export failed: {sanitise(error, 200)}"

    async def _round(self) -> None:
        while self._waiting and await self._send_spans():
            pass
        if self._until_metrics() <= 0 and not self._closing:
            self._metrics_at = time.monotonic() + self._settings.metrics_every_s
            await self._send_metrics()

    def _until_metrics(self) -> float:
        return max(0.0, self._metrics_at - time.monotonic()) if self._settings.metrics_url else 1e9

    async def _send_spans(self) -> bool:
        """Send one batch; whether it arrived."""
        places = dict(self._places())
        batch = [self._waiting.popleft() for _ in range(min(self._settings.batch, len(self._waiting)))]
        try:
            trouble = await self._ask(child.send_spans, batch, places)
        except BaseException as error:
            # Stopped: whether it arrived is not known.
            reason = "stopped" if isinstance(error, asyncio.CancelledError) else "failed"
            self._dropped[reason] += len(batch)
            raise
        if trouble is None:
            self._exported += len(batch)
        else:
            self._dropped["failed"] += len(batch)
        return trouble is None

    async def _send_metrics(self) -> None:
        if self._settings.metrics_url is not None:
            await self._ask(child.send_metrics, self._totals.copy(), self._since_ns, now_ms() * 1_000_000)

    async def _ask(self, job: Callable[..., str | None], *arguments: object) -> str | None:
        """None when the collector took it, else why not."""
        within_s = self._settings.timeout_s + _GRACE_S
        try:
            trouble: str | None = await self._worker.run(job, self._job, *arguments, within_s=within_s)
        except WorkerError as error:
            trouble = str(error)
        if trouble is not None:
            trouble = f"the OpenTelemetry collector takes nothing: {sanitise(trouble, 200)}"
            if self._trouble is None:
                logger.warning("%s", trouble)
        self._trouble = trouble
        return trouble
