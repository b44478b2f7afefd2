"""Parts of the demo that need no network: text, courses, traffic mix, policy, script."""

from __future__ import annotations

from collections import Counter
from datetime import date
from importlib.resources import files
from random import Random
from statistics import median

import pytest

from ktui.demo.scenario import SPEED, Scenario, Script, Stage, badge
from ktui.demo.traffic import POPULATION, USES, chat_request
from ktui.demo.vendors import ANTHROPIC, OPENAI, VENDORS, ModelProfile, draw_course, weather
from ktui.demo.words import MESSAGE_OVERHEAD, count_tokens, prompt_tokens, prose
from proxy.base.secret import Secret
from proxy.policy.lint import Surroundings, lint
from proxy.policy.plan import compile_plan

URL = "http://127.0.0.1:9"


def demo_policy() -> str:
    text = files("ktui.demo").joinpath("policy.yaml").read_text(encoding="utf-8")
    return text.replace("{openai}", URL).replace("{anthropic}", URL)


@pytest.mark.parametrize("tokens", [1, 2, 17, 400])
def test_prose_has_exactly_the_tokens_asked_for(tokens: int) -> None:
    assert count_tokens(prose(Random(1), tokens)) == tokens


def test_prompt_tokens_count_text_and_messages() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one two three"}, {"type": "image_url"}]},
        {"role": "user"},
    ]
    assert prompt_tokens(messages) == 2 + 3 + 3 * MESSAGE_OVERHEAD


def test_courses_have_the_medians_of_the_profile_and_its_faults() -> None:
    profile = OPENAI.models["gpt-4o"]
    random = Random(3)
    courses = [draw_course(profile, random, None) for _ in range(20_000)]
    assert median(course.ttft_s for course in courses) == pytest.approx(profile.ttft_s, rel=0.02)
    assert median(course.gap_s for course in courses) == pytest.approx(profile.gap_s, rel=0.02)
    assert median(course.tokens for course in courses) == pytest.approx(profile.tokens, rel=0.03)
    faults = Counter(course.fault.status for course in courses if course.fault is not None)
    assert set(faults) == {fault.status for fault in profile.faults}
    for fault in profile.faults:
        assert faults[fault.status] / 20_000 == pytest.approx(fault.rate, abs=0.0015)


def test_a_limit_leaves_one_token_to_know_that_it_was_reached() -> None:
    profile = ModelProfile(0.1, 0.1, 0.001, 0.1, 500, 0.1)
    assert draw_course(profile, Random(1), 10).tokens == 11
    assert 1 <= draw_course(ModelProfile(0.1, 0.1, 0.001, 0.1, 2, 0.1), Random(1), 10).tokens <= 4


def test_weather_stays_within_its_swing_and_differs_between_vendors() -> None:
    values = [weather("openai", second) for second in range(200)]
    assert 0.85 < min(values) < 0.9 and 1.1 < max(values) < 1.15
    assert weather("openai", 10) != weather("anthropic", 10)


def test_traffic_has_the_declared_mix_and_a_stable_population() -> None:
    random = Random(5)
    bodies = [chat_request(random) for _ in range(6_000)]
    assert sum(use.share for use in USES) == pytest.approx(1.0)
    models = Counter(body["model"] for body in bodies)
    assert models["o1-pro"] / 6_000 == pytest.approx(0.015, abs=0.006)
    assert models["gpt-4-turbo"] / 6_000 == pytest.approx(0.03, abs=0.008)
    simple = sum(1 for body in bodies if body.get("max_tokens", 9_999) <= 2_000)
    assert simple / 6_000 == pytest.approx(0.295, abs=0.025)
    assert 0.4 < sum(1 for body in bodies if body.get("stream")) / 6_000 < 0.8
    users = Counter(body["user"] for body in bodies)
    assert 1_500 < len(users) <= POPULATION
    assert users.most_common(1)[0][1] > 3
    again = Random(5)
    assert [chat_request(again) for _ in range(50)] == bodies[:50]


def test_the_policy_lints_without_a_single_remark_and_enforces_everything() -> None:
    surroundings = Surroundings(env={"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x"}, today=date(2027, 1, 1))
    result = lint(demo_policy(), surroundings)
    assert result.diagnostics == ()
    assert result.policy_file is not None
    plan = compile_plan(result.policy_file, "v")
    assert plan.not_enforced == ()
    split = plan.splits[0]
    assert [phase.name for phase in split.phases] == ["canary", "expand", "equal", "promote", "complete"]
    assert not split.off_plan and split.phase == "canary"
    assert split.phases[0].duration_s is not None and split.phases[0].duration_s / SPEED == 36


def test_each_model_the_policy_sends_traffic_to_is_simulated() -> None:
    simulated = {model for vendor in VENDORS for model in vendor.models}
    assert {use.model for use in USES} - simulated == {"o1-pro"}
    assert "claude-sonnet-4-20250514" in ANTHROPIC.models and "gpt-4o-mini" in OPENAI.models


# -- the script


def stage(phase: str | None, *, off_plan: bool = False, following: str | None = "next") -> Stage:
    return Stage("ab", phase, following, 100.0, off_plan)


def test_the_script_promotes_after_the_compressed_hold_and_then_holds_again() -> None:
    script = Script(speed=10)
    assert script.next_phase(stage("canary"), 0.0) is None
    assert script.next_phase(stage("canary"), 9.9) is None
    assert script.next_phase(stage("canary"), 10.0) == "next"
    assert script.next_phase(stage("expand"), 10.5) is None
    assert script.next_phase(stage("expand"), 20.4) is None
    assert script.next_phase(stage("expand"), 20.5) == "next"


def test_weights_changed_by_hand_stop_the_script_until_they_are_back_on_the_plan() -> None:
    script = Script(speed=10)
    script.next_phase(stage("canary"), 0.0)
    assert script.next_phase(stage("canary", off_plan=True), 50.0) is None
    assert script.next_phase(stage("canary"), 60.0) is None
    assert script.next_phase(stage("canary"), 69.9) is None
    assert script.next_phase(stage("canary"), 70.0) == "next"


def test_a_phase_somebody_else_began_is_held_from_then_on() -> None:
    script = Script(speed=10)
    script.next_phase(stage("canary"), 0.0)
    assert script.next_phase(stage("equal"), 50.0) is None
    assert script.next_phase(stage("equal"), 60.0) == "next"


@pytest.mark.parametrize(
    "last",
    [
        stage("complete", following=None),
        Stage("ab", None, None, None, False),
        Stage("ab", "rolled-back", None, None, False),
    ],
)
def test_the_script_rests_where_nothing_follows(last: Stage) -> None:
    script = Script(speed=10)
    assert script.next_phase(last, 0.0) is None
    assert script.next_phase(last, 1e9) is None


def test_a_stage_is_read_from_the_control_apis_split() -> None:
    phases = [{"name": "canary", "duration_s": 60.0}, {"name": "complete", "duration_s": None}]
    split = {"name": "ab", "phase": "canary", "off_plan": False, "phases": phases}
    assert Stage.of(split) == Stage("ab", "canary", "complete", 60.0, False)
    assert Stage.of({**split, "phase": "complete"}) == Stage("ab", "complete", None, None, False)
    assert Stage.of({**split, "phase": None}) == Stage("ab", None, None, None, False)


def test_the_badge_says_how_much_faster_time_passes() -> None:
    assert badge(SPEED) == "demo ×7200"
    assert badge(60) == "demo ×60"


def test_a_scenario_never_shows_its_token() -> None:
    assert "kt-secret" not in repr(vars(Scenario("http://127.0.0.1:1", Secret("kt-secret"))))
