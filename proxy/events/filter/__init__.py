"""The language that asks for events: one for the screen, `kt events`, the API and alerts.

`parse` makes an expression of a text, `to_sql` a condition for the store, `matcher` a test of one event; the
last two agree on every event.
"""

from __future__ import annotations

from proxy.events.filter.expression import Expression
from proxy.events.filter.fields import FIELDS, Field
from proxy.events.filter.lexer import FilterError
from proxy.events.filter.match import matcher
from proxy.events.filter.parser import parse
from proxy.events.filter.sql import bounds, to_sql

__all__ = ["FIELDS", "Expression", "Field", "FilterError", "bounds", "matcher", "parse", "to_sql"]
