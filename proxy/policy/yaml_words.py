"""What a YAML parser complains of, in the words of who wrote the file."""

from __future__ import annotations

import re

import yaml

from proxy.policy.document import shown

_CHARACTER = re.compile(r"found character '(.+)' that cannot start any token")
_NO_VALUE = re.compile(r"expected the node content, but found '(.+)'")
_ESCAPE = re.compile(r"found unknown escape character '(.+)'")


def plain_words(error: yaml.MarkedYAMLError) -> str:
    """One sentence: what is wrong, and how to mend it."""
    problem, context = error.problem or "", error.context or ""
    opened = f" on line {error.context_mark.line + 1}" if error.context_mark is not None else ""
    for words, sentence in _SENTENCES:
        if words in problem and (words != "expected <block end>" or "flow" not in context):
            return sentence.format(opened=opened)
    if "end of stream" in problem and "quoted scalar" in context:
        return f"the quote opened{opened} is not closed"
    missing = _NO_VALUE.search(problem)
    if missing is not None:
        return _no_value(missing.group(1))
    for bracket, name in (("]", "list"), ("}", "mapping")):
        if f"'{bracket}'" in problem:
            opening = "[" if bracket == "]" else "{"
            return f"the {name} opened with {opening}{opened} goes wrong here: write , between its items or {bracket} at its end"
    character = _CHARACTER.search(problem)
    if character is not None:
        return _bad_start(character.group(1))
    escape = _ESCAPE.search(problem)
    if escape is not None:
        return f"\\{shown(escape.group(1), 8)} is no escape inside double quotes; use single quotes, or \\\\ for a backslash"
    if "expected alphabetic or numeric character" in problem:
        return "* and & begin an alias or anchor, which a policy file does not have; quote the text"
    return (
        f"{shown(context, 80)}: {shown(problem, 160)}" if context else shown(problem or "not readable", 160)
    )


_SENTENCES = (
    ("expected <block end>", "this line is indented unlike the others of the list or mapping that begins{opened}; line it up with them"),
    ("expected '<document start>'", "this line stands outside of what comes before; check its indentation"),
    ("mapping values are not allowed", "a colon with a space behind it is not allowed here; quote the text, or line the key up with the others"),
    ("could not find expected ':'", "this line is neither a key with its colon nor a list item; write key: value, or mend the line before it"),
    ("sequence entries are not allowed", "a list item cannot begin here; put the - on a line of its own below its key"),
    ("found a tab character", "a tab cannot indent YAML; use spaces"),
    ("expected chomping or indentation indicators", "| and > begin a text of several lines; quote the value that begins with one"),
    ("expected indentation indicator", "| and > begin a text of several lines; quote the value that begins with one"),
    ("mapping keys are not allowed", "a ? begins a key here; quote the text"),
    ("expected a comment or a line break", "behind | or > nothing may follow on the same line; begin the text on the next one"),
)  # fmt: skip


def _no_value(found: str) -> str:
    if found == "<stream end>":
        return "the file ends before a list opened with [ or a mapping opened with { is closed"
    if found in ("]", "}"):
        return f"{found} closes what was not opened with {'[' if found == ']' else '{'}; write a value before it, or mend the bracket"
    if found.startswith("<"):
        return "a value is missing here"
    return f"a value is missing before {shown(found, 8)}; write it, or quote the text that begins with {shown(found, 8)}"


def _bad_start(character: str) -> str:
    if character in ("\\t", "\t"):
        return "a tab cannot indent YAML; use spaces"
    return f"a value cannot begin with {shown(character, 8)}; quote it"
