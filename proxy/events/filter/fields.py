"""What can be asked of an event. Parser, completion, help and documents are made from this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["text", "variant", "status", "number", "tokens", "duration", "money", "flag", "time", "list", "user", "prefix"]  # fmt: skip
"""How a value is written and compared:

`text` exact or a glob; `variant` a tag, or what stands after its last `-`; `status` a number or a class such as `5xx`;
`tokens` a number that may end in k or M; `duration` a span such as 150ms or 2s (a bare number: milliseconds);
`money` dollars; `flag` true or false; `time` an RFC 3339 time, a date, or a span back from now; `list` one of its
items; `user` the value a client sent, compared by its digest; `prefix` the beginning.
"""
NUMERIC = frozenset({"status", "number", "tokens", "duration", "money", "time"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the language. `column` is both the attribute of Event and the column of the store."""

    name: str
    kind: Kind
    column: str
    doc: str
    example: str
    aliases: tuple[str, ...] = ()
    scale: float = 1.0
    """What one unit of the language is in the column (a dollar: 1e9 nano-dollars; a millisecond: 1000 us)."""
    nullable: bool = True
    values: tuple[str, ...] = ()
    """Values worth proposing, when they are few."""


_DECISIONS = ("allow", "redirect", "warn", "block")
_OUTCOMES = ("ok", "error", "blocked", "client_cancelled", "truncated")
_ENDPOINTS = ("chat", "completions", "messages", "responses", "embeddings", "moderations", "images", "audio")

ALL: tuple[Field, ...] = (
    Field("model", "text", "model", "Model sent upstream.", "model:gpt-4o", nullable=False),
    Field("requested_model", "text", "requested_model", "Model the client asked for.", "requested_model:gpt-4*", nullable=False),
    Field("upstream_model", "text", "upstream_model", "Model as the vendor reported it.", "upstream_model:*-2024-08-06"),
    Field("provider", "text", "provider", "Provider of the last attempt.", "provider:anthropic"),
    Field("target", "text", "target", "Target of the last attempt.", "target:azure-west"),
    Field("endpoint", "text", "endpoint", "Kind of request.", "endpoint:embeddings", nullable=False, values=_ENDPOINTS),
    Field("decision", "text", "decision", "What the policies decided.", "decision:block", nullable=False, values=_DECISIONS),
    Field("status", "status", "status", "HTTP status to the client; 499 when it left.", "status:5xx", nullable=False),
    Field("outcome", "text", "outcome", "How the request ended.", "outcome:truncated", nullable=False, values=_OUTCOMES),
    Field("error", "text", "error", "Short code of the error.", "error:timeout"),
    Field("policy", "list", "policies_triggered", "A policy that changed, marked, limited or assigned it.", "policy:ab-test-models", nullable=False),
    Field("severity", "text", "severity", "Highest severity of the log policies.", "severity:critical"),
    Field("split", "text", "split", "The split that assigned it.", "split:ab-test-models", ("experiment",)),
    Field("variant", "variant", "ab_tag", "The variant it was assigned to: its tag, or the end of it.", "variant:b", ("tag", "ab_tag")),
    Field("phase", "text", "phase", "Rollout phase it was decided in.", "phase:canary"),
    Field("version", "prefix", "config_version", "Hash of the policy version that decided, or its beginning.", "version:3fa9c1e", nullable=False),
    Field("unit", "text", "unit_kind", "What the variant was chosen by.", "unit:random"),
    Field("user", "user", "unit_digest", "The user, when the variant was chosen by it.", "user:u-20917"),
    Field("key", "text", "key", "Name of the client key.", "key:team-search"),
    Field("latency", "duration", "latency_ms", "Headers read to last byte sent.", "latency>2s", ("latency_ms",), nullable=False),
    Field("ttft", "duration", "ttft_ms", "Headers read to first token (streams).", "ttft<=800ms", ("ttft_ms",)),
    Field("overhead", "duration", "overhead_us", "Time spent here before the request went upstream.", "overhead>5ms", scale=1e3),
    Field("cost", "money", "cost_nanos", "Dollars.", "cost>=0.01", scale=1e9),
    Field("input_tokens", "tokens", "input_tokens", "Tokens of the prompt, cached ones included.", "prompt_tokens>8k", ("prompt_tokens",)),
    Field("output_tokens", "tokens", "output_tokens", "Tokens of the answer.", "output_tokens>=1k", ("completion_tokens",)),
    Field("cached_tokens", "tokens", "cached_tokens", "Prompt tokens read from the vendor's cache.", "cached_tokens>0"),
    Field("reasoning_tokens", "tokens", "reasoning_tokens", "Tokens spent on reasoning.", "reasoning_tokens>2k"),
    Field("cost_status", "text", "cost_status", "How the cost is known.", "cost_status:unpriced", nullable=False, values=("priced", "unpriced", "estimated", "none")),
    Field("usage_status", "text", "usage_status", "How the tokens are known.", "usage_status:unknown", nullable=False, values=("reported", "estimated", "unknown", "none")),
    Field("price_source", "text", "price_source", "Whose prices the cost rests on.", "price_source:file"),
    Field("finish", "text", "finish_reason", "Why the model stopped.", "finish:length", ("finish_reason",)),
    Field("stream", "flag", "stream", "Whether the answer was streamed.", "stream:true", nullable=False, values=("true", "false")),
    Field("attempts", "number", "attempts", "Requests sent upstream.", "attempts>1", nullable=False),
    Field("quality", "number", "quality_score", "Quality score.", "quality<0.7", ("quality_score",)),
    Field("time", "time", "timestamp_ms", "Arrival.", "time>=2026-06-11", ("timestamp",), nullable=False),
    Field("trace", "prefix", "trace", "Trace id of the client's traceparent header, or its beginning.", "trace:4bf92f3577b34da6"),
    Field("id", "prefix", "id", "Request id, or its beginning.", "id:01976b2e", ("request_id",), nullable=False),
)  # fmt: skip

FIELDS: Mapping[str, Field] = MappingProxyType(
    {name: field for field in ALL for name in (field.name, *field.aliases)}
)
"""By every name a field has."""
BODY = Field(
    "body",
    "text",
    "(SELECT event_seq FROM event_bodies WHERE event_seq = seq AND gone IS NULL)",
    "What was asked and answered, word for word: has:body only.",
    "has:body",
)
"""Bodies are no column: it can only be asked whether they are kept."""
FREE_TEXT = ("error", "error_message", "ab_tag", "split")
"""Columns a bare word is looked for in, without regard to case."""


def field_json(field: Field) -> dict[str, object]:
    """A field as completion and help need it."""
    return {
        "name": field.name,
        "aliases": list(field.aliases),
        "kind": field.kind,
        "doc": field.doc,
        "example": field.example,
        "values": list(field.values),
    }
