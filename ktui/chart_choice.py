"""What a chart can show: measures, groups, windows, and how their values are written. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ktui.number_words import duration_ms, per_second, percent, sum_cost

Words = Callable[[float], str]


@dataclass(frozen=True)
class Measure:
    """One metric of the gateway: its titles from long to short, and its values in the heading and on the axis."""

    metric: str
    titles: tuple[str, ...]
    value: Words
    axis: Words
    unit: str = ""
    """Said once behind the values of a spark row."""


@dataclass(frozen=True)
class Window:
    """How much time a chart shows; span and step as the gateway reads them."""

    name: str
    span: str
    step: str
    seconds: int


def _short_ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 999.5 else f"{value / 1_000:.1f} s"


def _short_cost(value: float) -> str:
    return f"${value:,.0f}" if value >= 100 else f"${value:.1f}" if value >= 1 else f"${value:.3f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.95 or value == round(value) else f"{value:.1f}"


def _times(metric: str, title: str, percentile: int) -> Measure:
    name = f"p{percentile}" if title == "Latency" else f"ttft {percentile}"
    return Measure(f"{metric}_p{percentile}", (f"{title} p{percentile}", name), duration_ms, _short_ms)


_LIST = (
    *(_times("latency", "Latency", percentile) for percentile in (95, 99, 50, 90)),
    *(_times("ttft", "Time to first token", percentile) for percentile in (95, 99, 50)),
    Measure(
        "cost_per_1k", ("Cost per 1,000 requests", "Cost / 1,000", "cost"), sum_cost, _short_cost, " / 1k"
    ),
    Measure("spend_per_min", ("Spend per minute", "spend"), sum_cost, _short_cost, " / min"),
    Measure("requests_per_s", ("Requests per second", "req/s"), per_second, _number),
    Measure("error_rate", ("Error rate", "errors"), percent, percent),
    Measure("errors", ("Errors", "failed"), _number, _number),
    Measure("tokens_per_s", ("Output tokens per second", "tok/s"), _number, _number),
    Measure("output_speed", ("Output speed, tokens/s", "speed"), _number, _number),
    Measure("quality", ("Quality", "quality"), "{:.2f}".format, "{:.2f}".format),
)
MEASURES: Mapping[str, Measure] = {measure.metric: measure for measure in _LIST}
"""Every measure, in the order `v` goes through them."""
GROUPS = ("variant", "all", "model", "target", "provider", "phase")
WINDOWS = (
    Window("5 min", "5m", "10s", 300),
    Window("15 min", "15m", "10s", 900),
    Window("1 h", "1h", "30s", 3_600),
    Window("6 h", "6h", "2m", 21_600),
    Window("24 h", "24h", "10m", 86_400),
    Window("7 d", "7d", "1h", 604_800),
    Window("30 d", "30d", "4h", 2_592_000),
)


@dataclass(frozen=True)
class Choice:
    """What one chart shows."""

    metric: str
    group: str = "variant"
    window: str = "15 min"

    @property
    def measure(self) -> Measure:
        """Of MEASURES."""
        return MEASURES[self.metric]

    @property
    def over(self) -> Window:
        """Of WINDOWS."""
        return next(window for window in WINDOWS if window.name == self.window)

    def text(self) -> str:
        """For the settings file."""
        return f"{self.metric} by {self.group} over {self.window}"


def choice_from(text: str, default: Choice) -> Choice:
    """The choice in `text`; what it does not know is taken from `default`."""
    metric, _, rest = text.partition(" by ")
    group, _, window = rest.partition(" over ")
    return Choice(
        metric if metric in MEASURES else default.metric,
        group if group in GROUPS else default.group,
        window if any(window == known.name for known in WINDOWS) else default.window,
    )


def after(items: tuple[str, ...], item: str, by: int = 1, *, around: bool = True) -> str:
    """The item `by` places behind `item`; at the ends it goes around, or stays."""
    place = items.index(item) + by
    return items[place % len(items) if around else min(max(place, 0), len(items) - 1)]


def step_of(seconds: float) -> str:
    """The step of a span of so many seconds: about a hundred points."""
    return f"{max(round(seconds / 100 / 10) * 10, 10)}s"


def axis_clock(seconds: float, span_s: float) -> str:
    """A moment on the time axis, local time: `14:17`, over more than a day `9 Jun 14:17` or `9 Jun`."""
    when = datetime.fromtimestamp(seconds).astimezone()
    if span_s <= 86_400:
        return f"{when:%H:%M}"
    return f"{when.day} {when:%b}" if span_s > 3 * 86_400 else f"{when.day} {when:%b} {when:%H:%M}"


def cursor_clock(seconds: float, step_s: float) -> str:
    """The moment under the cursor: as exact as the step."""
    when = datetime.fromtimestamp(seconds).astimezone()
    if step_s < 60:
        return f"{when:%H:%M:%S}"
    return f"{when:%H:%M}" if step_s < 600 else f"{when.day} {when:%b} {when:%H:%M}"
