"""The phases as the Rollout screen edits them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ktui.answers import Arm, Phase, Split
from ktui.ladder import BY_HAND, Ghosts, next_rung, request, rungs

PHASES = (
    Phase("canary", {"a": 95.0, "b": 5.0}, duration="3d", line=10),
    Phase("expand", {"a": 70.0, "b": 30.0}, duration="7d", line=11),
    Phase("complete", {"a": 0.0, "b": 100.0}, line=12),
)


def split(
    phase: str | None = "canary", a: float = 95.0, b: float = 5.0, phases: tuple[Phase, ...] = PHASES
) -> Split:
    arms = (Arm("a", "gpt-4o", weight=a, share=a), Arm("b", "claude", weight=b, share=b))
    return Split("ab", phase=phase, arms=arms, phases=phases)


def test_the_live_rung_shows_what_runs_and_the_others_their_plan() -> None:
    canary, expand, complete = rungs(split(a=88.0, b=12.0))
    assert (canary.shares, canary.plan, canary.off_plan) == ({"a": 880, "b": 120}, {"a": 950, "b": 50}, True)
    assert (expand.place, expand.shares) == ("later", {"a": 700, "b": 300})
    assert complete.duration is None
    assert [rung.place for rung in rungs(split("expand"))] == ["done", "now", "later"]


def test_without_a_live_phase_the_first_rung_is_by_hand() -> None:
    only, *planned = rungs(split(phase=None))
    assert (only.name, only.live, only.planned) == (BY_HAND, True, False)
    assert [rung.live for rung in planned] == [False] * 3
    assert rungs(split(phase="rolled-back"))[0].name == "rolled-back"


def test_the_next_rung() -> None:
    assert [
        item.name if item else None
        for item in map(next_rung, (rungs(split(name)) for name in (None, "canary", "complete")))
    ] == [
        "canary",
        "expand",
        None,
    ]


def test_a_draft_becomes_weights_of_the_live_rung_and_a_plan_of_the_others() -> None:
    rows, ghosts = rungs(split()), Ghosts()
    ghosts.move(rows[0], "b", 123)
    ghosts.move(rows[1], "b", 400)
    wanted = request(rows, ghosts)
    assert wanted.weights == {"a": 87.7, "b": 12.3}
    assert wanted.phases == {"expand": {"a": 60.0, "b": 40.0}}


def test_a_draft_that_equals_what_is_there_is_none() -> None:
    rows, ghosts = rungs(split()), Ghosts()
    ghosts.move(rows[0], "b", 60)
    ghosts.move(rows[0], "b", 50)
    assert ghosts.drafts == {}


def test_a_draft_that_came_true_is_forgotten() -> None:
    ghosts = Ghosts()
    ghosts.move(rungs(split())[0], "b", 300)
    ghosts.settle(rungs(split(a=70.0, b=30.0)))
    assert ghosts.drafts == {}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-50, 1_100)), max_size=30),
    st.sets(st.sampled_from("abc"), max_size=2),
)
def test_whatever_is_dragged_the_shares_sum_to_100(moves: list[tuple[str, int]], held: set[str]) -> None:
    arms = tuple(Arm(tag, tag, weight=weight) for tag, weight in (("a", 60.0), ("b", 30.5), ("c", 9.5)))
    (row,) = rungs(Split("abc", arms=arms))
    ghosts = Ghosts(held=held)
    for tag, tenths in moves:
        before = dict(ghosts.shares(row))
        ghosts.move(row, tag, tenths)
        after = ghosts.shares(row)
        assert sum(after.values()) == 1_000
        assert all(value >= 0 for value in after.values())
        assert all(after[name] == before[name] for name in held - {tag})
