"""What lets a list of events be found without looking at all of them: indexes, and two small side tables.

Every index ends in the rowid, which is seq: the rows of one value come out newest first without sorting.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

BLOCK_BITS = 12
"""2 ** this many consecutive seqs share one row of `events_blocks`."""

USER_EXPRESSION = "json_extract(facts, '$.units.user')"
"""Digest of the user, also where the variant was chosen by something else."""

# Columns that are mostly empty have an index over the rest only.
INDEXES: Mapping[str, str] = MappingProxyType(
    {
        "model": "events_model",
        "ab_tag": "events_tag",
        "decision": "events_decision",
        "status": "events_status",
        "error": "events_error",
        "key": "events_key",
        "unit_digest": "events_unit",
        "config_version": "events_version",
        "provider": "events_provider",
        USER_EXPRESSION: "events_user",
    }
)
"""Column or expression -> its index."""
NEVER_NULL = frozenset({"model", "decision", "status", "config_version"})

_BLOCKS_OF = (
    "INSERT INTO events_blocks (block, first_ms, last_ms) "
    f"SELECT seq >> {BLOCK_BITS}, min(timestamp_ms), max(timestamp_ms) FROM events "
    f"{{where}} GROUP BY seq >> {BLOCK_BITS}"
)

SCHEMA = (
    "CREATE INDEX events_decision ON events (decision)",
    "CREATE INDEX events_status ON events (status)",
    "CREATE INDEX events_version ON events (config_version)",
    "CREATE INDEX events_error ON events (error) WHERE error IS NOT NULL",
    "CREATE INDEX events_key ON events (key) WHERE key IS NOT NULL",
    "CREATE INDEX events_unit ON events (unit_digest) WHERE unit_digest IS NOT NULL",
    "CREATE INDEX events_provider ON events (provider) WHERE provider IS NOT NULL",
    f"CREATE INDEX events_user ON events ({USER_EXPRESSION}) WHERE {USER_EXPRESSION} IS NOT NULL",
    "CREATE TABLE events_policies (policy TEXT NOT NULL, event_seq INTEGER NOT NULL, "
    "PRIMARY KEY (policy, event_seq)) WITHOUT ROWID",
    "INSERT INTO events_policies SELECT DISTINCT value, seq FROM events, json_each(policies_triggered) "
    "WHERE policies_triggered <> '[]'",
    "CREATE TRIGGER events_policies_new AFTER INSERT ON events WHEN new.policies_triggered <> '[]' BEGIN "
    "INSERT INTO events_policies SELECT DISTINCT value, new.seq FROM json_each(new.policies_triggered); END",
    "CREATE TRIGGER events_policies_gone AFTER DELETE ON events WHEN old.policies_triggered <> '[]' BEGIN "
    "DELETE FROM events_policies WHERE event_seq = old.seq "
    "AND policy IN (SELECT value FROM json_each(old.policies_triggered)); END",
    # First and last arrival among runs of consecutive seqs: a window of time becomes a range of seqs without
    # looking at what lies in it, although events are stored when they end and not when they begin.
    "CREATE TABLE events_blocks (block INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL)",
    _BLOCKS_OF.format(where=""),
)
"""Statements that add all of it to a store that has events."""

LEANER = (
    # The writer adds these rows itself: the trigger cost as much as the rest of an insert.
    "DROP TRIGGER events_policies_new",
    # Most often the variant was chosen by the user, whose digest `events_unit` has then.
    "DROP INDEX events_user",
    f"CREATE INDEX events_user ON events ({USER_EXPRESSION}) "
    f"WHERE {USER_EXPRESSION} IS NOT NULL AND {USER_EXPRESSION} IS NOT unit_digest",
)
"""Statements that make inserting cheaper in a store that has all of it."""
ONLY_WHERE: Mapping[str, str] = MappingProxyType(
    {USER_EXPRESSION: f" AND {USER_EXPRESSION} IS NOT NULL AND {USER_EXPRESSION} IS NOT unit_digest"}
)
"""What a search by an expression must say for its index to be used; the rest is found by another index."""
NEW_POLICIES = "INSERT OR IGNORE INTO events_policies (policy, event_seq) VALUES (?, ?)"

SCAN = "events_scan"
_SCANNED = (
    "timestamp_ms", "model", "decision", "status", "outcome", "latency_ms", "ttft_ms", "overhead_us", "cost_nanos",
    "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "quality_score", "attempts", "stream",
    "cost_status", "usage_status", "endpoint", "provider", "target", "key", "split", "ab_tag", "phase", "unit_kind",
    "severity", "finish_reason", "price_source", "error", "error_message", "requested_model", "upstream_model",
    "request_metadata",
)  # fmt: skip
NARROW = (f"CREATE INDEX {SCAN} ON events (seq, {', '.join(_SCANNED)})",)
"""Statements that add what is looked through when no index by value helps: the short columns alone, in order of seq.

A row of it has a sixth of the bytes of an event, and events are only opened for what is not in it.
"""

TRACED = "CREATE INDEX events_trace ON events (trace) WHERE trace IS NOT NULL"
"""The statement that lets the requests of one trace be found."""

UPDATE_BLOCKS = (
    _BLOCKS_OF.format(where="WHERE seq > ?")
    + " ON CONFLICT (block) DO UPDATE SET first_ms = min(first_ms, excluded.first_ms), "
    "last_ms = max(last_ms, excluded.last_ms)"
)
"""After rows beyond a seq were inserted, in the same transaction."""
FORGET_BLOCKS = (
    f"DELETE FROM events_blocks WHERE block < (SELECT coalesce(min(seq), 0) >> {BLOCK_BITS} FROM events)"
)
"""After rows were deleted."""
BLOCKS_BETWEEN = "SELECT min(block), max(block) FROM events_blocks WHERE last_ms >= ? AND first_ms < ?"
