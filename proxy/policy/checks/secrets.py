"""Secrets: never in the file, and where the file points for them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from math import log2

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import remove_entry
from proxy.policy.diagnostics import Fix, TextEdit
from proxy.policy.document import MappingNode, Path, ScalarNode, has_unprintable, scalars, shown
from proxy.policy.suggestions import variable_for
from proxy.policy.targets import TargetEntry

_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "proxy-authorization", "cookie"})
_FRAMING_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
_KNOWN_SHAPES = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-[A-Za-z0-9_-]{16,}"
    r"|[Bb]earer[ \t]+[A-Za-z0-9._~+/=-]{12,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|AIza[0-9A-Za-z_-]{35}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"
    r")"
)
"""Keys of OpenAI, Anthropic and others (`sk-`), bearer tokens, GitHub, AWS, Google and Slack tokens, JWTs, PEM keys."""
_PART = re.compile(r"[A-Za-z0-9]{10,}")
_LONG_WORD = re.compile(r"[A-Za-z0-9+]{32,}={0,2}")
_FREE_KEYS = frozenset({"base_url", "proxy", "description"})
_MIN_BITS = 3.0
"""Bits per character from which a long word looks drawn by lot: hex has up to 4, English words and ids repeated
letters."""
_MOST = 50


@check(
    "literal-secret",
    "error",
    "A secret stands in the file",
    why="""A policy file is read, copied, versioned and shown on screens. Keys belong into the environment, a file or the
    key store, and the policy file only names the place. Comments count too.""",
    mend="Write `secret_key_ref: {env: NAME}` (or `{file: PATH}`, `{store: NAME}`), and replace the key: it has been seen.",
    bad="""
    providers:
      targets:
        - id: openai
          secret_key_ref: «sk-proj-4f9a8b7c6d5e4f3a2b1c»
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      targets:
        - id: openai
          secret_key_ref: {env: OPENAI_API_KEY}
    policies:
      - {name: marked, type: log}
    """,
)
def literal_secret(context: Context) -> Iterable[Finding]:
    """Headers that carry secrets, words of a secret's shape anywhere, and random words where a secret may hide."""
    told = {problem.path for problem in context.problems if problem.code == "literal-secret"}
    spans: list[tuple[int, int]] = []
    for entry in context.file.entries:
        for name in entry.headers or {}:
            if name in _SECRET_HEADERS:
                place = _header_place(context, entry, name)
                told.add(context.document.spell(place))
                message = f"{name} carries a secret; write secret_key_ref: {{env: NAME}} instead"
                fix = remove_entry(context.document, place, f"remove {name}")
                yield Finding(message, place, key=True, fix=fix)
    for path, span in sorted(_suspects(context), key=lambda item: item[1])[:_MOST]:
        overlaps = spans and span[0] < spans[-1][1]
        if not overlaps and not (path and context.document.spell(path) in told):
            spans.append(span)
            message = (
                "this looks like a secret; a policy file only names the place of one, such as {env: NAME}"
            )
            yield Finding(message, path, span=span, fix=_env_instead(context, path))


def _suspects(context: Context) -> Iterator[tuple[Path, tuple[int, int]]]:
    nodes = [(node.start, node.end, path) for path, node in scalars(context.document.root)]
    nodes.sort(key=lambda item: item[0])
    starts = [start for start, _, _ in nodes]
    for match in _KNOWN_SHAPES.finditer(context.document.text):
        if match.group()[:2].lower() in ("sk", "be") and not _has_random_part(match.group()):
            continue
        index = bisect_right(starts, match.start()) - 1
        within = index >= 0 and match.start() < nodes[index][1]
        yield (nodes[index][2] if within else ()), match.span()
    for start, end, path in nodes:
        if _may_hide(path):
            for match in _LONG_WORD.finditer(context.document.text, start, end):
                if _looks_random(match.group()):
                    yield path, match.span()


def _has_random_part(word: str) -> bool:
    """Whether a part without punctuation is long and has digits in it, unlike words and dates."""
    parts = _PART.findall(word)
    return any(sum(character.isdigit() for character in part) >= 3 for part in parts)


def _may_hide(path: Path) -> bool:
    return bool(path) and (path[-1] in _FREE_KEYS or (len(path) > 1 and path[-2] == "headers"))


def _looks_random(word: str) -> bool:
    if sum(character.isdigit() for character in word) < 4 or word.isdigit():
        return False
    counts = Counter(word).values()
    return -sum(count / len(word) * log2(count / len(word)) for count in counts) >= _MIN_BITS


def _env_instead(context: Context, path: Path) -> Fix | None:
    """`{env: NAME}` in place of a value that should have been one."""
    node = context.document.find(path)
    if not path or path[-1] != "env" or not isinstance(node, ScalarNode):
        return None
    target = context.document.find((*path[:-2], "id"))
    name = variable_for(target.value if isinstance(target, ScalarNode) else "my")
    return Fix(f"write {name}", (TextEdit(node.start, node.end, name),))


@check(
    "two-secrets",
    "error",
    "A target names its key twice",
    why="`secret_key_ref` may stand below `provider` or beside it; with both, nobody could say which one counts.",
    mend="Keep one.",
    bad="""
    providers:
      targets:
        - id: openai
          provider: {secret_key_ref: {env: OPENAI_API_KEY}}
          «secret_key_ref»: {env: ANTHROPIC_API_KEY}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      targets:
        - id: openai
          provider: {secret_key_ref: {env: OPENAI_API_KEY}}
    policies:
      - {name: marked, type: log}
    """,
)
def two_secrets(context: Context) -> Iterable[Finding]:
    """One key, one place."""
    for entry in context.file.entries:
        if (
            entry.secret_key_ref is not None
            and entry.detail is not None
            and entry.detail.secret_key_ref is not None
        ):
            place = (*entry.path, "secret_key_ref")
            fix = remove_entry(context.document, place, "remove this one")
            message = "secret_key_ref stands both below provider and beside it; keep one"
            yield Finding(message, place, key=True, fix=fix)


@check(
    "env-not-set",
    "warning",
    "An environment variable is not set",
    why="""The target is unavailable: requests for it are answered 503 with a sentence that names the variable. A client key
    opens nothing.""",
    mend="Set the variable where the gateway runs, or name the one that is set.",
    bad="""
    providers:
      targets:
        - {id: openai, secret_key_ref: {env: «OPENAI_KEY»}}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      targets:
        - {id: openai, secret_key_ref: {env: OPENAI_API_KEY}}
    policies:
      - {name: marked, type: log}
    """,
)
def env_not_set(context: Context) -> Iterable[Finding]:
    """A variable that is not set: the target is unavailable."""
    env = context.surroundings.env
    for entry, target in context.file.written:
        secret, effect = entry.secret, f"requests for {shown(entry.id)} would be answered 503"
        if secret is not None and secret.env is not None and not env.get(secret.env):
            yield Finding(f"{secret.env} is not set: {effect}", (*secret.path, "env"))
        elif secret is None and target.secret_env is not None and not env.get(target.secret_env):
            yield Finding(f"{target.secret_env} is not set: {effect}", (*entry.path, "id"))
    for key in context.file.gateway.client_keys:
        reference = key.secret_key_ref
        if reference is not None and reference.env is not None and not env.get(reference.env):
            message = f"{reference.env} is not set: the key {shown(key.name)} opens nothing"
            yield Finding(message, (*reference.path, "env"))


@check(
    "bad-header",
    "error",
    "An extra header that cannot be sent",
    why="Headers about the connection belong to the gateway, and a value outside ASCII does not travel.",
    mend="Remove the header, or write its value in plain ASCII.",
    bad="""
    providers:
      targets:
        - id: openai
          headers: {x-team: search, «host»: example.com}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      targets:
        - id: openai
          headers: {x-team: search}
    policies:
      - {name: marked, type: log}
    """,
)
def bad_header(context: Context) -> Iterable[Finding]:
    """Headers that would break the framing."""
    for entry in context.file.entries:
        for name, value in (entry.headers or {}).items():
            place = _header_place(context, entry, name)
            if name in _FRAMING_HEADERS:
                fix = remove_entry(context.document, place, f"remove {name}")
                yield Finding(f"{name} belongs to the gateway", place, key=True, fix=fix)
            elif name not in _SECRET_HEADERS and (not value.isascii() or has_unprintable(value)):
                yield Finding(f"the value of {name} must be plain ASCII", place)


def _header_place(context: Context, entry: TargetEntry, name: str) -> Path:
    """The header as the file spells it."""
    node = context.document.find((*entry.path, "headers"))
    entries = node.entries if isinstance(node, MappingNode) else ()
    written = next((item.key.value for item in entries if item.key.value.lower() == name), name)
    return (*entry.path, "headers", written)
