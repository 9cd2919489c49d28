"""Cascade: scores, thresholds and what the escalation reads."""

import pytest

from serving.errors import ConfigError, EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.recipes import TEAM, Ask, Trio, outcomes, run


async def test_cascade_stays_with_a_sure_first_answer(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(), "cascade", "moa-lite")
    assert done.text == "b says 0"
    assert outcomes(done) == [(1, "first", "b")]


@pytest.mark.parametrize("keep", [True, False])
async def test_cascade_escalates_below_the_threshold(trio: Trio, ask: Ask, keep: bool) -> None:
    trio["b"].logprob = -1.0
    done = await run(trio, ask(), {"preset": "cascade", "keep_first": keep}, "moa-lite")
    assert done.text == f"a says {3 + keep}"
    if keep:
        assert "1. b says 0" in trio["a"].requests[-1].messages[0].content


@pytest.mark.parametrize("otherwise", ["moa-lite", "c"])
async def test_a_first_answer_is_kept_through_two_hand_overs(trio: Trio, ask: Ask, otherwise: str) -> None:
    trio["a"].logprob = trio["b"].logprob = -5.0
    cascade = {"id": "careful", "strategy": "cascade", "first": "b", "escalate": "auto"}
    auto = {"id": "auto", "strategy": "auto", "otherwise": otherwise}
    await run(trio, ask(), cascade, auto, "moa-lite")
    final = trio["c" if otherwise == "c" else "a"].requests[-1]
    assert "1. b says 0" in final.messages[0].content


async def test_cascade_by_a_judges_grade(trio: Trio, ask: Ask) -> None:
    grades = {"preset": "cascade", "score": "judge", "judge": "c", "threshold": 0.8}
    trio["c"].answer = "9"
    assert (await run(trio, ask(), grades, "moa-lite")).text == "b says 0"
    trio["c"].answer = "3/10"
    assert (await run(trio, ask(), grades, "moa-lite")).text.startswith("a says")


async def test_a_failing_first_model_escalates(trio: Trio, ask: Ask) -> None:
    trio["b"].error = EngineFailed("b", "gone")
    done = await run(trio, ask(), "cascade", "moa-lite")
    assert done.text == "a says 2"


def test_cascade_needs_logprobs_at_start(trio: Trio) -> None:
    trio["b"].unsupported = frozenset({"logprobs"})
    with pytest.raises(ConfigError, match="requires logprobs of 'b'"):
        Orchestrator(trio, load_recipes(["cascade", "moa-lite"], TEAM))
