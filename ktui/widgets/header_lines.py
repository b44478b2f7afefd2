"""The three lines of the header as text: identity, traffic, place. Pure: state and width in, lines out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from ktui.alert_words import headline
from ktui.answers import FileState, RunningConfig, Split, Status
from ktui.geometry import NAMES_FROM
from ktui.glyphs import arm_glyph
from ktui.number_words import clock, duration_ms, moment, per_second, percent, share, sum_cost
from ktui.state import AppState
from ktui.themes import arm_role, role
from ktui.when import moment_words
from ktui.widgets.fit import Field, Placed, fit
from ktui.widgets.sparkline import spark
from proxy.base.sanitise import sanitise

IDENTITY_ORDER = (
    ("gateway", 1), ("split", 1), ("split", 2), ("version", 1), ("file", 1), ("enforced", 1), ("split", 3),
    ("split", 4), ("gateway", 2), ("enforced", 2),
)  # fmt: skip
TRAFFIC_ORDER = (
    ("arms", 1), ("rate", 1), ("arms", 2), ("rate", 2), ("errors", 1), ("money", 1), ("p95", 1), ("arms", 3),
)  # fmt: skip
PLACE_ORDER = (
    ("stored", 1), ("badges", 1), ("time", 1), ("badges", 2), ("alert", 1), ("tabs", 1),
)  # fmt: skip


@dataclass(frozen=True)
class Tab:
    """One tab: its digit, its name, the mark of a screen that wants attention."""

    key: str
    name: str
    active: bool
    mark: str = ""


def short_tags(tags: Sequence[str]) -> list[str]:
    """Tags without their common beginning up to a dash, dot or underscore: `variant-a` -> `a`."""
    first, last = (min(tags), max(tags)) if len(tags) > 1 else ("", "")
    same = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    common = first[:same]
    cut = max(common.rfind(mark) for mark in "-._") + 1
    return [tag[cut:] or tag for tag in tags]


class HeaderLines:
    """Builds the lines for one application (its roles) at one width."""

    def __init__(self, app: object, state: AppState) -> None:
        self._app = app
        self._state = state

    def _t(self, *parts: tuple[str, str]) -> Text:
        text = Text(no_wrap=True, end="")
        for word, name in parts:
            text.append(word, role(self._app, name) if name else "")
        return text

    # -- identity

    def identity(self, width: int, draft: Text) -> tuple[Text, list[Placed]]:
        """Gateway state and address, version, file state, what is not enforced; right: the split that matters."""
        status = self._state.status
        left = [Field("gateway", self._gateway(status), 0)]
        config = status.config if status is not None else None
        if config is not None:
            left += [Field("version", self._version(config), 4), Field("file", self._file(config.file), 1)]
            left.append(Field("draft", (draft,), 2))
            left.append(Field("enforced", self._enforced(config), 2))
        elif status is not None and status.file is not None and status.file.state != "same":
            left += [Field("file", self._file(status.file), 4), Field("draft", (draft,), 2)]
        right = []
        split = self._state.main_split
        if split is not None:
            right.append(Field("split", self._split(split), 0))
        return fit(left, right, width, IDENTITY_ORDER)

    def _gateway(self, status: Status | None) -> tuple[Text, ...]:
        link = self._state.link
        if not link.reachable:
            if link.last_answer is None:
                word = sanitise(link.reason, 200) or "nothing answers"
                return (self._t(("✗ not ready", "bad"), (f": {word}", "text")),)
            return (
                self._t(("? unreachable", "unknown"), (f", last answer {clock(link.last_answer)}", "text")),
            )
        if status is None:
            return (self._t(("◐ starting", "info")),)
        gateway = status.gateway
        listen = sanitise(gateway.listen, 60)
        port = ":" + listen.rpartition(":")[2] if listen else ""
        reason = f": {sanitise(gateway.reason, 120)}" if gateway.reason else ""
        word, name = {
            "serving": ("● serving", "live"),
            "starting": ("◐ starting", "info"),
            "draining": (f"◐ draining {gateway.in_flight}", "warn"),
            "not_ready": (f"✗ not ready{reason}", "bad"),
            "stopped": (f"✗ stopped{reason}", "bad"),
            "replay": (f"‖ replay{reason}", "paused"),
        }.get(gateway.state, (f"? {sanitise(gateway.state, 20)}", "unknown"))
        bare = Text(no_wrap=True, end="").append(word, f"bold {role(self._app, name)}")
        text = role(self._app, "text")
        return bare.copy().append(f"  {listen}", text), bare.copy().append(f" {port}", text), bare

    def _version(self, config: RunningConfig) -> tuple[Text, ...]:
        number = (f"v{config.number}", "text")
        return self._t(number, (f" {config.short or config.hash[:7]}", "muted")), self._t(number)

    def _file(self, file: FileState) -> tuple[Text, ...]:
        state = file.state
        if state == "same":
            return self._t(("= file", "ok")), Text()
        reason = sanitise(file.reason or ("" if state == "differs" else state), 80)
        return (self._t(("≠ file", "warn"), (f": {reason}" if reason else "", "text")),)

    def _enforced(self, config: RunningConfig) -> tuple[Text, ...]:
        number = len(config.not_enforced)
        if not number:
            return (Text(),)
        names = ", ".join(sanitise(entry.policy, 40) for entry in config.not_enforced[:2])
        more = f" +{number - 2}" if number > 2 else ""
        head = (f"! {number}", "warn")
        return (
            self._t(head, (" not enforced: ", "warn"), (names + more, "text")),
            self._t(head, (" not enforced", "warn")),
            self._t(head, (" off", "warn")),
        )

    def _split(self, split: Split) -> tuple[Text, ...]:
        more = f" +{len(self._state.splits) - 1}" if len(self._state.splits) > 1 else ""
        name = (sanitise(split.name, 40), "strong")
        phase, running = self._phase(split), ("  ● running", "live")
        plan = ("  ! off plan", "warn") if split.off_plan else ("", "")
        if split.phase is None:
            words = ("  weights by hand", "muted")
            return self._t(name, words, (more, "muted")), self._t(name, (more, "muted")), Text()
        extra = (more, "muted")
        return (
            self._t(name, running, plan, ("  ", ""), phase, extra),
            self._t(name, plan, ("  ", ""), phase, extra),
            self._t((name[0][:12] + ("…" if len(name[0]) > 12 else ""), "strong"), plan, ("  ", ""), phase),
            self._t(phase, plan),
            Text(),
        )

    def _phase(self, split: Split) -> tuple[str, str]:
        index = split.phase_index
        place = f" {index + 1}/{len(split.phases)}" if index is not None else ""
        return f"{sanitise(split.phase or '', 24)}{place}", "text"

    # -- traffic

    def traffic(self, width: int) -> tuple[Text, list[Placed]]:
        """The last 60 seconds; right: each arm, configured → seen."""
        status = self._state.status
        left: list[Field] = []
        if status is not None:
            traffic = status.traffic
            p95 = duration_ms(traffic.latency_ms.p95 if traffic.latency_ms else None, "no data")
            cost = sum_cost(traffic.cost_per_min) if traffic.cost_per_min is not None else None
            left = [
                Field("rate", self._rate(per_second(traffic.requests_per_s), traffic.recent_per_s)),
                Field("errors", self._errors(percent(traffic.error_rate))),
                Field("p95", (self._labelled("p95", p95), Text())),
                Field("money", (self._money(cost, traffic.unpriced), Text())),
            ]
        split = self._state.main_split
        right = [Field("arms", self._arms(split), 0)] if split is not None else []
        return fit(left, right, width, TRAFFIC_ORDER)

    def _rate(self, rate: str, recent: Sequence[float]) -> tuple[Text, ...]:
        columns = spark(recent, len(recent), from_zero=True) if recent else ""
        plain = self._t((rate, "strong"), (" req/s", "muted"))
        full = plain.copy().append(f" {columns}" if columns else "", role(self._app, "muted"))
        return full, plain, self._t((rate, "strong"), ("/s", "muted"))

    def _errors(self, rate: str) -> tuple[Text, ...]:
        return self._labelled("errors", rate), self._labelled("err", rate)

    def _labelled(self, label: str, value: str) -> Text:
        if value == "no data":
            return self._t((f"{label} ", "muted"), (value, "unknown"))
        number, _, unit = value.partition(" ")
        return self._t((f"{label} ", "muted"), (number, "strong"), (f" {unit}" if unit else "", "muted"))

    def _money(self, cost: str | None, unpriced: int) -> Text:
        if cost is None:
            return self._t(("unpriced", "unknown")) if unpriced else Text()
        extra = (f" + {unpriced} unpriced", "unknown") if unpriced else ("", "")
        return self._t((cost, "strong"), ("/min", "muted"), extra)

    def _arms(self, split: Split) -> tuple[Text, ...]:
        tags = [sanitise(tag, 24) for tag in split.tags]
        full, short = self._arm_list(split, tags), self._arm_list(split, short_tags(tags))
        bare = self._arm_list(split, ["" for _ in tags])
        return self._t(("split ", "muted")).append_text(full), full, short, bare

    def _arm_list(self, split: Split, tags: Sequence[str]) -> Text:
        line = Text(no_wrap=True, end="")
        for index, (arm, tag) in enumerate(zip(split.arms, tags, strict=True)):
            line.append("   " if index else "")
            seen = "?" if arm.observed_share is None else share(arm.observed_share)
            words = f"{arm_glyph(index)} {tag}{' ' if tag else ''}{share(arm.share)}→{seen}"
            line.append(words, role(self._app, arm_role(index)))
        return line.append(" %", role(self._app, "muted"))

    # -- place

    def place(self, width: int, tabs: Sequence[Tab]) -> tuple[Text, list[Placed]]:
        """Tabs; right: events stored, badges, what was dropped, time of the newest event."""
        names, digits = self._tabs(tabs, True), self._tabs(tabs, False)
        fields = [Field("tabs", (names, digits) if width >= NAMES_FROM else (digits,), 0)]
        line, places = fit(fields, self._right(), width, PLACE_ORDER)
        shifted = Text("▐" if tabs and tabs[0].active else " ", no_wrap=True, end="")
        shifted.stylize(role(self._app, "accent"))
        shifted.append_text(line[1:])
        tab_places: list[Placed] = []
        column = places[0].start if places else 1
        for tab, text in zip(tabs, self._tab_texts(tabs, line.plain.find(tabs[-1].name) >= 0), strict=True):
            tab_places.append(Placed(f"tab.{tab.key}", column, column + text.cell_len))
            column += text.cell_len + 2
        return shifted, tab_places + places[1:]

    def _tab_texts(self, tabs: Sequence[Tab], names: bool) -> list[Text]:
        texts = []
        for tab in tabs:
            named = names or tab.active
            label = f"{tab.key} {tab.name}" if named else tab.key
            if tab.active:
                text = Text(label, style=role(self._app, "tab"), no_wrap=True, end="")
            else:
                text = self._t((tab.key, "muted"), (label[len(tab.key) :], "text"), (tab.mark, "warn"))
            texts.append(text)
        return texts

    def _tabs(self, tabs: Sequence[Tab], names: bool) -> Text:
        line = Text(no_wrap=True, end="")
        accent = role(self._app, "accent")
        for index, (tab, text) in enumerate(zip(tabs, self._tab_texts(tabs, names), strict=True)):
            if index:
                line.append("▌" if tabs[index - 1].active else " ", accent)
                line.append("▐" if tab.active else " ", accent)
            line.append_text(text)
        return line.append("▌" if tabs and tabs[-1].active else "", accent)

    def _right(self) -> list[Field]:
        status, state = self._state.status, self._state
        fields: list[Field] = []
        if status is not None:
            total = status.events.total if status.events.total is not None else status.events.stored
            # Its dot goes with it when it is dropped, for it is the first to be.
            fields.append(Field("stored", (self._t((f"{total:,} stored · ", "muted")), Text()), 0))
        badges = [sanitise(badge, 40) for badge in (status.badges if status is not None else ())]
        if state.attached:
            badges.append(f"attached {sanitise(state.attached, 40)}")
        joined = " · ".join(badges)
        tail = f"{joined[:11]}…" if len(joined) > 12 else joined
        fields.append(Field("badges", (self._t((joined, "info")), self._t((tail, "info")), Text()), 0))
        if state.moment is not None:
            then = f"‖ replay {moment_words(state.moment, datetime.now().astimezone())}"
            fields.append(Field("replay", (self._t((then, "paused")),), 0))
        elif state.frozen_at is not None:
            fields.append(Field("frozen", (self._t((f"‖ frozen at {clock(state.frozen_at)}", "paused")),), 0))
        if status is not None:
            words, short = headline([alert for alert in status.alerts if alert.firing])
            if words:
                fields.append(Field("alert", (self._t((words, "bad")), self._t((short, "bad"))), 0))
            dropped = sum(status.events.dropped.values())
            if dropped:
                fields.append(Field("dropped", (self._t((f"! {dropped:,} dropped", "warn")),), 0))
            newest = moment(status.events.last_timestamp)
            if newest is not None and state.moment is None:
                fields.append(Field("time", (self._t((clock(newest), "strong")), Text()), 0))
        return self._dotted(fields)

    def _dotted(self, fields: list[Field]) -> list[Field]:
        """The same fields with ` · ` before all but the first that shows something."""
        result: list[Field] = []
        started = False
        for field in fields:
            if not field.forms[0].cell_len:
                continue
            dot = self._t((" · ", "muted")) if started else Text()
            forms = tuple(dot.copy().append_text(form) if form.cell_len else form for form in field.forms)
            result.append(Field(field.name, forms, 0))
            started = field.name != "stored"
        return result
