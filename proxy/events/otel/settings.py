"""The standard OTEL_* variables: whether, where to and what to export.

Names and defaults: OpenTelemetry's "Environment Variable Specification" and "OpenTelemetry Protocol Exporter".
The variables that are not read here (headers, certificates, compression, resource) are read by the SDK itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from proxy.base.sanitise import sanitise
from proxy.base.trace_context import TraceContext

PREFIX = "OTEL_"
_GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which requests are exported: `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`."""

    ratio: float = 1.0
    """Of the requests without a parent, or of all."""
    follows_parent: bool = True

    def wants(self, trace_id: int, parent: TraceContext | None) -> bool:
        """Whether a request of this trace is exported. The same for every service that samples by ratio."""
        if parent is not None and self.follows_parent:
            return bool(parent.flags & _SAMPLED)
        # TraceIdRatioBased of the Python SDK: the low 64 bits against the ratio.
        return (trace_id & (1 << 64) - 1) < round(self.ratio * (1 << 64))


@dataclass(frozen=True, slots=True)
class Settings:
    """What is exported, and how much may wait. Times in seconds."""

    traces_url: str | None
    metrics_url: str | None
    sampling: Sampling
    queue: int = 2048
    batch: int = 128
    """Requests sent at once: what is handed to the exporting process in one go."""
    delay_s: float = 5.0
    timeout_s: float = 10.0
    metrics_every_s: float = 60.0


def read_settings(env: Mapping[str, str]) -> Settings | str | None:
    """The settings; None when no export is asked for, one sentence when what is asked for cannot be done."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    traces, metrics = _url(env, "TRACES", "v1/traces"), _url(env, "METRICS", "v1/metrics")
    if traces is None and metrics is None:
        return None
    for signal, url in (("TRACES", traces), ("METRICS", metrics)):
        if url is None:
            continue
        name, protocol = _signal(env, signal, "PROTOCOL")
        if protocol not in ("", "http/protobuf"):
            return f"{name} is {sanitise(protocol, 40)!r}: nothing is exported, as only http/protobuf is spoken here"
        if urlsplit(url).scheme not in ("http", "https"):
            return f"{shown(url)!r} is no address to export to: write it like http://127.0.0.1:4318"
    if not _installed():
        return "an OpenTelemetry endpoint is set, but what exports to it is not installed: pip install 'ktui[otel]'"
    return Settings(
        traces_url=traces,
        metrics_url=metrics,
        sampling=_sampling(env),
        queue=_whole(env, "OTEL_BSP_MAX_QUEUE_SIZE", 2048),
        batch=min(128, _whole(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
        delay_s=_whole(env, "OTEL_BSP_SCHEDULE_DELAY", 5_000) / 1e3,
        timeout_s=_seconds(_signal(env, "TRACES", "TIMEOUT")[1], 10.0),
        metrics_every_s=_whole(env, "OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1e3,
    )


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """What of `env` concerns the SDK."""
    return {name: value for name, value in env.items() if name.startswith(PREFIX)}


def shown(url: str) -> str:
    """`url` without what may be a credential."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return sanitise(f"{parts.scheme}://{host}{parts.path}", 200)


def _url(env: Mapping[str, str], signal: str, path: str) -> str | None:
    """A signal's own address is used as it is; the general one is a base."""
    if env.get(f"OTEL_{signal}_EXPORTER", "otlp").strip().lower() == "none":
        return None
    own = env.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "").strip()
    if own:
        return own
    base = env.get(_GENERAL, "").strip()
    return f"{base.rstrip('/')}/{path}" if base else None


def _signal(env: Mapping[str, str], signal: str, name: str) -> tuple[str, str]:
    """Name and value of the variable that holds for `signal`."""
    own, general = f"OTEL_EXPORTER_OTLP_{signal}_{name}", f"OTEL_EXPORTER_OTLP_{name}"
    chosen = own if env.get(own, "").strip() else general
    return chosen, env.get(chosen, "").strip()


def _installed() -> bool:
    try:
        return all(
            find_spec(name) is not None
            for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
        )
    except ModuleNotFoundError:
        return False


def _sampling(env: Mapping[str, str]) -> Sampling:
    """An unknown sampler is ignored, as the specification wants it."""
    name = env.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    follows = name.startswith("parentbased_") or not name
    ratios = {
        "always_on": 1.0,
        "always_off": 0.0,
        "traceidratio": _ratio(env.get("OTEL_TRACES_SAMPLER_ARG", "")),
    }
    ratio = ratios.get(name.removeprefix("parentbased_"))
    return Sampling() if ratio is None else Sampling(ratio, follows)


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        return 1.0
    return ratio if 0.0 <= ratio <= 1.0 else 1.0


def _whole(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 10**9 else default


def _seconds(text: str, default: float) -> float:
    """The Python SDK takes a timeout in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        return default
    return seconds if 0 < seconds <= 600 else default
