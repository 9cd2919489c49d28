"""Recipes with tools and reasoning: who has the tools, who is asked in a loop of calls, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.generate_docs import tools_table
from serving.conversation import Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import EngineFailed, UnsupportedField
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.strategies.layered import Layered
from serving.types import Completion, GenerateRequest
from tests.support.clock import simulated_time
from tests.support.recipes import TEAM, Ask, Trio, outcomes, reasons, run

TOOLS = (Tool("look", "Looks something up.", {"type": "object"}),)
CALL = ToolCall("c1", "look", '{"what": "tides"}')
THOUGHT = "THOUGHT"
REUSED = "The proposals of this user turn were reused."
EMPTY = "'b' (proposer, layer 1) gave an empty answer."
ACTING = ("moa-lite", "moa", "self-moa", "self-moa-seq", "blend", "plan", "adaptive", "cascade", "auto")
ALL = (*ACTING, "vote", "rank", "debate")


@pytest.fixture
def team(trio: Trio) -> Trio:
    """The trio with thoughts before every answer. With tools, a model calls `look` once, then answers."""
    for name, engine in trio.items():

        def answer(request: GenerateRequest, name: str = name) -> ScriptedAnswer:
            results = sum(message.role == "tool" for message in request.messages)
            if request.may_call_tools and not results:
                return ScriptedAnswer("", f"{THOUGHT} of {name}", (CALL,))
            seen = sum(message.content.count("says") for message in request.messages)
            return ScriptedAnswer(f"{name} says {seen}", f"{THOUGHT} of {name}")

        engine.answer, engine.tools = answer, True
    return trio


def served(team: Trio, *recipes: str | dict[str, Any]) -> Orchestrator:
    return Orchestrator(team, load_recipes(recipes, TEAM))


async def answer(team: Orchestrator, request: GenerateRequest, name: str | None = None) -> Completion:
    name = name or next(iter(team.recipes))
    return await complete(name, team.engines[name], request)


def with_tools(request: GenerateRequest, **changes: Any) -> GenerateRequest:
    return replace(request, tools=TOOLS, **changes)


def continued(request: GenerateRequest, done: Completion, result: str = "twice a day") -> GenerateRequest:
    """The next request of an agent's loop: the answer's calls and their results follow the messages."""
    [choice] = done.choices
    said = Message("assistant", choice.text, reasoning=choice.reasoning, tool_calls=choice.tool_calls)
    results = [Message("tool", result, tool_call_id=call.id) for call in choice.tool_calls]
    return replace(request, messages=(*request.messages, said, *results))


def flat(request: GenerateRequest) -> str:
    return "\n".join(repr(message) for message in request.messages)


@pytest.mark.parametrize("preset", ACTING)
async def test_the_final_agent_calls_and_the_team_is_asked_once(team: Trio, ask: Ask, preset: str) -> None:
    orchestrator = served(team, *dict.fromkeys([preset, "moa-lite"]))
    first = with_tools(ask("Explain the tides."))
    done = await answer(orchestrator, first)
    assert (done.text, done.choices[0].tool_calls, done.choices[0].finish_reason) == ("", (CALL,), "tool_calls")
    assert done.report is not None
    assert not done.report.degraded
    *others, last = done.report.agents
    assert (last.status, last.tool_calls, last.reasoning) == ("ok", (CALL,), f"{THOUGHT} of {last.model}")
    assert others
    assert not any(trace.tool_calls for trace in others)

    second = await answer(orchestrator, continued(first, done))
    assert second.text.startswith(f"{last.model} says")
    assert second.report is not None
    assert (second.report.degraded, second.report.reasons) == (False, (REUSED,))
    assert [trace.role for trace in second.report.agents] == [last.role]
    asked = [request for engine in team.values() for request in engine.requests]
    assert [bool(request.tools) for request in asked].count(True) == 2
    for request in asked:
        assert request.tools or THOUGHT not in flat(request)
        assert all(THOUGHT not in message.content for message in request.messages)


@pytest.mark.parametrize("layout", ["paper", "references_last"])
async def test_the_second_prompt_begins_with_the_whole_of_the_first(team: Trio, ask: Ask, layout: str) -> None:
    orchestrator = served(team, {"preset": "moa-lite", "layout": layout})
    first = with_tools(ask())
    done = await answer(orchestrator, first)
    await answer(orchestrator, continued(first, done))
    one, two = (request for request in team["a"].requests if request.tools)
    assert two.messages[: len(one.messages)] == one.messages
    assert [message.role for message in two.messages[len(one.messages) :]] == ["assistant", "tool"]


async def test_every_turn_asks_the_team_again_with_the_calls_as_prose(team: Trio, ask: Ask) -> None:
    orchestrator = served(team, {"preset": "moa-lite", "advise": "every_turn"})
    first = with_tools(ask())
    done = await answer(orchestrator, first)
    second = await answer(orchestrator, continued(first, done))
    assert len(outcomes(second)) == 4
    assert reasons(second) == ""
    [turn] = team["b"].requests[-1].messages
    assert turn.content == 'Why?\n\n(called look with {"what": "tides"})\n(look returned: twice a day)'


async def test_every_second_call_asks_the_team_again(team: Trio, ask: Ask) -> None:
    orchestrator = served(team, {"preset": "moa-lite", "advise": {"every": 2}})
    messages = with_tools(ask()).messages
    asked: list[bool] = []
    notes: list[str] = []
    for number in range(6):
        done = await answer(orchestrator, with_tools(replace(ask(), messages=messages)))
        asked.append(len(outcomes(done)) == 4)
        notes.append(reasons(done))
        call = ToolCall(f"c{number}", "look", f'{{"number": {number}}}')
        turns = (
            Message("assistant", "", tool_calls=(call,)),
            Message("tool", f"result {number}", tool_call_id=call.id),
        )
        messages = (*messages, *turns)
    assert asked == [True, False, True, False, True, False]
    assert notes[1] == REUSED
    assert notes[5] == "The proposals of this user turn, made after 4 answers with tool calls, were reused."
    assert "(look returned: result 3)" in flat(team["b"].requests[-1])
    assert "result 4" not in flat(team["b"].requests[-1])


@simulated_time
async def test_the_team_is_asked_again_if_its_references_are_not_known_here(ask: Ask) -> None:
    team = {name: ScriptedEngine(name, name, tools=True) for name in "abc"}
    first = with_tools(ask())
    loop = replace(first, messages=(*first.messages, Message("assistant", "", tool_calls=(CALL,))))
    orchestrator = served(team, "moa-lite")
    for references in (4, 1):
        assert len(outcomes(await answer(orchestrator, loop))) == references
    orchestrator.runtime.advice.ttl_s = 0.0
    await answer(orchestrator, first)
    assert len(outcomes(await answer(orchestrator, loop))) == 4


async def test_references_without_a_lost_agent_are_not_kept(team: Trio, ask: Ask) -> None:
    orchestrator = served(team, "moa-lite")
    team["b"].error = EngineFailed("b", "gone")
    first = with_tools(ask())
    done = await answer(orchestrator, first)
    assert done.report is not None
    assert done.report.degraded
    team["b"].error = None
    second = await answer(orchestrator, continued(first, done))
    assert second.report is not None
    assert (second.report.degraded, second.report.reasons) == (False, ())
    assert [trace.model for trace in second.report.agents] == ["a", "b", "c", "a"]


async def test_a_team_with_an_empty_proposal_is_not_asked_again(team: Trio, ask: Ask) -> None:
    orchestrator = served(team, "moa-lite")
    team["b"].answer = ""
    request, said = with_tools(ask()), []
    for agents in (4, 1):
        done = await answer(orchestrator, request)
        assert done.report is not None
        assert (len(done.report.agents), done.report.degraded) == (agents, True)
        said.append(done.report.reasons)
        request = continued(request, done)
    assert said == [(EMPTY,), (REUSED, EMPTY)]


async def test_another_user_turn_recipe_or_setting_asks_the_team(team: Trio, ask: Ask) -> None:
    orchestrator = served(team, "moa-lite", "moa")
    first = with_tools(ask())
    second = continued(first, await answer(orchestrator, first))
    assert len(outcomes(await answer(orchestrator, second, "moa"))) > 4
    changed = replace(second, moa=ask(options={"temperature": 0.1}).moa)
    assert len(outcomes(await answer(orchestrator, changed))) == 4
    assert len(outcomes(await answer(orchestrator, first))) == 4  # a new request, not a loop
    again = replace(second, messages=(*second.messages, Message("assistant", "So."), Message("user", "Sure?")))
    assert len(outcomes(await answer(orchestrator, again))) == 4
    assert reasons(await answer(orchestrator, second)) == REUSED


@pytest.mark.parametrize("outer", [False, True])
async def test_a_strategy_that_declares_no_tools_refuses_them_before_any_work(
    team: Trio, ask: Ask, monkeypatch: pytest.MonkeyPatch, outer: bool
) -> None:
    monkeypatch.setattr(Layered, "tool_modes", ())
    orchestrator = served(team, "moa-lite", {"id": "auto", "strategy": "auto", "otherwise": "moa-lite"})
    name = "auto" if outer else "moa-lite"
    assert not orchestrator.engines[name].info.tools
    with pytest.raises(UnsupportedField, match="Remove 'tools': 'moa-lite' does not support them"):
        await answer(orchestrator, with_tools(ask()), name)
    assert not any(engine.requests for engine in team.values())
    done = await answer(orchestrator, with_tools(ask(), tool_choice=ToolChoice("none")))
    assert "says" in done.text
    assert all(THOUGHT not in flat(request) for engine in team.values() for request in engine.requests)


@pytest.mark.parametrize("recipe", ["moa-lite", "moa", "self-moa", "cascade", "debate", "auto"])
async def test_the_last_call_of_a_loop_may_forbid_tools_and_keeps_its_prefix(team: Trio, ask: Ask, recipe: str) -> None:
    orchestrator = served(team, *dict.fromkeys([recipe, "moa-lite"]))
    first = with_tools(ask())
    done = await answer(orchestrator, first, recipe)
    assert done.choices[0].tool_calls
    [model] = {agent.model for agent in done.report.agents if agent.tool_calls} if done.report else set()
    before = next(request for request in reversed(team[model].requests) if request.tools)
    last = replace(continued(first, done), tool_choice=ToolChoice("none"))
    assert "says" in (await answer(orchestrator, last, recipe)).text
    after = next(request for request in team[model].requests if request.tool_choice.mode == "none")
    assert after.tools == TOOLS
    assert after.messages[: len(before.messages)] == before.messages
    assert len(after.messages) == len(before.messages) + 2


async def test_an_agent_that_may_give_the_answer_has_forbidden_tools_in_its_prompt(team: Trio, ask: Ask) -> None:
    graded = {"preset": "cascade", "score": "judge", "judge": "c", "threshold": 0.8, "first": "b"}
    team["c"].answer = "9"
    done = await run(team, with_tools(ask(), tool_choice=ToolChoice("none")), graded, "moa-lite")
    assert done.text == "b says 0"
    assert [request.tools for request in team["b"].requests] == [TOOLS]


async def test_a_debates_solver_calls_without_a_critic(team: Trio, ask: Ask) -> None:
    orchestrator = served(team, {"preset": "debate", "solver": "a", "critic": "c"})
    team["c"].answer = "ACCEPT"
    first = with_tools(ask())
    done = await answer(orchestrator, first)
    [call] = done.choices[0].tool_calls
    assert (call.name, call.arguments, done.choices[0].finish_reason) == (CALL.name, CALL.arguments, "tool_calls")
    assert outcomes(done) == [(1, "solver", "a")]
    second = await answer(orchestrator, continued(first, done))
    assert second.text == "a says 0"
    assert [role for _, role, _ in outcomes(second)] == ["solver", "critic"]
    assert [message.role for message in team["a"].requests[-1].messages] == ["user", "assistant", "tool"]


async def test_a_cascades_first_model_calls_if_a_judge_grades_it(team: Trio, ask: Ask) -> None:
    graded = {"preset": "cascade", "score": "judge", "judge": "c", "threshold": 0.8, "first": "b"}
    team["c"].answer = "9"
    done = await run(team, with_tools(ask()), graded, "moa-lite")
    assert [call.name for call in done.choices[0].tool_calls] == ["look"]
    assert [(role, model) for _, role, model in outcomes(done)] == [("first", "b"), ("judge", "c")]
    assert '   (would call look with {"what": "tides"})' in team["c"].requests[-1].messages[0].content
    team["c"].answer = "2"
    done = await run(team, with_tools(ask()), graded, "moa-lite")
    assert done.choices[0].tool_calls == (CALL,)
    assert outcomes(done)[-1] == (outcomes(done)[-1][0], "aggregator", "a")
    assert "would call" not in flat(team["a"].requests[-1])
    team["c"].answer, team["b"].answer = "9", "no call"
    done = await run(team, with_tools(ask(), tool_choice=ToolChoice("required")), graded, "moa-lite")
    assert done.choices[0].tool_calls == (CALL,)  # no text is the answer, whatever its grade
    team["b"].tools = False
    done = await run(team, with_tools(ask()), graded, "moa-lite")
    assert [role for _, role, _ in outcomes(done)] == ["proposer"] * 3 + ["aggregator"]


@pytest.mark.parametrize("preset", ACTING)
async def test_a_final_agent_without_tools_is_refused_by_name(team: Trio, ask: Ask, preset: str) -> None:
    team["a"].tools = False
    with pytest.raises(UnsupportedField, match=r"the final agent 'a' of '[-a-z]+' does not support them") as caught:
        await run(team, with_tools(ask("Explain the tides.")), *dict.fromkeys([preset, "moa-lite"]))
    assert caught.value.param == "tools"
    assert not any(engine.requests for engine in team.values())


async def test_a_request_that_changes_the_final_agent_is_checked_with_it(team: Trio, ask: Ask) -> None:
    team["b"].tools = False
    with pytest.raises(UnsupportedField, match="the final agent 'b' of 'moa-lite'"):
        await run(team, with_tools(ask(options={"aggregator": "b"})), "moa-lite")


async def test_a_model_without_tools_is_not_handed_a_request_with_tools(team: Trio, ask: Ask) -> None:
    team["b"].tools = False
    auto = {"id": "auto", "strategy": "auto", "otherwise": "b"}
    with pytest.raises(UnsupportedField, match="'b' does not support them"):
        await run(team, with_tools(ask()), auto)
    done = await run(team, with_tools(ask()), {**auto, "otherwise": "a"})
    assert done.choices[0].tool_calls == (CALL,)


async def test_fallbacks_without_tools_are_left_out(team: Trio, ask: Ask) -> None:
    team["a"].error, team["b"].tools = EngineFailed("a", "broken"), False
    recipe = {"preset": "moa-lite", "layers": [["b", "c"]]}
    done = await run(team, with_tools(ask()), recipe)
    assert done.choices[0].tool_calls == (CALL,)
    assert [model for _, role, model in outcomes(done) if role == "aggregator"] == ["a", "c"]
    assert [model for _, role, model in outcomes(await run(team, ask(), recipe)) if role == "aggregator"] == ["a", "b"]


@pytest.mark.parametrize("mode", ["required", "named"])
async def test_a_proposal_is_no_answer_where_a_tool_must_be_called(team: Trio, ask: Ask, mode: Any) -> None:
    team["a"].error = EngineFailed("a", "broken")
    recipe = {"preset": "moa-lite", "layers": [["b"]], "fallbacks": []}
    assert (await run(team, with_tools(ask()), recipe)).text == "b says 0"
    with pytest.raises(EngineFailed, match="broken"):
        await run(team, with_tools(ask(), tool_choice=ToolChoice(mode, "look")), recipe)


async def test_a_fallback_without_thinking_is_not_asked_to_think(team: Trio, ask: Ask) -> None:
    team["a"].error, team["b"].thinking = EngineFailed("a", "broken"), True
    asked = replace(ask(), thinking=Thinking(effort="high"))
    for fallback, thinking in (("b", asked.thinking), ("c", Thinking())):
        await run(team, asked, {"preset": "moa-lite", "fallbacks": [fallback]})
        assert team[fallback].requests[-1].thinking == thinking


async def test_agreement_does_not_skip_the_final_agent_that_has_the_tools(team: Trio, ask: Ask) -> None:
    team["b"].answer = team["c"].answer = "Paris"
    adaptive = {"preset": "adaptive", "proposers": ["b", "c", "a"]}
    done = await run(team, with_tools(ask()), adaptive)
    assert done.choices[0].tool_calls == (CALL,)
    assert [model for _, role, model in outcomes(done) if role == "proposer"] == ["b", "c"]
    assert (await run(team, ask(), adaptive)).text == "Paris"


@pytest.mark.parametrize("recipe", ["debate", "cascade"])
async def test_an_accepted_answer_has_its_reasoning(team: Trio, ask: Ask, recipe: str) -> None:
    team["c"].answer = "ACCEPT"
    done = await run(team, ask(), recipe, "moa-lite")
    assert (done.text, done.choices[0].reasoning) == ("b says 0", f"{THOUGHT} of b")


async def test_calls_that_a_solver_makes_have_its_reasoning(team: Trio, ask: Ask) -> None:
    done = await run(team, with_tools(ask()), "debate")
    assert done.choices[0].tool_calls
    assert done.choices[0].reasoning == f"{THOUGHT} of b"


async def test_reasoning_is_no_part_of_a_vote_a_verdict_or_an_extraction(team: Trio, ask: Ask) -> None:
    for name, said in (("a", "41"), ("b", "42"), ("c", "42")):
        team[name].answer = ScriptedAnswer(said, "It may be 41. #### 41 ACCEPT 1")
    done = await run(team, ask(), {"preset": "vote", "answer_kind": "number"})
    assert done.text == "42"

    def verdict(request: GenerateRequest) -> ScriptedAnswer:
        best, other = "12" if "\n1. 42" in flat(request).replace("\\n", "\n") else "21"
        return ScriptedAnswer(best, other)

    team["c"].answer = verdict
    assert (await run(team, ask(), {"preset": "rank", "proposers": ["a", "b"]})).text == "42"
    team["c"].answer = ScriptedAnswer("The sign is wrong.", "ACCEPT")
    assert len(outcomes(await run(team, ask(), "debate"))) > 2
    prompts = [flat(request) for engine in team.values() for request in engine.requests]
    assert not any("may be 41" in prompt for prompt in prompts)


async def test_earlier_reasoning_and_tool_turns_reach_no_adviser(team: Trio, ask: Ask) -> None:
    history = (
        Message("user", "Tides?"),
        Message("assistant", "", reasoning=THOUGHT, tool_calls=(CALL,)),
        Message("tool", "twice a day", tool_call_id="c1"),
        Message("assistant", "Twice a day.", reasoning=THOUGHT),
        Message("user", "Sure?"),
    )
    for preset in ALL:
        for engine in team.values():
            engine.requests.clear()
        await run(team, replace(ask(), messages=history), *dict.fromkeys([preset, "moa-lite"]))
        asked = [request for engine in team.values() for request in engine.requests]
        prose = [request for request in asked if all(message.role != "tool" for message in request.messages)]
        assert all(THOUGHT not in flat(request) for request in prose), preset
        assert all("tool_calls=(ToolCall" not in flat(request) for request in prose), preset
        # The final agent alone reads the turns as they are; of `debate` it is asked twice.
        assert len(prose) >= len(asked) - 1 - (preset == "debate"), preset


def test_the_documented_table_is_that_of_the_strategies() -> None:
    assert tools_table() in Path("docs/recipes.md").read_text()
