"""Layered: teams, repeats and what a request may choose."""

import pytest

from serving.errors import InvalidRequest, LimitExceeded
from tests.support.recipes import Ask, Trio, outcomes, run


async def test_a_request_may_choose_team_layers_and_recipe(trio: Trio, ask: Ask) -> None:
    assert (await run(trio, ask(options={"models": ["b", "b", "c"]}), "moa-lite")).text == "a says 3"
    done = await run(trio, ask(options={"models": ["b"], "layers": 3}), "moa-lite")
    assert [entry[2] for entry in outcomes(done)] == ["b", "b", "b", "a"]
    assert (await run(trio, ask(options={"recipe": "vote"}), "moa-lite", "vote")).text == "a says 0"
    with pytest.raises(InvalidRequest, match="'z' is not one of the models"):
        await run(trio, ask(options={"models": ["z"]}), "moa-lite")
    with pytest.raises(InvalidRequest, match=r"Change 'moa\.recipe'"):
        await run(trio, ask(options={"recipe": "none"}), "moa-lite")
    with pytest.raises(LimitExceeded, match="81 calls"):
        await run(trio, ask(options={"models": ["a"] * 5, "layers": 16}), "moa-lite")


async def test_a_mixed_team_with_repeats(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(), "moa-mixed")
    assert [model for _, _, model in outcomes(done)] == ["a", "b", "c", "a", "b", "c", "a"]
    asked = [request for engine in trio.values() for request in engine.requests]
    assert [request.sampling.n for request in asked] == [2, 1, 2, 2]


async def test_a_single_proposer_differs_by_temperature(trio: Trio, ask: Ask) -> None:
    await run(trio, ask(), "moa-single")
    assert len({request.sampling.temperature for request in trio["b"].requests}) == 6
