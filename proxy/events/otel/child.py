"""What the exporting process does: make spans and metrics of what it is handed, and send them.

Names of spans and attributes: OpenTelemetry's semantic conventions for generative AI, HTTP and errors. No prompts,
answers, messages of errors, metadata or users.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.events.event import Event
from proxy.events.totals import Copy

if TYPE_CHECKING:
    from proxy.events.otel.sender import Sender


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells this gateway from others."""

    version: str
    instance: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is."""

    provider: str
    host: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Job:
    """Where to send to, and as whom."""

    environment: Mapping[str, str] = field(repr=False)
    """The OTEL_* variables; they may hold credentials."""
    identity: Identity
    traces_url: str | None
    metrics_url: str | None


def send_spans(job: Job, events: Sequence[Event], places: Mapping[str, Place]) -> str | None:
    """Send the spans of `events`; None when they were taken, else why not."""
    return _with_reason(job, lambda sender: sender.send_spans(events, places))


def send_metrics(job: Job, figures: Copy, since_ns: int, now_ns: int) -> str | None:
    """Send `figures`, counted from `since_ns` to `now_ns`; None when they were taken, else why not."""
    return _with_reason(job, lambda sender: sender.send_metrics(figures, since_ns, now_ns))


def _with_reason(job: Job, send: Callable[[Sender], bool]) -> str | None:
    listening = _LastWords()
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(listening)
    try:
        sender = _sender(
            tuple(sorted(job.environment.items())), job.identity, job.traces_url, job.metrics_url
        )
        return None if send(sender) else listening.text or "it was not taken"
    finally:
        logger.removeHandler(listening)


class _LastWords(logging.Handler):
    """The exporters tell their reasons to the log alone."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


@lru_cache(maxsize=1)
def _sender(
    environment: Iterable[tuple[str, str]],
    identity: Identity,
    traces_url: str | None,
    metrics_url: str | None,
) -> Sender:
    # The SDK reads its variables from the process; this process is for nothing else.
    os.environ.update(environment)
    from proxy.events.otel.sender import Sender

    return Sender(identity, traces_url, metrics_url)
