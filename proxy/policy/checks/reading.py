"""Errors that are found while the text is read (document, convert, schema): what they mean, with examples."""

from __future__ import annotations

from proxy.policy.check import told_by_reader

_LOG = """policies:
      - {name: marked, type: log}
    """
"""Put behind an example that is not about policies."""
_MARKED = """
policies:
  - {name: marked, type: log}
"""

SYNTAX = told_by_reader(
    "syntax",
    "The text is not YAML",
    why="The place is where reading stopped; the slip often stands just before it. When it lies within one policy or "
    "target, the others are checked all the same.",
    mend="Mend the line, or quote the value.",
    bad="""
    policies:
      - name: marked
        type: log
        description: see«:» below
    """,
    good="""
    policies:
      - name: marked
        type: log
        description: "see: below"
    """,
)

EMPTY = told_by_reader(
    "empty",
    "The file says nothing",
    why="An empty file is more likely lost than meant; it is never applied.",
    mend="Write at least `policies: []`.",
    bad="«»# only words\n",
    good=_MARKED,
)

TOO_LARGE = told_by_reader(
    "too-large",
    "The file is larger than 256 KiB, or has more than 20,000 lines and items",
    why="No useful policy is; reading it would take time from traffic.",
    mend="Remove what is not policy.",
    bad="",
    good=_MARKED,
)

TOO_DEEP = told_by_reader(
    "too-deep",
    "Nested more than 32 levels deep",
    why="A useful policy has 8 levels; deeper text only costs time.",
    mend="Write the values flat.",
    bad="",
    good=_MARKED,
)

CONTROL_CHARACTER = told_by_reader(
    "control-character",
    "An invisible or control character",
    why="It would make two different names look alike, or act on the terminal that shows them.",
    mend="Remove the character.",
    bad="""
    policies:
      - {name: «"in\\u200bvisible"», type: log}
    """,
    good="""
    policies:
      - {name: visible, type: log}
    """,
)

MULTIPLE_DOCUMENTS = told_by_reader(
    "multiple-documents",
    "A second document starts",
    why="A policy file is one document; what stands behind `---` would be ignored.",
    mend="Remove the line.",
    bad="""
    policies:
      - {name: marked, type: log}
    «---»
    policies: []
    """,
    good=_MARKED,
)

ALIAS = told_by_reader(
    "alias",
    "A YAML alias",
    why="What stands in the file is what is meant: no value is defined elsewhere. Aliases can also multiply without end.",
    mend="Write the value again.",
    bad="""
    policies:
      - {name: marked, type: log, severity: «*loud»}
    """,
    good=_MARKED,
)

ANCHOR = told_by_reader(
    "anchor",
    "A YAML anchor",
    why="Aliases are not allowed, so an anchor has no use.",
    mend="Remove `&name`.",
    bad="""
    policies:
      - {name: marked, type: log, severity: «&loud warn»}
    """,
    good="""
    policies:
      - {name: marked, type: log, severity: warn}
    """,
)

TAG = told_by_reader(
    "tag",
    "A YAML tag",
    why="Types come from the schema of the file; tags could ask for objects of the program.",
    mend="Remove `!...`.",
    bad="""
    policies:
      - {name: marked, type: log, severity: «!!str warn»}
    """,
    good="""
    policies:
      - {name: marked, type: log, severity: warn}
    """,
)

MERGE_KEY = told_by_reader(
    "merge-key",
    "A YAML merge key",
    why="What stands in the file is what is meant: no key comes from elsewhere.",
    mend="Write the keys again.",
    bad="""
    policies:
      - {name: marked, type: log, «<<»: {severity: warn}}
    """,
    good="""
    policies:
      - {name: marked, type: log, severity: warn}
    """,
)

KEY_NOT_TEXT = told_by_reader(
    "key-not-text",
    "A key that is a list or a mapping",
    why="Keys are words.",
    mend="Write a word. A value in braces after `-` or `:` often wants quotes.",
    bad="""
    policies:
      - {name: marked, type: log}
    ? «[»a, b]
    : 1
    """,
    good=_MARKED,
)

DUPLICATE_KEY = told_by_reader(
    "duplicate-key",
    "A key stands twice in one mapping",
    why="YAML readers disagree which one counts; most drop one in silence.",
    mend="Remove one of them.",
    bad="""
    policies:
      - name: marked
        type: log
        «type»: model_filter
    """,
    good="""
    policies:
      - name: marked
        type: log
    """,
)

UNKNOWN_KEY = told_by_reader(
    "unknown-key",
    "A key nobody reads",
    why="A misspelled key would be ignored in silence, and with it what it was meant to do.",
    mend="Write the key that was meant; docs/policy.md lists them.",
    bad="""
    policies:
      - {name: marked, type: log, «severty»: warn}
    """,
    good="""
    policies:
      - {name: marked, type: log, severity: warn}
    """,
)

UNKNOWN_TYPE = told_by_reader(
    "unknown-type",
    "A policy type that does not exist",
    why="Nobody knows what the policy should do.",
    mend="Write one of the types in docs/policy.md.",
    bad="""
    policies:
      - {name: marked, type: «logg»}
    """,
    good=_MARKED,
)

UNKNOWN_PROVIDER = told_by_reader(
    "unknown-provider",
    "The provider of a target cannot be told",
    why="It is inferred from the id (`openai-eu`, `anthropic`, `azure-...`) or said by `provider`; any other id needs a "
    "`base_url` and is then openai-compatible.",
    mend="Write `provider`, or `base_url` and `models`.",
    bad="""
    providers:
      targets:
        - {id: «mine»}
    """
    + _LOG,
    good="""
    providers:
      targets:
        - {id: mine, provider: openai}
    """
    + _LOG,
)

MISSING_KEY = told_by_reader(
    "missing-key",
    "A required key is missing",
    why="There is no safe guess. A missing weight, for one, is read as 1, as 0 or as an equal share elsewhere.",
    mend="Write the key.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95}
          - {«model»: gpt-4o-mini}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95}
          - {model: gpt-4o-mini, weight: 5}
    """,
)

EMPTY_VALUE = told_by_reader(
    "empty-value",
    "A key has no value",
    why="An empty list of allowed models could mean none or all.",
    mend="Give it a value, or remove the key.",
    bad="""
    policies:
      - name: approved
        type: model_filter
        «allowed_models»:
    """,
    good="""
    policies:
      - name: approved
        type: model_filter
        allowed_models: [gpt-4o]
    """,
)

EMPTY_LIST = told_by_reader(
    "empty-list",
    "A list needs at least one item",
    why="Empty, it would mean everything or nothing.",
    mend="Add an item, or remove the key.",
    bad="""
    policies:
      - {name: approved, type: model_filter, «allowed_models»: []}
    """,
    good="""
    policies:
      - {name: approved, type: model_filter, allowed_models: [gpt-4o]}
    """,
)

WRONG_TYPE = told_by_reader(
    "wrong-type",
    "A value of the wrong type",
    why="Values are typed by the key they stand at, never guessed: `yes` is no truth value and `1e3` no number here.",
    mend="Write the type the message asks for.",
    bad="""
    policies:
      - {name: marked, type: log, enabled: «yes»}
    """,
    good="""
    policies:
      - {name: marked, type: log, enabled: true}
    """,
)

OUT_OF_RANGE = told_by_reader(
    "out-of-range",
    "A number out of its range",
    why="A negative weight or a score above 1 has no meaning.",
    mend="Write a value within the bounds the message names.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 105}
          - {model: gpt-4o-mini, weight: «-5»}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95}
          - {model: gpt-4o-mini, weight: 5}
    """,
)

BAD_VALUE = told_by_reader(
    "bad-value",
    "A value that is not one of those possible",
    why="It is outside its enumeration, or not of the form its key needs: a duration such as `3d`, a date, a name.",
    mend="Write one of the values, or the form, that the message names.",
    bad="""
    policies:
      - {name: marked, type: log, severity: «warning»}
    """,
    good="""
    policies:
      - {name: marked, type: log, severity: warn}
    """,
)
