"""What the fake control API answers about money: the figures of the mockup."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from ktui.cost_words import WINDOWS

NOW = datetime(2026, 6, 11, 14, 32, 7, tzinfo=UTC)

# model, requests, spend, per request, per 1k tokens, per success, per quality point, out/in
MODELS: tuple[tuple[Any, ...], ...] = (
    ("gpt-4o", 1_214_880, "5005.31", "0.00412", "0.00404", "0.00415", "0.0047", 0.257),
    ("gpt-4-turbo", 4_212, "63.6", "0.0151", "0.01544", "0.01518", None, 0.317),
    ("gpt-4o-mini", 512_300, "63.53", "0.00012", "0.00025", "0.00012", "0.0002", 0.236),
    ("claude-sonnet-4-20250514", 1_646, "8.18", "0.00497", "0.00484", "0.00501", None, 0.182),
    ("text-embedding-3-small", 88_410, "1.77", "0.00002", "0.00002", "0.00002", None, None),
    ("llama-3.1-70b", 6_020, None, None, None, None, None, 0.298),
)
OTHERS = {
    "provider": ("openai", "anthropic"),
    "variant": ("variant-a", "variant-b"),
    "key": ("team-search", "batch-etl"),
    "user": ("9b1c5a7e40d2f6b88a3c11d09e7f2a64",),
    "policy": ("ab-test-models", "route-simple-tasks"),
}
CHEAPER = """  - name: cheaper-short-gpt-4o
    type: model_filter
    conditions:
      model: gpt-4o
      prompt_chars_lt: 2000
      has_tools: false
    preferred_model: gpt-4o-mini
"""


class FakeCost:
    """Tests change `empty`, `first`, `spend` and `findings`, and read what was asked."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.empty = False
        self.findings = True
        self.overlap_groups = ("policy",)
        self.first = int(NOW.timestamp()) - 20 * 86_400
        self.spend = "5142.39"
        self.version = ""
        """Hash of the text the drafts are changes of; the fake gateway sets it."""
        self.asked: list[tuple[str, str]] = []

    def answer(self, window: str, group_by: str) -> dict[str, Any]:
        """GET /v1/cost."""
        self.asked.append((window, group_by))
        seconds = next(item[1] for item in WINDOWS if item[0] == window)
        step = next(s for s in (60, 300, 900, 1_800, 10_800, 43_200, 172_800) if seconds / s <= 60)
        end = int(NOW.timestamp())
        times = list(range((end - seconds) // step * step, end + 1, step))
        spend = [] if self.empty else [_day(at) for at in times]
        return {
            "from": end - seconds, "to": None, "window_s": seconds, "group_by": group_by, "complete": True,
            "overlap": group_by in self.overlap_groups,
            "total": _measures("all", 0 if self.empty else 1_827_468, None if self.empty else self.spend),
            "groups": [] if self.empty else self._groups(group_by),
            "spend": {
                "step_s": step, "times": times, "values": [f"{value:.2f}" for value in spend] or ["0"] * len(times),
                "requests": [int(value * 300) for value in spend] or [0] * len(times),
                "priced": [int(value * 300) for value in spend] or [0] * len(times),
                "input_tokens": [int(value * 90_000) for value in spend] or [0] * len(times),
                "output_tokens": [int(value * 22_000) for value in spend] or [0] * len(times),
            },
            "unpriced_models": [{"model": "llama-3.1-70b", "requests": 6_020}],
            "calendar": {
                "timezone": "UTC", "month": int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()),
                "next_month": int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()), "now": end, "first": self.first,
                "month_so_far": "7787.12", "today": "442.10", "yesterday": "438.02", "unpriced": 6_020,
                "projection": {"basis": "weeks", "days": 14, "low": "21600", "expected": "22050", "high": "22500"},
            },
        }  # fmt: skip

    def _groups(self, group_by: str) -> list[dict[str, Any]]:
        if group_by != "model":
            return [
                {"group": name, "split": "ab-test-models" if group_by == "variant" else None,
                 "trend": ["1", "2", "3"], **_measures(name, 900 - 100 * place, f"{9 - place}.5", share=0.6 - 0.2 * place)}
                for place, name in enumerate(OTHERS[group_by])
            ]  # fmt: skip
        known = sum(float(row[2] or 0) for row in MODELS)
        groups = []
        for place, (name, requests, spend, each, tokens, success, quality, ratio) in enumerate(MODELS):
            told = _measures(name, requests, spend, share=float(spend) / known if spend else None)
            told |= {"per_request": each, "per_1k_tokens": tokens, "per_success": success, "per_quality": quality,
                     "output_per_input": ratio, "unpriced": 0 if spend else requests, "at_least": False,
                     "priced": requests if spend else 0}  # fmt: skip
            trend = (
                [str(round(10 + 9 * math.sin(place * 2 + i), 2)) for i in range(8)] if spend else ["0"] * 8
            )
            groups.append({"group": name, "split": None, "trend": trend, **told})
        return groups

    def advice(self) -> dict[str, Any]:
        """GET /v1/cost/advice."""
        text = self.policy.replace("policies:\n", f"policies:\n{CHEAPER}", 1)
        rows = (
            ("short", "gpt-4o", "gpt-4o-mini", None, None, 114_200, "441", "472", 0.86, 0.86, "equal"),
            ("key", "gpt-4o", "gpt-4o-mini", "batch-etl", None, 38_900, "139", "151", 0.91, 0.90, "not_yet"),
            ("ending", "gpt-4-turbo", "gpt-4o", None, "2026-10-23", 4_212, "44", "47", 0.84, 0.87, "better"),
        )
        found = [
            {
                "kind": kind, "model": model, "to": to, "key": key, "ends": ends, "requests": number, "in_split": 310,
                "unpriced": 0, "cost": "480", "would_cost": "8", "saving": {"low": low, "high": high},
                "saving_per_week": {"low": low, "high": high}, "verdict": verdict,
                "quality": {"now": {"mean": now, "scored": 900}, "then": {"mean": then, "scored": 700}},
                "policy": "cheaper-short-gpt-4o", "text": text,
            }
            for kind, model, to, key, ends, number, low, high, now, then, verdict in rows
        ]  # fmt: skip
        end = int(NOW.timestamp())
        return {
            "version": self.version, "from": end - 604_800, "to": end, "requests": 20_000, "complete": False, "covered_s": 604_800,
            "findings": found if self.findings and not self.empty else [], "took_ms": 900.0,
        }  # fmt: skip


def _day(at: int) -> float:
    """More by day than at night, less on a weekend."""
    moment = datetime.fromtimestamp(at, UTC)
    height = 55 + 50 * math.sin((moment.hour - 8) / 24 * 2 * math.pi)
    return max(height, 4.0) * (0.45 if moment.weekday() >= 5 else 1.0) + 6


def _measures(name: str, requests: int, spend: str | None, share: float | None = None) -> dict[str, Any]:
    priced = requests - 6_020 if name == "all" and requests else requests if spend else 0
    return {
        "requests": requests, "succeeded": int(requests * 0.99), "errors": int(requests * 0.006),
        "blocked": int(requests * 0.0007), "priced": priced, "unpriced": requests - priced, "spend": spend,
        "share": share, "estimated": int(requests * 0.002), "estimated_spend": "15.43" if name == "all" else "0",
        "per_request": "0.00282" if spend else None, "per_1k_tokens": "0.00277" if spend else None,
        "per_success": "0.00285" if spend else None, "per_quality": "0.0033" if spend else None,
        "at_least": requests > priced, "input_tokens": requests * 812, "output_tokens": requests * 208,
        "cached_tokens": requests * 96, "output_per_input": 0.256, "scored": 1_200, "quality": 0.86,
    }  # fmt: skip
