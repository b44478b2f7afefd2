"""The command registry: one list makes bindings, footer, palette, help, docs and the test against clashes.

A capital letter changes what runs and always asks; small letters never change traffic. `enter` opens, it
never applies. A command's action is its id with underscores: `live.follow` runs `action_live_follow` on the
widget whose place it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType

from ktui.state import AppState

EVERYWHERE = "everywhere"
PLACES = (
    EVERYWHERE,
    "lists",
    "charts",
    "live",
    "policy",
    "editor",
    "rollout",
    "bars",
    "cost",
    "history",
    "dialog",
)
"""Where a command's keys work: on every screen, on a kind of region, on one screen, or in a dialog."""

KEY_NAMES = {
    "question_mark": "?", "exclamation_mark": "!", "colon": ":", "slash": "/", "backslash": "\\", "less_than_sign": "<",
    "greater_than_sign": ">", "minus": "-", "plus": "+", "equals_sign": "=", "apostrophe": "'",
    "left_square_bracket": "[", "right_square_bracket": "]", "left_curly_bracket": "{", "right_curly_bracket": "}", "at": "@", "escape": "esc",
}  # fmt: skip

NEVER_BOUND = frozenset(
    {
        "ctrl+d",
        "delete",
        "backspace",
        "ctrl+h",
        "ctrl+i",
        "ctrl+m",
        "ctrl+j",
        "ctrl+a",
        "ctrl+b",
        "ctrl+space",
    }
    | {"ctrl+backslash", "ctrl+w", "ctrl+t", "shift+enter", "ctrl+enter", "alt+enter"}
    | {"f2", "f3", "f5", "f6", "f10", "f11", "f12"}
)
"""Keys that terminals alias or take, prefixes of screen and tmux, slips that destroyed things elsewhere."""


def always(_state: AppState) -> str:
    """The condition of a command that always works."""
    return ""


def _needs_config(state: AppState) -> str:
    return "" if state.status is not None and state.status.config is not None else "no policy runs"


def _needs_split(state: AppState) -> str:
    return "" if state.splits else "the policy has no traffic split"


QUIT_HELP = "Asks when requests are in flight or a draft is open; the demo never asks."
TIME_HELP = "Every screen shows that moment; what changes traffic is off until 0 shows the present again."
FREEZE_HELP = "The body stands still; header and traffic go on, nothing is lost."


@dataclass(frozen=True)
class Command:
    """One thing the reader can do. `enabled(state)` gives "" or the reason why not, as half a sentence."""

    id: str
    title: str
    keys: tuple[str, ...]
    where: str
    help: str = ""
    asks: bool = False
    enabled: Callable[[AppState], str] = always
    hint: str = ""
    """The word in the footer; empty: not in the footer."""
    rank: int = 50
    """Place in the footer; small first."""
    shown: str = ""
    """How the keys are written; empty: the first key."""
    priority: bool = False
    """Works inside editors and fields too."""
    argument: str = ""

    @property
    def action(self) -> str:
        """The action's name, with its argument."""
        return self.id.replace(".", "_") + (f"({self.argument!r})" if self.argument else "")

    @property
    def key_text(self) -> str:
        """All keys as people write them."""
        return " ".join(key_label(key) for key in self.keys)

    @property
    def footer_keys(self) -> str:
        """The keys as the footer shows them."""
        return self.shown or (key_label(self.keys[0]) if self.keys else "")


def key_label(key: str) -> str:
    """`question_mark` -> `?`, `ctrl+s` -> `ctrl+s`."""
    return KEY_NAMES.get(key, key)


COMMANDS: tuple[Command, ...] = (
    Command("app.help", "Help for this place", ("question_mark", "f1"), EVERYWHERE, hint="help", rank=0),
    Command("app.palette", "Every command by name", ("colon", "ctrl+p"), EVERYWHERE, hint="commands", rank=1),
    Command("app.back", "Close the innermost thing; leave the editor", ("escape",), EVERYWHERE),
    Command("app.quit", "Quit", ("q", "ctrl+q"), EVERYWHERE, QUIT_HELP, hint="quit", rank=99),
    Command(
        "app.freeze",
        "Freeze or thaw the picture",
        ("space", "f9"),
        EVERYWHERE,
        FREEZE_HELP,
        hint="freeze",
        rank=90,
    ),
    Command("screen.live", "Go to Live", ("1",), EVERYWHERE),
    Command("screen.policy", "Go to Policy", ("2",), EVERYWHERE),
    Command("screen.rollout", "Go to Rollout", ("3",), EVERYWHERE),
    Command("screen.cost", "Go to Cost", ("5",), EVERYWHERE),
    Command("screen.history", "Go to History", ("7",), EVERYWHERE),
    Command("focus.next", "Next region", ("tab",), EVERYWHERE),
    Command("focus.previous", "Previous region", ("shift+tab",), EVERYWHERE),
    Command("alert.show", "The requests of the alert that fired last", ("exclamation_mark",), EVERYWHERE),
    Command("time.back", "A minute back, on all screens", ("left_square_bracket",), EVERYWHERE, TIME_HELP),
    Command("time.forward", "A minute on", ("right_square_bracket",), EVERYWHERE, TIME_HELP),
    Command("time.leap_back", "An hour back", ("left_curly_bracket",), EVERYWHERE),
    Command("time.leap_forward", "An hour on", ("right_curly_bracket",), EVERYWHERE),
    Command("time.goto", "Show a moment", ("at",), EVERYWHERE, TIME_HELP),
    Command("time.now", "Show the present again", ("0",), EVERYWHERE),
    Command("theme.choose", "Choose a theme", (), EVERYWHERE, "Theme files are reloaded when saved."),
    Command(
        "app.screenshot",
        "Write a picture of the screen",
        (),
        EVERYWHERE,
        "An SVG file, where ktui was started.",
    ),
    Command("policy.undo", "Undo the last apply", ("U",), EVERYWHERE, asks=True, enabled=_needs_config),
    Command("list.down", "Down", ("j", "down"), "lists"),
    Command("list.up", "Up", ("k", "up"), "lists"),
    Command("list.page_down", "A page down", ("pagedown",), "lists"),
    Command("list.page_up", "A page up", ("pageup",), "lists"),
    Command("list.first", "First", ("g", "home"), "lists"),
    Command("list.last", "Last", ("G", "end"), "lists"),
    Command("item.open", "Open the thing under the cursor", ("enter",), "lists", hint="open", rank=20),
    Command(
        "item.copy",
        "Copy it",
        ("y", "c"),
        "lists",
        "A request as id, JSON, curl, line or Markdown; marked ones together.",
        hint="copy",
        rank=40,
    ),
    Command("live.follow", "Follow the newest, or stop following", ("f",), "live", hint="follow", rank=10),
    Command(
        "filter.open",
        "Filter the requests",
        ("slash", "ctrl+f"),
        "live",
        "Fields, operators and values are offered while typing; docs/filter.md has the language.",
        hint="filter",
        rank=5,
    ),
    Command("filter.toggle", "Filter off, and on again", ("backslash",), "live"),
    Command(
        "filter.save",
        "Save the filter under a name",
        (),
        "live",
        "It stands in this palette and in the offers.",
    ),
    Command("filter.forget", "Forget a filter that was saved", (), "live"),
    Command(
        "live.goto",
        "Cursor to a time",
        ("ctrl+g",),
        "live",
        "The list is read from the store around that time.",
    ),
    Command(
        "mark.toggle",
        "Mark this request, or take the mark away",
        ("m",),
        "live",
        "Marks are what is copied and written.",
    ),
    Command("mark.next", "Next mark; without marks the next failed request", ("n", "f8"), "live"),
    Command("mark.previous", "Mark before; without marks the failed request before", ("N", "f7"), "live"),
    Command("mark.clear", "Take all marks away", (), "live"),
    Command(
        "table.sort",
        "Sort by the next column",
        ("s",),
        "live",
        "A click on a title sorts too.",
        hint="sort",
        rank=45,
    ),
    Command("item.edit", "The policy line that decided the open request", ("e",), "live"),
    Command(
        "item.write",
        "Write the requests to a file",
        ("w",),
        "live",
        "The marked ones, else all in the store that match the filter; w again cancels.",
        hint="write",
        rank=47,
    ),
    Command("table.reverse", "Sort the other way", ("r",), "live"),
    Command("table.columns", "Choose columns and their order", ("o",), "live", hint="columns", rank=46),
    Command("live.explain", "Explain the decision of this request", ("x",), "live", hint="explain", rank=25),
    Command("view.next", "Next measure of the chart", ("v",), "live", hint="measure", rank=30),
    Command(
        "chart.group", "Lines by variant, model, target, ...", ("b",), "charts", hint="group by", rank=31
    ),
    Command("chart.shorter", "A shorter window", ("minus",), "charts", hint="window", rank=32, shown="- +"),
    Command("chart.longer", "A longer window, up to 30 days", ("plus", "equals_sign"), "charts"),
    Command(
        "chart.left", "Read values, back in time", ("h", "left"), "charts", hint="read", rank=33, shown="h l"
    ),
    Command("chart.right", "Read values, on in time", ("l", "right"), "charts"),
    Command("chart.measure", "Choose a measure by name", ("a",), "charts", hint="choose", rank=34),
    Command(
        "draft.apply",
        "Apply the draft",
        ("ctrl+s",),
        "policy",
        asks=True,
        hint="apply",
        rank=10,
        priority=True,
    ),
    Command("draft.apply_letter", "Apply the draft", ("A",), "policy", asks=True, enabled=_needs_config),
    Command(
        "policy.repair", "Apply the quick fix at the cursor", ("ctrl+r",), "policy", hint="repair", rank=15
    ),
    Command(
        "find.next", "Next problem or hit", ("f8", "n"), "policy", hint="problem", rank=20, shown="f7 f8"
    ),
    Command("find.previous", "Previous problem or hit", ("f7",), "policy", priority=True),
    Command("find.previous_letter", "Previous problem or hit", ("N",), "policy"),
    Command("policy.repair_letter", "Apply the quick fix of the problem", ("r",), "policy"),
    Command("policy.repair_all", "Apply all quick fixes", ("f",), "policy", "One undo takes them back."),
    Command("find.open", "Find in the editor", ("ctrl+f",), "policy", hint="find", rank=16, priority=True),
    Command("find.open_letter", "Find in the editor", ("slash",), "policy"),
    Command("policy.line", "Go to a line", ("ctrl+g",), "policy", priority=True),
    Command(
        "policy.complete",
        "Complete the word at the cursor",
        ("ctrl+n",),
        "policy",
        "Opens by itself while typing; tab takes an offer, esc closes.",
        hint="complete",
        rank=17,
    ),
    Command("policy.describe", "What the key under the cursor means", ("ctrl+l",), "policy"),
    Command(
        "policy.external",
        "Hand over to $EDITOR, traffic goes on",
        ("f4",),
        "policy",
        hint="$EDITOR",
        rank=18,
    ),
    Command("policy.edit", "Into the editor", ("e",), "policy", hint="edit", rank=12),
    Command(
        "version.diff", "Difference of draft and running version", ("d",), "policy", hint="diff", rank=25
    ),
    Command("weight.step_down", "Weight 1 down", ("h", "left"), "bars", hint="by 1", rank=10, shown="h l"),
    Command("weight.step_up", "Weight 1 up", ("l", "right"), "bars"),
    Command(
        "weight.leap_down", "Weight 10 down", ("less_than_sign",), "bars", hint="by 10", rank=11, shown="< >"
    ),
    Command("weight.leap_up", "Weight 10 up", ("greater_than_sign",), "bars"),
    Command("weight.fine_down", "Weight 0.1 down", ("minus",), "bars", hint="by 0.1", rank=12, shown="- +"),
    Command("weight.fine_up", "Weight 0.1 up", ("plus",), "bars"),
    Command("weight.number", "Type the number", ("equals_sign", "e"), "bars", hint="type it", rank=13),
    Command("weight.fix", "Hold this arm; the others absorb", ("f",), "bars", hint="hold", rank=14),
    Command(
        "rollout.apply", "Apply these weights", ("A", "ctrl+s"), "rollout", asks=True, hint="apply", rank=15
    ),
    Command(
        "rollout.promote", "Promote to the next phase", ("P",), "rollout", asks=True, hint="promote", rank=16
    ),
    Command("rollout.next_split", "Next split", ("n",), "rollout", enabled=_needs_split),
    Command("rollout.previous_split", "Previous split", ("N",), "rollout", enabled=_needs_split),
    Command(
        "cost.group",
        "Group by the next: model, provider, variant, key, user, policy",
        ("b",),
        "cost",
        hint="group by",
        rank=10,
    ),
    Command(
        "cost.view",
        "Next measure of the chart; on a short screen cheaper routing, and back",
        ("v",),
        "cost",
        hint="measure",
        rank=11,
    ),
    Command("cost.shorter", "A shorter window", ("minus",), "cost", hint="window", rank=12, shown="- +"),
    Command("cost.longer", "A longer window", ("plus", "equals_sign"), "cost"),
    Command("cost.sort", "Sort by the next column", ("s",), "cost", hint="sort", rank=13),
    Command("cost.reverse", "Sort the other way", ("r",), "cost"),
    Command("cost.traffic", "The requests behind it, on Live", ("t",), "cost", hint="traffic", rank=14),
    Command("cost.edit", "Its line in the policy: the model's target, the split, the policy", ("e",), "cost"),
    Command("cost.write", "Write the table to a CSV or JSON file", ("w",), "cost", hint="write", rank=41),
    Command("item.mark", "Mark, to compare with", ("m",), "history", hint="mark", rank=10),
    Command(
        "version.compare",
        "Difference to the marked or running version",
        ("d",),
        "history",
        hint="diff",
        rank=11,
    ),
    Command(
        "version.restore",
        "Restore this version as a new one",
        ("A",),
        "history",
        asks=True,
        hint="restore",
        rank=12,
    ),
    Command("dialog.confirm", "Do it", ("y",), "dialog", "Deaf for half a second, against keys typed ahead."),
    Command("dialog.cancel", "Cancel; has the focus", ("enter", "escape"), "dialog"),
)


_CHANGING = frozenset(
    command.action.partition("(")[0] for command in COMMANDS if command.asks and command.id != "app.quit"
)
EARLIER = "an earlier moment is shown; 0 shows the present"


def off_now(action: str, state: AppState) -> bool:
    """Whether the action would change what runs while an earlier moment is shown."""
    return state.moment is not None and action in _CHANGING


def by_id(command_id: str) -> Command:
    """The command of that id. KeyError when there is none."""
    for command in COMMANDS:
        if command.id == command_id:
            return command
    raise KeyError(command_id)


def commands_in(*places: str) -> tuple[Command, ...]:
    """Commands of these places, in the registry's order."""
    return tuple(command for command in COMMANDS if command.where in places)


def bindings(*places: str, only: Iterable[str] | None = None) -> list[BindingType]:
    """Bindings of these places, for a BINDINGS class variable; `only` picks by id."""
    wanted = None if only is None else set(only)
    return [
        Binding(
            ",".join(command.keys),
            command.action,
            command.title,
            show=bool(command.hint),
            priority=command.priority,
            id=command.id,
        )
        for command in commands_in(*places)
        if command.keys and (wanted is None or command.id in wanted)
    ]


SCREENS: dict[str, tuple[str, ...]] = {
    "live": ("live", "lists", "charts"),
    "policy": ("policy", "lists", "editor"),
    "rollout": ("rollout", "bars"),
    "cost": ("cost", "lists"),
    "history": ("history", "lists"),
}
"""The places whose keys can work at one time on a screen, beside those that work everywhere."""


def clashes(commands: Iterable[Command] = COMMANDS) -> list[str]:
    """One sentence for each key with two meanings on one screen or in a dialog."""
    commands = tuple(commands)
    found = []
    for screen, places in (*SCREENS.items(), ("dialog", ("dialog",))):
        reach = places if screen == "dialog" else (*places, EVERYWHERE)
        seen: dict[str, str] = {}
        for command in commands:
            for key in command.keys if command.where in reach else ():
                other = seen.setdefault(key, command.id)
                if other != command.id:
                    found.append(f"{key_label(key)} means {other} and {command.id} on {screen}")
    return found
