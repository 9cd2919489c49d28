"""Decoding, messages to continue, and salts: they reach the agents whose text may be the answer, and no others."""

from dataclasses import replace
from typing import Any

import pytest

from serving.conversation import Message
from serving.decoding import PLAIN_DECODING, Decoding
from serving.errors import EngineFailed, UnsupportedField
from serving.types import GenerateRequest, PromptEnd
from tests.support.recipes import Ask, RecipeSource, Trio, reasons, run, shown

BIAS = Decoding(logit_bias=((5, 10.0),))
WORDS = Decoding(bad_words=("no",), skip_special_tokens=False)
BEGUN = (Message("user", "Why?"), Message("assistant", "Because "))
TEAM: RecipeSource = {"id": "team", "layers": [["b", "c"]], "aggregator": "a"}


def continued(ask: Ask, end: PromptEnd = "continued", **sampling: Any) -> GenerateRequest:
    return replace(ask(**sampling), messages=BEGUN, prompt_end=end)


async def test_decoding_reaches_the_final_agent_alone(trio: Trio, ask: Ask) -> None:
    await run(trio, ask(decoding=BIAS), TEAM)
    found = {name: [one.sampling.decoding for one in engine.requests] for name, engine in trio.items()}
    assert found == {"a": [BIAS], "b": [PLAIN_DECODING], "c": [PLAIN_DECODING]}


async def test_decoding_without_token_ids_reaches_proposals_that_may_be_the_answer(trio: Trio, ask: Ask) -> None:
    await run(trio, ask(decoding=WORDS), "vote")
    assert [one.sampling.decoding for engine in trio.values() for one in engine.requests] == [WORDS] * 3


ONE_MODEL: list[RecipeSource] = [
    {"id": "vote", "strategy": "vote", "proposers": ["a", "a"]},
    {"id": "cascade", "strategy": "cascade", "first": "a", "escalate": "a"},
    {"id": "adaptive", "strategy": "adaptive", "proposers": ["a", "a"], "aggregator": "a"},
    {"id": "auto", "strategy": "auto", "otherwise": "a"},
]
SEVERAL: list[RecipeSource] = [
    "vote",
    "rank",
    "adaptive",
    {"id": "cascade", "strategy": "cascade", "first": "b", "escalate": "a"},
    {"id": "auto", "strategy": "auto", "otherwise": "a", "rules": [{"to": "b", "max_characters": 1}]},
]


@pytest.mark.parametrize("recipe", ONE_MODEL, ids=lambda one: one["id"])
async def test_token_ids_are_those_of_the_one_model_that_answers(trio: Trio, ask: Ask, recipe: RecipeSource) -> None:
    await run(trio, ask(decoding=BIAS), recipe)
    assert {one.sampling.decoding for one in trio["a"].requests} == {BIAS}


@pytest.mark.parametrize("recipe", SEVERAL, ids=lambda one: one if isinstance(one, str) else one["id"])
async def test_token_ids_for_several_models_are_refused_before_any_work(
    trio: Trio, ask: Ask, recipe: RecipeSource
) -> None:
    with pytest.raises(UnsupportedField, match=r"one of 'a', 'b'.* writes the answer") as caught:
        await run(trio, ask(decoding=BIAS), recipe)
    assert caught.value.param == "logit_bias"
    assert all(not engine.requests for engine in trio.values())


async def test_another_model_does_not_take_over_an_answer_with_token_ids(trio: Trio, ask: Ask) -> None:
    trio["a"].error, trio["a"].fail_after = EngineFailed("a", "gone"), 0
    assert "is returned" not in reasons(await run(trio, ask(), TEAM))
    with pytest.raises(EngineFailed, match="gone"):
        await run(trio, ask(decoding=BIAS), TEAM)


@pytest.mark.parametrize("layout", ["paper", "references_last"])
async def test_the_final_agent_continues_the_message_and_proposers_do_not_read_it(
    trio: Trio, ask: Ask, layout: str
) -> None:
    await run(trio, continued(ask), {**TEAM, "layout": layout})  # type: ignore[dict-item]
    [final] = trio["a"].requests
    assert final.prompt_end == "continued"
    assert final.messages[-1] == BEGUN[-1], "behind the references"
    assert "b says" in shown(trio["a"])
    for name in "bc":
        [asked] = trio[name].requests
        assert (asked.prompt_end, asked.messages) == ("answer", BEGUN[:1])


async def test_proposals_that_may_be_the_answer_continue_the_message(trio: Trio, ask: Ask) -> None:
    await run(trio, continued(ask), "vote")
    requests = [one for engine in trio.values() for one in engine.requests]
    assert [(one.prompt_end, one.messages) for one in requests] == [("continued", BEGUN)] * 3


async def test_a_prompt_without_an_opening_is_the_final_agents_alone(trio: Trio, ask: Ask) -> None:
    await run(trio, continued(ask, "message"), TEAM)
    ends = {name: {one.prompt_end for one in engine.requests} for name, engine in trio.items()}
    assert ends == {"a": {"message"}, "b": {"answer"}, "c": {"answer"}}
    assert trio["b"].requests[0].messages == BEGUN


@pytest.mark.parametrize(
    ("end", "field"), [("continued", "continue_final_message"), ("message", "add_generation_prompt")]
)
async def test_a_recipe_that_revises_its_answer_cannot_continue_one(
    trio: Trio, ask: Ask, end: PromptEnd, field: str
) -> None:
    with pytest.raises(UnsupportedField, match=r"'debate' does not support it \(strategy 'debate'\)") as caught:
        await run(trio, continued(ask, end), "debate")
    assert caught.value.param == field


async def test_no_proposal_stands_in_for_the_rest_of_a_message(trio: Trio, ask: Ask) -> None:
    trio["a"].error, trio["a"].fail_after = EngineFailed("a", "gone"), 0
    alone: RecipeSource = {**TEAM, "fallbacks": []}  # type: ignore[dict-item]
    done = await run(trio, ask(), alone)
    assert done.text == "b says 0"
    for asked in (continued(ask), ask(decoding=WORDS)):
        with pytest.raises(EngineFailed, match="gone"):
            await run(trio, asked, alone)


async def test_a_salt_holds_for_all_agents_and_their_prefills(trio: Trio, ask: Ask) -> None:
    await run(trio, replace(ask(), cache_salt="s"), {**TEAM, "prefill": "on_complete"})  # type: ignore[dict-item]
    assert {one.cache_salt for engine in trio.values() for one in engine.requests} == {"s"}
    assert {one.cache_salt for engine in trio.values() for one, _ in engine.prefills} <= {"s"}


def test_parameters_that_are_set_have_names() -> None:
    assert PLAIN_DECODING.fields == {}
    assert WORDS.fields == {"bad_words": ("no",), "skip_special_tokens": False}
    assert (PLAIN_DECODING.token_id_field, BIAS.token_id_field) == (None, "logit_bias")
    assert Decoding(stop_token_ids=(1,)).token_id_field == "stop_token_ids"
