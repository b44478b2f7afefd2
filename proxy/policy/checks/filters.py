"""The lists of a filter, each by itself."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import append_item, remove_item
from proxy.policy.conditions import Matcher
from proxy.policy.document import shown
from proxy.policy.kinds.model_filter import ModelFilter


@check(
    "allowed-and-blocked",
    "warning",
    "A model is allowed and blocked",
    why="Blocked wins, so the allowance does nothing.",
    mend="Take the model out of one of the lists.",
    bad="""
    policies:
      - name: approved
        type: model_filter
        allowed_models: [gpt-4o, «gpt-4-turbo»]
        blocked_models: ["gpt-4-*"]
    """,
    good="""
    policies:
      - name: approved
        type: model_filter
        allowed_models: [gpt-4o]
        blocked_models: ["gpt-4-*"]
    """,
)
def allowed_and_blocked(context: Context) -> Iterable[Finding]:
    """A model that is both allowed and blocked is blocked."""
    for policy in _filters(context):
        blocked = Matcher(policy.blocked_models or ())
        for index, model in enumerate(policy.allowed_models or ()):
            if blocked(model):
                place = context.item(policy, "allowed_models", index)
                fix = remove_item(context.document, place, "remove it from allowed_models")
                yield Finding(f"{shown(model)} is allowed and blocked; blocked wins", place, fix=fix)


@check(
    "preferred-refused",
    "warning",
    "A filter redirects to a model it refuses itself",
    why="The redirect is not filtered again, so the model is served all the same: the lists and the redirect disagree.",
    mend="Allow the preferred model, or prefer another one.",
    bad="""
    policies:
      - name: approved
        type: model_filter
        allowed_models: [gpt-4o]
        preferred_model: «gpt-4o-mini»
    """,
    good="""
    policies:
      - name: approved
        type: model_filter
        allowed_models: [gpt-4o, gpt-4o-mini]
        preferred_model: gpt-4o-mini
    """,
)
def preferred_refused(context: Context) -> Iterable[Finding]:
    """A redirect to a model the same policy refuses."""
    for policy in _filters(context):
        if policy.preferred_model is not None and policy.refuses(policy.preferred_model):
            message = f"{shown(policy.preferred_model)} is refused by the lists of this policy itself"
            fix = None
            if not Matcher(policy.blocked_models or ())(policy.preferred_model):
                title = f"add {shown(policy.preferred_model)} to allowed_models"
                place = (*policy.path, "allowed_models")
                fix = append_item(context.document, place, policy.preferred_model, title)
            yield Finding(message, (*policy.path, "preferred_model"), fix=fix)


def _filters(context: Context) -> Iterable[ModelFilter]:
    return (policy for policy in context.file.policies if isinstance(policy, ModelFilter))
