"""The named schemas of what was spent."""

from __future__ import annotations

from proxy.control.cost_figures import GROUPINGS
from proxy.control.openapi_schema import (
    FLAG,
    MONEY,
    NUMBER,
    TEXT,
    WHOLE,
    Schema,
    listed,
    maybe,
    obj,
    one_of,
    ref,
    said,
)

_MONEY, _NUMBER = maybe(MONEY), maybe(NUMBER)
_SECONDS = said(WHOLE, "Seconds since 1970.")
_MEASURES: dict[str, Schema] = {
    "requests": WHOLE,
    "succeeded": said(WHOLE, "Ended ok."),
    "errors": WHOLE,
    "blocked": WHOLE,
    "priced": said(WHOLE, "With a known cost."),
    "unpriced": said(WHOLE, "Answered, and nobody knows what they cost; in no sum."),
    "spend": said(_MONEY, "Null: no cost is known."),
    "estimated": said(WHOLE, "With a cost of estimated tokens."),
    "estimated_spend": said(MONEY, "The part of spend that rests on estimated tokens."),
    "share": said(_NUMBER, "Of the known sum, 0 to 1; null where groups overlap."),
    "per_request": said(_MONEY, "Over requests with a known cost."),
    "per_1k_tokens": said(_MONEY, "Over input and output tokens."),
    "per_success": said(_MONEY, "Over requests that ended ok."),
    "per_quality": said(_MONEY, "per_request divided by the mean score."),
    "at_least": said(FLAG, "per_1k_tokens and per_success are lower ends: unpriced requests are among them."),
    "input_tokens": WHOLE,
    "output_tokens": WHOLE,
    "cached_tokens": WHOLE,
    "output_per_input": _NUMBER,
    "scored": WHOLE,
    "quality": said(_NUMBER, "Mean score, 0 to 1."),
}
_ALONG = dict.fromkeys(("requests", "priced", "input_tokens", "output_tokens"), listed(WHOLE))
_RANGE = obj({"low": MONEY, "high": MONEY})
_SCORES = obj({"mean": _NUMBER, "scored": WHOLE})

COST: dict[str, Schema] = {
    "Cost": obj(
        {
            "from": said(WHOLE, "Seconds since 1970, a whole minute; a whole hour by user."),
            "to": maybe(WHOLE),
            "window_s": WHOLE,
            "group_by": one_of(*GROUPINGS),
            "complete": said(FLAG, "False while an old store is still being rolled up."),
            "overlap": said(FLAG, "A request may stand in several groups, so they do not add up."),
            "total": obj(_MEASURES),
            "groups": listed(ref("CostGroup")),
            "spend": obj({"step_s": WHOLE, "times": listed(_SECONDS), "values": listed(MONEY), **_ALONG}),
            "unpriced_models": listed(obj({"model": TEXT, "requests": WHOLE})),
            "calendar": ref("CostCalendar"),
        }
    ),
    "CostGroup": obj(
        {
            "group": TEXT,
            "split": said(maybe(TEXT), "Of a variant."),
            **_MEASURES,
            "trend": said(listed(MONEY), "Spend in equal steps, the oldest first."),
        }
    ),
    "CostCalendar": obj(
        {
            "timezone": said(TEXT, "gateway.timezone of the policy."),
            **dict.fromkeys(("month", "next_month", "now"), _SECONDS),
            "first": said(
                maybe(WHOLE), "The first minute of the last 28 days with a request, in seconds since 1970."
            ),
            "month_so_far": _MONEY,
            "today": _MONEY,
            "yesterday": said(_MONEY, "Until the same time of day; null when nothing was recorded by then."),
            "unpriced": said(WHOLE, "Requests of this month that are in no sum."),
            "projection": obj(
                {
                    "basis": said(
                        one_of("too_early", "days", "weeks"),
                        "Mean of the last days, or of the same hours of whole weeks; too_early: less than two days.",
                    ),
                    "days": said(WHOLE, "Of history."),
                    **dict.fromkeys(("low", "expected", "high"), _MONEY),
                }
            ),
        }
    ),
    "Advice": obj(
        {
            "version": said(TEXT, "Hash of the text that the drafts are changes of."),
            "from": _SECONDS,
            "to": _SECONDS,
            "requests": said(WHOLE, "That were looked at."),
            "complete": said(FLAG, "Whether these are all of the window; else the newest."),
            "covered_s": WHOLE,
            "findings": listed(ref("Finding")),
            "took_ms": NUMBER,
        }
    ),
    "Finding": obj(
        {
            "kind": one_of("short", "key", "ending"),
            "model": said(TEXT, "As clients ask for it."),
            "to": TEXT,
            "key": maybe(TEXT),
            "ends": said(maybe(TEXT), "The day its vendor ends the model."),
            "requests": said(WHOLE, "That would go elsewhere."),
            "in_split": said(WHOLE, "Of these, in an experiment now."),
            "unpriced": said(WHOLE, "Of these, in neither sum."),
            "cost": MONEY,
            "would_cost": MONEY,
            "saving": said(
                _RANGE, "Of the requests looked at; low and high without and with estimated tokens."
            ),
            "saving_per_week": said(maybe(_RANGE), "Null with less than a day of traffic."),
            "quality": obj({"now": _SCORES, "then": _SCORES}),
            "verdict": one_of("better", "equal", "worse", "not_yet", "no_data"),
            "policy": said(TEXT, "Name of the policy the draft adds."),
            "text": said(TEXT, "The draft."),
        }
    ),
}
"""By name, as the document has them."""
