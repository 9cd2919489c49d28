"""Usage of the call that wrote the answer, for each way in which a strategy comes to its answer."""

from dataclasses import replace
from typing import Any

import pytest

from serving.conversation import Message, Tool, ToolCall
from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import AgentTrace, Completion, Delta, GenerateRequest
from serving.usage import TokenUsage
from tests.support.recipes import Ask, Trio, fails_when, run

LOOK = Tool("look")
CALL = ToolCall("c1", "look", "{}")


def writer(done: Completion) -> AgentTrace:
    """The only agent of the trace whose tokens are those of the answer."""
    assert done.report is not None
    [found] = [agent for agent in done.report.agents if agent.usage == done.report.answer_usage]
    return found


def team_of(done: Completion) -> TokenUsage:
    """Sum over the agents of the trace whose tokens are known."""
    assert done.report is not None
    known = [agent.usage for agent in done.report.agents if agent.usage.completion_tokens is not None]
    return sum(known, TokenUsage())


@pytest.fixture
def trio(trio: Trio) -> Trio:
    """Answers of different lengths, so that no two calls have the same tokens."""
    trio["a"].answer, trio["b"].answer, trio["c"].answer = "one", "one two", "one two three"
    return trio


@pytest.mark.parametrize(
    ("recipe", "layer", "role", "model"),
    [
        ("moa-lite", 2, "aggregator", "a"),
        ({"preset": "moa", "aggregator": {"model": "a", "system": "Be brief."}}, 3, "aggregator", "a"),
        ("self-moa", 2, "aggregator", "a"),
        ({"preset": "blend", "top": 2}, 3, "aggregator", "a"),
        ({"preset": "plan", "id": "plan"}, 3, "synthesizer", "a"),
        ({"id": "v", "strategy": "vote", "proposers": ["c", "b"]}, 1, "proposer", "c"),
        ({"id": "r", "strategy": "rank", "proposers": ["a", "b"], "judge": "c"}, 1, "proposer", "a"),
        ({"preset": "debate", "rounds": 1}, 1, "solver", "b"),
    ],
)
async def test_the_answer_s_usage_is_that_of_the_agent_that_wrote_it(
    trio: Trio, ask: Ask, recipe: Any, layer: int, role: str, model: str
) -> None:
    done = await run(trio, ask(), recipe)
    found = writer(done)
    assert (found.layer, found.role, found.model) == (layer, role, model)
    assert found.text == done.text
    assert done.report is not None
    assert done.report.usage == done.usage == team_of(done)
    assert (done.usage.total_tokens or 0) > (found.usage.total_tokens or 0) or len(done.report.agents) == 1


async def test_prompt_tokens_of_the_answer_include_the_references(trio: Trio, ask: Ask) -> None:
    alone = await complete("a", trio["a"], ask())
    done = await run(trio, ask(), "moa-lite")
    assert done.report is not None
    assert done.report.answer_usage is not None
    assert (done.report.answer_usage.prompt_tokens or 0) > (alone.usage.prompt_tokens or 0) + 6  # six words proposed


async def test_an_agreement_is_written_by_the_first_of_the_majority(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer = ScriptedAnswer("yes", "a thought"), ScriptedAnswer("yes")
    done = await run(trio, ask(), {"preset": "adaptive", "proposers": ["a", "b", "c"]})
    assert done.text == "yes"
    assert writer(done).model == "a"
    assert done.report is not None
    assert done.report.answer_usage == TokenUsage(5, 3, 0, 2)


async def test_a_sure_first_answer_of_a_cascade_is_the_whole_usage(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(), "cascade", "moa-lite")
    assert done.report is not None
    assert (writer(done).role, done.report.answer_usage) == ("first", done.usage)


async def test_an_escalation_is_written_by_the_recipe_that_it_was_handed_to(trio: Trio, ask: Ask) -> None:
    trio["b"].logprob = -2.0
    done = await run(trio, ask(), "cascade", "moa-lite")
    assert (writer(done).role, writer(done).model) == ("aggregator", "a")


async def test_a_solver_whose_answer_the_critic_accepts_wrote_it(trio: Trio, ask: Ask) -> None:
    trio["c"].answer = "ACCEPT, it is fine"
    done = await run(trio, ask(), "debate")
    assert (writer(done).role, done.text) == ("solver", "one two")


async def test_a_fallback_wrote_the_answer_and_the_failed_aggregator_did_not(trio: Trio, ask: Ask) -> None:
    fails_when(trio["a"], shown="1. one")  # with references only
    done = await run(trio, ask(), "moa-lite")
    assert done.report is not None
    assert done.report.degraded
    assert (writer(done).role, writer(done).model, writer(done).agent) == ("aggregator", "b", 1)


async def test_a_proposal_that_replaces_the_aggregation_is_its_proposer_s(trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        fails_when(engine, shown="1. one")
    done = await run(trio, ask(), "moa-lite")
    assert done.report is not None
    assert done.report.degraded
    assert (writer(done).layer, writer(done).model, done.text) == (1, "a", "one")


async def test_one_call_with_several_samples_counts_with_all_of_them(trio: Trio, ask: Ask) -> None:
    recipe = {"id": "v", "strategy": "vote", "proposers": ["b", "b", "b"]}
    done = await run(trio, ask(temperature=0.7), recipe)
    assert len(trio["b"].requests) == 1
    assert done.report is not None
    assert done.report.answer_usage == done.usage == TokenUsage(5, 3 * 2, 0, 0)


async def test_agreed_tool_calls_are_the_first_winning_draft_s(trio: Trio, ask: Ask) -> None:
    for name, engine in trio.items():
        engine.tools = True
        engine.answer = ScriptedAnswer("", "thoughts " * (1 + "abc".index(name)), (CALL,))
    trio["a"].answer = "no call"
    done = await run(trio, replace(ask(), tools=(LOOK,)), {"preset": "moa-lite", "tools": "vote"})
    assert done.choices[0].tool_calls
    assert (writer(done).model, writer(done).layer) == ("b", 1)


async def test_a_proposal_kept_from_an_earlier_request_has_no_call_here(trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.tools = True
        engine.answer = ScriptedAnswer("one two", "", (CALL,))
    orchestrator = Orchestrator(trio, load_recipes([{"id": "t", "layers": [["b", "c"]], "aggregator": "a"}]))
    asked = replace(ask(), tools=(LOOK,))
    first = await complete("t", orchestrator.engines["t"], asked)
    assert first.choices[0].tool_calls
    turn = (*asked.messages, Message("assistant", "", tool_calls=(CALL,)), Message("tool", "it", tool_call_id="c1"))
    for engine in trio.values():
        fails_when(engine, shown="1. one two")
    done = await complete("t", orchestrator.engines["t"], replace(asked, messages=turn))
    assert done.text == "one two"
    assert done.report is not None
    assert done.report.degraded
    assert {agent.role for agent in done.report.agents} == {"aggregator"}  # the references were reused
    assert done.report.answer_usage == done.usage


async def test_an_answer_without_a_count_is_unknown_and_the_sum_is_not(trio: Trio, ask: Ask) -> None:
    async def uncounted(request: GenerateRequest, stream: Any) -> Any:
        async for delta in stream:
            lost = delta.usage is not None and any("1. " in message.content for message in request.messages)
            yield replace(delta, usage=TokenUsage(None, None, None, None)) if lost else delta

    trio["a"].intercept = uncounted
    done = await run(trio, ask(), "moa-lite")
    assert done.report is not None
    assert done.report.answer_usage == TokenUsage(None, None, None, None)
    assert (done.report.usage.completion_tokens, done.report.degraded) == (6, False)


async def test_a_text_of_the_recipe_itself_costs_what_the_team_did(trio: Trio, ask: Ask) -> None:
    recipe = {"id": "s", "strategy": "tests.support.saying:Saying", "model": "b"}
    done = await run(trio, ask(), recipe)
    assert done.report is not None
    assert (done.text, done.report.answer_usage) == ("It is: one two", team_of(done))


def running(deltas: list[Delta]) -> list[int | None]:
    return [delta.running_usage.completion_tokens for delta in deltas if delta.running_usage is not None]


async def test_usage_so_far_is_that_of_the_final_agent_alone(trio: Trio, ask: Ask) -> None:
    trio["a"].answer = "one two three"
    engine = Orchestrator(trio, load_recipes([{"id": "t", "layers": [["b", "c"]], "aggregator": "a"}])).engines["t"]
    deltas = [delta async for delta in engine.generate(replace(ask(), running_usage="answer"))]
    assert running(deltas) == [1, 2, 3]
    assert deltas[-1].report is not None
    assert deltas[-1].report.answer_usage is not None
    assert deltas[-1].report.answer_usage.completion_tokens == 3
    assert [request.running_usage for request in trio["b"].requests] == [None]  # nobody counts a proposal's pieces


async def test_usage_so_far_of_the_team_has_the_proposals(trio: Trio, ask: Ask) -> None:
    trio["a"].answer = "one two three"
    engine = Orchestrator(trio, load_recipes([{"id": "t", "layers": [["b", "c"]], "aggregator": "a"}])).engines["t"]
    deltas = [delta async for delta in engine.generate(replace(ask(), running_usage="team"))]
    assert running(deltas) == [2 + 3 + 1, 2 + 3 + 2, 2 + 3 + 3]
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens == 8


async def test_no_delta_has_usage_so_far_if_nobody_asks(trio: Trio, ask: Ask) -> None:
    engine = Orchestrator(trio, load_recipes([{"id": "t", "layers": [["b"]], "aggregator": "a"}])).engines["t"]
    assert running([delta async for delta in engine.generate(ask())]) == []


async def test_two_choices_of_a_model_have_one_usage_so_far(ask: Ask) -> None:
    engine = ScriptedEngine("m", "one two")
    deltas = [delta async for delta in engine.generate(replace(ask(n=2), running_usage="answer"))]
    assert running(deltas) == [1, 2, 3, 4]
