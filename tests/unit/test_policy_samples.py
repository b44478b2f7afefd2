"""Every sample config lints without an error, compiles, and does what it says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from proxy.policy.facts import RequestFacts
from proxy.policy.lint import Surroundings, lint
from proxy.policy.plan import Plan, compile_plan

FOLDER = Path(__file__).parents[2] / "sample_configs"
FILES = sorted(FOLDER.glob("*.yaml"))
ENV = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x", "AZURE_OPENAI_API_KEY": "x"}
FROM_THE_GUIDE = {
    "model-routing.yaml",
    "route-by-use-case.yaml",
    "ab-test-models.yaml",
    "ab-test-phase-2.yaml",
    "gradual-rollout.yaml",
    "deprecation-warn.yaml",
    "deprecation-block.yaml",
    "ml-routing-config.yaml",
    "routing-policy.yaml",
    "quality-scorer.yaml",
    "cost-limit.yaml",
}


def load(name: str) -> Plan:
    result = lint((FOLDER / name).read_text(encoding="utf-8"), Surroundings(ENV, date(2026, 6, 1)))
    assert result.policy_file is not None, result.diagnostics
    return compile_plan(result.policy_file, "v")


def ask(name: str, model: str, **more: object) -> tuple[str, str]:
    request = RequestFacts("chat", model, datetime(2026, 6, 1, tzinfo=UTC), 7, **more)  # type: ignore[arg-type]
    decision = load(name).decide(request)
    return decision.action, decision.model


def test_the_guides_configs_are_all_there() -> None:
    assert {path.name for path in FILES} >= FROM_THE_GUIDE


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_sample_is_clean_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    result = lint(text, Surroundings(ENV, date(2026, 6, 1)))
    assert [problem for problem in result.diagnostics if problem.severity == "error"] == []
    surprising = (
        {problem.code for problem in result.diagnostics}
        - {
            "not-enforced",
            "no-endpoint",
            "serves-nothing",
            "plan-outlasts-model",  # of the model the guide rolls out, which was switched off two weeks after this day
            "max-tokens-absent",
        }
    )
    assert surprising == set()
    compiled = load(path.name)
    assert compiled.chain


@pytest.mark.parametrize(
    ("name", "model", "max_tokens", "expected"),
    [
        ("model-routing.yaml", "gpt-4o", None, ("allow", "gpt-4o")),
        ("model-routing.yaml", "gpt-4-turbo", None, ("block", "gpt-4-turbo")),
        ("route-by-use-case.yaml", "claude-x", 2001, ("redirect", "gpt-4o")),
        ("route-by-use-case.yaml", "claude-x", 2000, ("redirect", "gpt-4o-mini")),
        ("route-by-use-case.yaml", "claude-x", None, ("allow", "claude-x")),
        ("deprecation-warn.yaml", "gpt-4-turbo", None, ("warn", "gpt-4-turbo")),
        ("deprecation-redirect.yaml", "gpt-4-turbo", None, ("redirect", "gpt-4o")),
        ("deprecation-block.yaml", "gpt-4-turbo", None, ("block", "gpt-4-turbo")),
        ("deprecation-block.yaml", "gpt-4o", None, ("allow", "gpt-4o")),
        ("routing-policy.yaml", "o1-pro", None, ("redirect", "gpt-4o-mini")),
        ("routing-policy.yaml", "o1-pro", 4000, ("redirect", "gpt-4o")),
        ("ml-routing-config.yaml", "gpt-4o", 100, ("redirect", "gpt-4o-mini")),
        ("ml-routing-config.yaml", "o1-pro", None, ("block", "o1-pro")),
    ],
)
def test_a_sample_does_what_it_says(
    name: str, model: str, max_tokens: int | None, expected: tuple[str, str]
) -> None:
    assert ask(name, model, max_tokens=max_tokens) == expected


def test_the_second_phase_keeps_the_users_of_the_first() -> None:
    first, second = load("gradual-rollout.yaml"), load("ab-test-phase-2.yaml")
    moved = 0
    for user in range(2000):
        request = RequestFacts("chat", "gpt-4o", datetime(2026, 6, 1, tzinfo=UTC), 0, user=f"user-{user}")
        before, after = first.decide(request).assignment, second.decide(request).assignment
        assert before is not None
        assert after is not None
        assert not (before.tag == "variant-b" and after.tag == "variant-a")
        moved += before.tag != after.tag
    assert 400 < moved < 600


def test_the_local_model_is_reached_by_a_name_of_our_own() -> None:
    compiled = load("local-openai-compatible.yaml")
    assert compiled.virtual_models == ("small",)
    assert ask("local-openai-compatible.yaml", "small", user="u")[1] in ("llama-3.1-8b", "gpt-4o-mini")
