"""`kt doctor`: what runs, what differs, what is not enforced."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from proxy.base.sanitise import sanitise
from proxy.events.alert_text import counted, limit_text

Mark = Literal["✓", "!", "✗", "i"]
_WAL_FIXED = (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `✗` makes the exit code 1, `!` is worth knowing."""

    mark: Mark
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark} {self.subject:<9} {sanitise(self.text, 400)}"


def examine(status: dict[str, Any]) -> Iterator[Finding]:
    """Findings from the body of /v1/status."""
    yield from _gateway(status["gateway"])
    yield from _config(status)
    yield from _targets(status["targets"])
    yield from _traffic(status["traffic"])
    yield from _events(status["events"])
    yield from _alerts(status.get("alerts", []))
    if "telemetry" in status:
        yield from _telemetry(status["telemetry"])
    yield from (Finding("!", "notice", text) for text in status.get("notices", []))
    yield _sqlite()


def _gateway(gateway: dict[str, Any]) -> Iterator[Finding]:
    where = f"{gateway['listen']}, control API {gateway['api']}, process {gateway['pid']}, version {gateway['version']}"
    if gateway["state"] == "serving":
        yield Finding("✓", "gateway", f"serving {where}")
    else:
        yield Finding("✗", "gateway", f"{gateway['state']}: {gateway['reason'] or where}")


def _config(status: dict[str, Any]) -> Iterator[Finding]:
    config, file = status["config"], status["file"]
    if config is None:
        yield Finding("✗", "policy", "no policy runs")
    else:
        yield Finding("✓", "policy", f"v{config['number']} {config['short']} from {config['path']}")
    if file["state"] == "same":
        yield Finding("✓", "file", "is what runs")
    else:
        yield Finding("✗", "file", f"differs from what runs: {file['reason']}")
        for item in file["diagnostics"]:
            if item["severity"] == "error":
                yield Finding("✗", "file", f"line {item['line']}, column {item['column']}: {item['message']}")
    if config is None:
        return
    for item in config["not_enforced"]:
        yield Finding(
            "!",
            "policy",
            f"line {item['line']}: {item['policy']} ({item['type']}) is checked but not enforced by this version",
        )
    for item in config["warnings"]:
        if item["code"] != "not-enforced":
            yield Finding("!", "policy", f"line {item['line']}: {item['message']}")


def _targets(targets: list[dict[str, Any]]) -> Iterator[Finding]:
    for target in targets:
        if target["available"]:
            yield Finding("✓", "target", f"{target['id']} ({target['provider']}) {target['base_url']}")
        else:
            yield Finding("✗", "target", target["reason"] or f"{target['id']} cannot be used")


def _traffic(traffic: dict[str, Any]) -> Iterator[Finding]:
    rate = traffic["error_rate"]
    errors = f"{rate * 100:.2f} % errors" if rate is not None else "errors: no data"
    latency = traffic["latency_ms"]
    p95 = f"p95 {latency['p95']:,.0f} ms" if latency else "p95: no data"
    yield Finding(
        "i", "traffic", f"{traffic['requests']} requests in {traffic['window_s']} s, {errors}, {p95}"
    )


def _events(events: dict[str, Any]) -> Iterator[Finding]:
    dropped = sum(events["dropped"].values())
    unaccounted = events["accepted"] - events["stored"] - events["spilled"] - dropped
    text = (
        f"{events['total']:,} stored; since the start accepted {events['accepted']:,} = stored {events['stored']:,}"
        f" + spilled {events['spilled']:,} + dropped {dropped:,}"
    )
    if dropped:
        reasons = ", ".join(f"{number} {reason}" for reason, number in events["dropped"].items() if number)
        yield Finding("✗", "events", f"{text} ({reasons})")
    else:
        yield Finding("✓", "events", text)
    if unaccounted:
        yield Finding(
            "✗",
            "events",
            f"accepted is not the sum of the rest: {unaccounted:+,} not accounted for. Please report this",
        )
    if any(events.get("forgotten", {}).values()):
        taken = ", ".join(
            f"{number:,} by {reason}" for reason, number in events["forgotten"].items() if number
        )
        yield Finding("i", "events", f"taken away by retention since the start: {taken}")
    if events.get("trouble"):
        yield Finding("✗", "events", events["trouble"])


def _alerts(alerts: list[dict[str, Any]]) -> Iterator[Finding]:
    for alert in alerts:
        is_share = alert["is_share"]
        now = counted(alert["requests"], alert["of"], alert["within_s"], is_share=is_share)
        text = f"{alert['name']}: {now}, limit {limit_text(alert['limit'], is_share=is_share)}"
        if alert["firing"]:
            yield Finding("✗", "alert", f"{text}; since {alert['since']}: {alert['filter']}")
        else:
            yield Finding("✓", "alert", text)


def _telemetry(telemetry: dict[str, Any]) -> Iterator[Finding]:
    if not telemetry["on"]:
        yield Finding("i", "otel", f"no OpenTelemetry export; {telemetry['text']}")
        return
    dropped = sum(telemetry["dropped"].values())
    text = f"{telemetry['text']}; {telemetry['exported']:,} requests exported, {dropped:,} dropped"
    if dropped:
        reasons = ", ".join(f"{number} {reason}" for reason, number in telemetry["dropped"].items() if number)
        text = f"{text} ({reasons})"
    yield Finding("!" if dropped else "✓", "otel", text)
    if telemetry["trouble"]:
        yield Finding("!", "otel", telemetry["trouble"])


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info >= _WAL_FIXED:
        return Finding("✓", "sqlite", sqlite3.sqlite_version)
    return Finding(
        "i",
        "sqlite",
        f"{sqlite3.sqlite_version}; versions before 3.51.3 can damage a write-ahead log that two connections write; this program writes through one",
    )
