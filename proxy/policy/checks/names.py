"""Names, ids and tags: things are told apart by them. Read from the text itself, so that a policy that cannot be
read otherwise still counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import remove_item, rewrite
from proxy.policy.diagnostics import Fix
from proxy.policy.document import MappingNode, Path, ScalarNode, SequenceNode, shown
from proxy.policy.kinds.model_filter import ModelFilter
from proxy.policy.kinds.traffic_split import RESERVED_PHASES


@check(
    "no-policies",
    "info",
    "There are no policies",
    why="Every request is allowed as it is. That may be meant, for a gateway that only records.",
    mend="Add a policy, or leave it.",
    bad="""
    «policies»: []
    """,
    good="""
    policies:
      - {name: marked, type: log}
    """,
)
def no_policies(context: Context) -> Iterable[Finding]:
    """A file without any policy lets everything through."""
    if context.problems:
        return
    node = context.document.find(("policies",))
    if node is None or not (isinstance(node, SequenceNode) and node.items):
        message = "there are no policies: every request is allowed as it is"
        yield Finding(message, ("policies",) if node is not None else (), key=True)


@check(
    "duplicate-name",
    "error",
    "Two policies have the same name",
    why="Events, limits and explanations call a policy by its name; two of one name could not be told apart.",
    mend="Give the second one a name of its own.",
    bad="""
    policies:
      - {name: marked, type: log}
      - {name: «marked», type: log, severity: warn}
    """,
    good="""
    policies:
      - {name: marked, type: log}
      - {name: marked-2, type: log, severity: warn}
    """,
)
def duplicate_names(context: Context) -> Iterable[Finding]:
    """Policies are told apart by name."""
    for repeat in _repeated(context, ("policies",), ("name",)):
        line = context.document.line_of(context.document.span(repeat.first)[0])
        message = f"a policy called {shown(repeat.name)} is there already, on line {line}"
        yield Finding(message, repeat.place, fix=_renumbered(context, repeat))


@check(
    "duplicate-id",
    "error",
    "Two targets have the same id",
    why="Variants and events call a target by its id.",
    mend="Give the second one an id of its own.",
    bad="""
    providers:
      targets:
        - {id: openai}
        - {id: «openai», base_url: "https://eu.example.com/v1"}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      targets:
        - {id: openai}
        - {id: openai-2, base_url: "https://eu.example.com/v1"}
    policies:
      - {name: marked, type: log}
    """,
)
def duplicate_ids(context: Context) -> Iterable[Finding]:
    """Targets are told apart by id."""
    for repeat in _repeated(context, ("providers", "targets"), ("id",)):
        message = f"a target called {shown(repeat.name)} is there already"
        yield Finding(message, repeat.place, fix=_renumbered(context, repeat))


@check(
    "duplicate-tag",
    "error",
    "Two variants have the same tag",
    why="Arms of a split are told apart by tag (the model's name where there is none), in the assignment as in reports.",
    mend="Give each variant a `tag` of its own.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 50, tag: a}
          - {model: gpt-4o-mini, weight: 50, tag: «a»}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 50, tag: a}
          - {model: gpt-4o-mini, weight: 50, tag: b}
    """,
)
def duplicate_tags(context: Context) -> Iterable[Finding]:
    """Arms are told apart by tag."""
    for path in _policies(context):
        for repeat in _repeated(context, (*path, "variants"), ("tag", "model")):
            message = f"two variants are called {shown(repeat.name)}; give each a tag of its own"
            fix = _renumbered(context, repeat) if repeat.place[-1] == "tag" else None
            yield Finding(message, repeat.place, fix=fix)


@check(
    "duplicate-phase",
    "error",
    "Two phases have the same name",
    why="`phase:` and the history of a rollout call a phase by its name.",
    mend="Give the second one a name of its own.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95, tag: a}
          - {model: gpt-4o-mini, weight: 5, tag: b}
        rollout:
          phases:
            - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
            - {name: «canary», weights: {a: 0, b: 100}}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95, tag: a}
          - {model: gpt-4o-mini, weight: 5, tag: b}
        rollout:
          phases:
            - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
            - {name: complete, weights: {a: 0, b: 100}}
    """,
)
def duplicate_phases(context: Context) -> Iterable[Finding]:
    """Phases are told apart by name."""
    for path in _policies(context):
        for repeat in _repeated(context, (*path, "rollout", "phases"), ("name",)):
            message = f"two phases are called {shown(repeat.name)}"
            yield Finding(message, repeat.place, fix=_renumbered(context, repeat))


@check(
    "reserved-phase",
    "error",
    "A phase has a reserved name",
    why="`rolled-back` and `aborted` are the phases a rollout is put in when it is given up; a plan cannot contain them.",
    mend="Choose another name.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 100, tag: a}
          - {model: gpt-4o-mini, weight: 0, tag: b}
        rollout:
          phases:
            - {name: «aborted», weights: {a: 100, b: 0}}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 100, tag: a}
          - {model: gpt-4o-mini, weight: 0, tag: b}
        rollout:
          phases:
            - {name: stay, weights: {a: 100, b: 0}}
    """,
)
def reserved_phases(context: Context) -> Iterable[Finding]:
    """Two names are kept for rollouts that were given up."""
    for path in _policies(context):
        for _, place, name in _named(context, (*path, "rollout", "phases"), ("name",)):
            if name in RESERVED_PHASES:
                yield Finding(f"{shown(name)} is a reserved name", place)


@check(
    "duplicate-client-key",
    "error",
    "Two client keys have the same name or the same value",
    why="Events, limits and conditions call a holder by the key's name, and a request shows one key: neither may mean two.",
    mend="Give each holder a name and a key of its own.",
    bad="""
    gateway:
      client_keys:
        - {name: search, secret_key_ref: {env: OPENAI_API_KEY}}
        - {name: «search», secret_key_ref: {env: ANTHROPIC_API_KEY}}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    gateway:
      client_keys:
        - {name: search, secret_key_ref: {env: OPENAI_API_KEY}}
        - {name: search-2, secret_key_ref: {env: ANTHROPIC_API_KEY}}
    policies:
      - {name: marked, type: log}
    """,
)
def duplicate_client_keys(context: Context) -> Iterable[Finding]:
    """Client keys are told apart by name, and requests by key."""
    keys = ("gateway", "client_keys")
    for repeat in _repeated(context, keys, ("name",)):
        message = f"a client key called {shown(repeat.name)} is there already"
        yield Finding(message, repeat.place, fix=_renumbered(context, repeat))
    for repeat in _repeated(context, keys, ("sha256",)):
        yield Finding("another client key has the same value", repeat.place)


@check(
    "duplicate-alert",
    "error",
    "Two alerts have the same name",
    why="Screen, metrics and `kt doctor` call an alert by its name.",
    mend="Give the second one a name of its own.",
    bad="""
    events:
      alerts:
        - {name: slow, filter: "latency>5s", more_than: 5}
        - {name: «slow», filter: "latency>30s", more_than: 0}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    events:
      alerts:
        - {name: slow, filter: "latency>5s", more_than: 5}
        - {name: slow-2, filter: "latency>30s", more_than: 0}
    policies:
      - {name: marked, type: log}
    """,
)
def duplicate_alerts(context: Context) -> Iterable[Finding]:
    """Alerts are told apart by name."""
    for repeat in _repeated(context, ("events", "alerts"), ("name",)):
        message = f"an alert called {shown(repeat.name)} is there already"
        yield Finding(message, repeat.place, fix=_renumbered(context, repeat))


@check(
    "duplicate-item",
    "warning",
    "A list says the same model twice",
    why="The second one does nothing; often another model was meant.",
    mend="Remove it, or write the model that was meant.",
    bad="""
    policies:
      - name: approved
        type: model_filter
        allowed_models:
          - gpt-4o
          - «gpt-4o»
    """,
    good="""
    policies:
      - name: approved
        type: model_filter
        allowed_models:
          - gpt-4o
    """,
)
def duplicate_items(context: Context) -> Iterable[Finding]:
    """A model listed twice."""
    for policy in context.file.policies:
        if not isinstance(policy, ModelFilter):
            continue
        for key in ("allowed_models", "blocked_models"):
            yield from _duplicates(context, (*policy.path, key), getattr(policy, key) or ())


def _duplicates(context: Context, path: Path, values: Sequence[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            place = (*path, index)
            fix = remove_item(context.document, place)
            yield Finding(f"{shown(value)} stands in {path[-1]} already", place, fix=fix)
        seen.add(value)


def _policies(context: Context) -> Iterator[Path]:
    node = context.document.find(("policies",))
    for index in range(len(node.items) if isinstance(node, SequenceNode) else 0):
        yield ("policies", index)


def _named(context: Context, path: Path, keys: Sequence[str]) -> Iterator[tuple[Path, Path, str]]:
    """Each item of the list at `path` with the first of `keys` it has: its path, the value's path and the value."""
    parent = context.document.find(path)
    for index, item in enumerate(parent.items if isinstance(parent, SequenceNode) else ()):
        for key in keys if isinstance(item, MappingNode) else ():
            entry = item.get(key) if isinstance(item, MappingNode) else None
            value = entry.value if entry is not None else None
            if isinstance(value, ScalarNode) and not value.is_null:
                yield (*path, index), (*path, index, key), value.value
                break


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A name that an earlier item has too."""

    name: str
    place: Path
    first: Path
    fresh: str
    """A name like it that is free."""


def _repeated(context: Context, path: Path, keys: Sequence[str]) -> Iterator[_Repeat]:
    named = list(_named(context, path, keys))
    first: dict[str, Path] = {}
    taken = {name for _, _, name in named}
    last: dict[str, int] = {}
    for _, place, name in named:
        if name in first:
            number = last.get(name, 1) + 1
            while f"{name}-{number}" in taken:
                number += 1
            last[name] = number
            yield _Repeat(name, place, first[name], f"{name}-{number}")
        first.setdefault(name, place)


def _renumbered(context: Context, repeat: _Repeat) -> Fix | None:
    return rewrite(context.document, f"call it {shown(repeat.fresh)}", {repeat.place: repeat.fresh})
