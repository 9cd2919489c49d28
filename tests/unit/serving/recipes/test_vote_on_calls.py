"""`tools: vote`: who drafts calls, which calls are returned at once, and what the final agent reads of the others."""

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from serving.conversation import Message, Tool, ToolCall, ToolChoice
from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import ConfigError, EngineFailed, InvalidRequest, QuorumNotReached, UnsupportedField
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.telemetry import Observer
from serving.types import Completion, Delta, GenerateRequest
from tests.support.clock import simulated_time
from tests.support.recipes import TEAM, Ask, Trio, outcomes, reasons, run

TOOLS = (Tool("look", "Looks something up.", {"type": "object"}),)
VOTE = {"preset": "moa-lite", "tools": "vote", "straggler_grace_s": None}
THOUGHT = "THOUGHT"


def calling(what: str) -> ToolCall:
    return ToolCall("c1", "look", f'{{"what": "{what}"}}')


@pytest.fixture
def wanted() -> dict[str, str]:
    """The argument that each model drafts; "" for a model that answers with text."""
    return dict.fromkeys("abc", "tides")


@pytest.fixture
def team(trio: Trio, wanted: dict[str, str]) -> Trio:
    """The trio with thoughts; with tools, a model calls `look` once, then answers."""
    for name, engine in trio.items():

        def answer(request: GenerateRequest, name: str = name) -> ScriptedAnswer:
            results = sum(message.role == "tool" for message in request.messages)
            if request.may_call_tools and not results and wanted[name]:
                return ScriptedAnswer("", f"{THOUGHT} of {name}", (calling(wanted[name]),))
            return ScriptedAnswer(f"{name} says so", f"{THOUGHT} of {name}")

        engine.answer, engine.tools = answer, True
    return trio


def with_tools(request: GenerateRequest, mode: Any = "auto", **changes: Any) -> GenerateRequest:
    return replace(request, tools=TOOLS, tool_choice=ToolChoice(mode, "look" if mode == "named" else None), **changes)


def called(done: Completion) -> list[str]:
    [choice] = done.choices
    assert not choice.tool_calls or choice.finish_reason == "tool_calls"
    return [call.arguments for call in choice.tool_calls]


def roles(done: Completion) -> list[str]:
    return [role for _, role, _ in outcomes(done)]


def flat(request: GenerateRequest) -> str:
    return "\n".join(repr(message) for message in request.messages)


@pytest.mark.parametrize("mode", ["auto", "required", "named"])
@pytest.mark.parametrize("preset", ["moa-lite", "moa", "self-moa", "self-moa-seq", "blend", "adaptive"])
async def test_equal_calls_are_returned_without_the_final_agent(team: Trio, ask: Ask, preset: str, mode: str) -> None:
    request = with_tools(ask(), mode)
    done = await run(team, request, {"preset": preset, "tools": "vote"})
    assert called(done) == ['{"what": "tides"}']
    assert set(roles(done)) == {"proposer"}
    assert {layer for layer, _, _ in outcomes(done)} == {1}
    assert "proposers of layer 1 drafted the same tool calls, which are the answer." in reasons(done) or (
        preset == "adaptive" and reasons(done) == "2 of 2 proposers drafted the same tool calls, which are the answer."
    )
    assert done.report is not None
    assert not done.report.degraded
    assert done.usage.completion_tokens == sum(trace.usage.completion_tokens or 0 for trace in done.report.agents)
    for engine in team.values():
        for drafter in engine.requests:
            assert (drafter.tools, drafter.tool_choice) == (request.tools, request.tool_choice)


@pytest.mark.parametrize("preset", ["vote", "rank"])
async def test_strategies_that_pick_a_proposal_pick_calls(
    team: Trio, ask: Ask, preset: str, wanted: dict[str, str]
) -> None:
    done = await run(team, with_tools(ask()), preset)
    assert called(done) == ['{"what": "tides"}']
    assert set(roles(done)) == {"proposer"}
    wanted.update(a="moon", b="sun", c="")
    judge = {"c": lambda request: "2" if "Candidates:" in flat(request) else "c says so"}
    team["c"].answer = judge["c"]
    done = await run(team, with_tools(ask()), {"preset": preset, "proposers": ["c", "a", "b", "a"]})
    # `vote`: the most frequent calls, two of four. `rank`: the judge's verdict over all rotations is a tie.
    assert called(done) == (['{"what": "moon"}'] if preset == "vote" else [])
    if preset == "rank":
        assert '(would call look with {"what": "sun"})' in "\n".join(flat(request) for request in team["c"].requests)
        assert (done.text, roles(done)[-1]) == ("c says so", "judge")


async def test_without_agreement_the_final_agent_reads_all_drafts_as_prose(
    team: Trio, ask: Ask, wanted: dict[str, str]
) -> None:
    wanted.update(a="moon", b="sun", c="")
    done = await run(team, with_tools(ask()), VOTE)
    assert called(done) == ['{"what": "moon"}']
    assert roles(done) == ["proposer"] * 3 + ["aggregator"]
    assert reasons(done) == "1 of 3 proposers of layer 1 drafted the same tool calls; 2 are needed to decide."
    assert done.report is not None
    assert not done.report.degraded
    assert [trace.tool_calls for trace in done.report.agents] == [
        (calling("moon"),),
        (calling("sun"),),
        (),
        (calling("moon"),),
    ]
    final = team["a"].requests[-1]
    assert final.messages[0].content.endswith(
        '1. (would call look with {"what": "moon"})\n2. (would call look with {"what": "sun"})\n3. c says so'
    )
    assert final.tools == TOOLS
    assert THOUGHT not in flat(final)


async def test_proposers_without_tools_advise_and_have_no_vote(team: Trio, ask: Ask, wanted: dict[str, str]) -> None:
    team["c"].tools = False
    done = await run(team, with_tools(ask()), VOTE)
    assert called(done) == ['{"what": "tides"}']
    assert "2 of 2 proposers of layer 1" in reasons(done)
    adviser = team["c"].requests[0]
    assert (adviser.tools, adviser.tool_choice) == ((), ToolChoice())
    wanted["b"] = "sun"
    done = await run(team, with_tools(ask()), VOTE)
    assert "1 of 2 proposers of layer 1" in reasons(done)
    assert "\n3. c says so" in team["a"].requests[-1].messages[0].content


async def test_one_draft_decides_nothing(team: Trio, ask: Ask) -> None:
    team["b"].error = team["c"].error = EngineFailed("x", "gone")
    done = await run(team, with_tools(ask()), VOTE)
    assert roles(done)[-1] == "aggregator"
    assert "1 of 3 proposers of layer 1 drafted the same tool calls; 2 are needed" in reasons(done)


async def test_as_many_equal_drafts_as_min_proposals_are_needed(team: Trio, ask: Ask, wanted: dict[str, str]) -> None:
    wanted["c"] = "sun"
    assert "aggregator" in roles(await run(team, with_tools(ask()), {**VOTE, "min_proposals": 3}))
    assert "aggregator" not in roles(await run(team, with_tools(ask()), {**VOTE, "min_proposals": 2}))


@simulated_time
async def test_others_are_cancelled_as_soon_as_the_vote_is_decided() -> None:
    call = calling("tides")
    team = {name: ScriptedEngine(name, ScriptedAnswer("", "", (call,)), tools=True) for name in "abc"}
    team["c"].hang = True
    request = with_tools(GenerateRequest("r", (Message("user", "Why?"),)))
    done = await asyncio.wait_for(run(team, request, {**VOTE, "prefill": "incremental"}), 1)
    assert called(done) == [call.arguments]
    assert done.report is not None
    assert [trace.status for trace in done.report.agents] == ["ok", "ok", "cancelled"]
    assert not done.report.degraded
    assert team["c"].cancelled == 1


@pytest.mark.parametrize("stream_interval", [1, None])
async def test_returned_calls_have_ids_of_their_own_streamed_or_not(
    team: Trio, ask: Ask, stream_interval: int | None
) -> None:
    orchestrator = Orchestrator(team, load_recipes([VOTE], TEAM))
    ids = set()
    for _ in range(2):
        request = replace(with_tools(ask()), stream_interval=stream_interval)
        deltas: list[Delta] = [delta async for delta in orchestrator.engines["moa-lite"].generate(request)]
        [piece] = [piece for delta in deltas for piece in delta.tool_calls]
        assert re.fullmatch(r"call_[0-9a-f]{24}", str(piece.id))
        assert (piece.index, piece.name, piece.arguments) == (0, "look", '{"what": "tides"}')
        assert (deltas[-1].finish_reason, deltas[-1].terminal) == ("tool_calls", True)
        ids.add(piece.id)
    assert len(ids) == 2


async def test_in_a_loop_the_panel_votes_once_and_its_drafts_are_advice_later(team: Trio, ask: Ask) -> None:
    orchestrator = Orchestrator(team, load_recipes([VOTE], TEAM))
    first = with_tools(ask())
    done = await complete("moa-lite", orchestrator.engines["moa-lite"], first)
    [call] = done.choices[0].tool_calls
    turns = (Message("assistant", "", tool_calls=(call,)), Message("tool", "twice a day", tool_call_id=call.id))
    loop = replace(first, messages=(*first.messages, *turns))
    second = await complete("moa-lite", orchestrator.engines["moa-lite"], loop)
    assert (second.text, roles(second)) == ("a says so", ["aggregator"])
    assert reasons(second) == "The proposals of this user turn were reused."
    final = team["a"].requests[-1]
    assert '1. (would call look with {"what": "tides"})' in final.messages[0].content
    assert final.messages[-2:] == turns
    # Other tools: the drafts of these would be advice on calls that are not there.
    other = await complete("moa-lite", orchestrator.engines["moa-lite"], replace(loop, tools=(*TOOLS, Tool("add"))))
    assert roles(other) == ["proposer"] * 3 + ["aggregator"]
    # The drafts are not returned again where the final agent fails.
    team["a"].error = team["b"].error = team["c"].error = EngineFailed("a", "gone")
    with pytest.raises(EngineFailed, match="gone"):
        await complete("moa-lite", orchestrator.engines["moa-lite"], loop)


async def test_every_turn_votes_on_each_call_and_drafters_read_the_real_turns_without_thoughts(
    team: Trio, ask: Ask, wanted: dict[str, str]
) -> None:
    team["c"].tools = False
    recipe = {**VOTE, "advise": "every_turn"}
    asked = with_tools(ask())
    turns = (
        Message("assistant", "", reasoning=THOUGHT, tool_calls=(calling("sun"),)),
        Message("tool", "hot", tool_call_id="c1"),
    )
    for engine in team.values():
        engine.answer = ScriptedAnswer("", "", (calling("moon"),))
    done = await run(team, replace(asked, messages=(*asked.messages, *turns)), recipe)
    assert called(done) == ['{"what": "moon"}']
    drafter, adviser = team["b"].requests[0], team["c"].requests[0]
    assert drafter.messages == (*asked.messages, replace(turns[0], reasoning=None), turns[1])
    assert [message.role for message in adviser.messages] == ["user"]
    assert "(look returned: hot)" in adviser.messages[0].content


async def test_a_draft_is_sampled_like_an_answer(team: Trio, ask: Ask) -> None:
    recipe = {**VOTE, "proposal_max_tokens": 500}
    await run(team, with_tools(ask(max_tokens=100, stop=("END",))), recipe)
    await run(team, ask(max_tokens=100, stop=("END",)), recipe)
    drafter, proposer = (team["b"].requests[turn].sampling for turn in (0, 1))
    assert (drafter.max_tokens, drafter.stop) == (100, ("END",))
    assert (proposer.max_tokens, proposer.stop) == (500, ())


async def test_a_draft_replaces_a_final_agent_that_failed(team: Trio, ask: Ask, wanted: dict[str, str]) -> None:
    wanted.update(b="", c="sun")
    team["a"].error = EngineFailed("a", "broken")
    recipe = {**VOTE, "layers": [["b", "c"]], "fallbacks": []}
    assert (await run(team, with_tools(ask()), recipe)).text == "b says so"
    done = await run(team, with_tools(ask(), "required"), recipe)
    assert called(done) == ['{"what": "sun"}']
    assert "one of the proposals is returned" in reasons(done)


async def test_a_vote_without_calls_fails_where_a_tool_must_be_called(
    team: Trio, ask: Ask, wanted: dict[str, str]
) -> None:
    wanted.update(dict.fromkeys("abc", ""))
    for preset in ("vote", "rank"):
        with pytest.raises(EngineFailed, match="no proposal calls a tool, which tool_choice requires"):
            await run(team, with_tools(ask(), "required"), preset)
        assert (await run(team, with_tools(ask()), {"preset": preset, "proposers": ["a", "b"]})).text
    team["a"].error = team["b"].error = team["c"].error = EngineFailed("a", "gone")
    with pytest.raises(QuorumNotReached, match="0 usable proposals"):
        await run(team, with_tools(ask()), {"preset": "vote", "below_quorum": "answer"})


@pytest.mark.parametrize("mode", [None, "none"])
async def test_without_tools_to_call_nobody_drafts(team: Trio, ask: Ask, mode: str | None) -> None:
    request = ask() if mode is None else with_tools(ask(), mode)
    done = await run(team, request, VOTE)
    assert done.text == "a says so"
    assert reasons(done) == ""
    assert not any(one.tools for one in team["b"].requests)


async def test_the_next_layers_prefill_is_the_prompt_that_comes(team: Trio, ask: Ask, wanted: dict[str, str]) -> None:
    wanted.update(a="moon", b="sun", c="sea")
    recipe = {**VOTE, "layers": [["a"], ["b", "c"]], "layout": "references_last"}
    orchestrator = Orchestrator(team, load_recipes([recipe], TEAM))
    orchestrator.runtime.prefill_settle_s, team["a"].ttft_s = 0, 0.01
    await complete("moa-lite", orchestrator.engines["moa-lite"], with_tools(ask()))
    for engine in (team["b"], team["c"]):
        (ahead, marker), real = engine.prefills[0], engine.requests[0]
        assert ahead.tools == real.tools == TOOLS
        known = ahead.messages[-1].content.partition(marker)[0]
        assert known
        assert real.messages[-1].content.startswith(known)


async def test_a_synthesis_without_tools_is_not_prefilled_with_them(team: Trio, ask: Ask) -> None:
    recipe = {"preset": "self-moa-seq", "tools": "vote", "prefill": "incremental"}
    orchestrator = Orchestrator(team, load_recipes([recipe], TEAM))
    orchestrator.runtime.prefill_settle_s, team["b"].ttft_s = 0, 0.01
    for request, prefills in ((with_tools(ask()), False), (ask(), True)):
        team["a"].prefills.clear()
        await complete("self-moa-seq", orchestrator.engines["self-moa-seq"], request)
        assert bool(team["a"].prefills) == prefills
        assert not any(ahead.tools for ahead, _ in team["a"].prefills)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"preset": "plan", "tools": "vote"}, "tools: vote does not fit the strategy 'plan', only final"),
        ({"preset": "debate", "tools": "vote"}, "tools: vote does not fit the strategy 'debate', only final"),
        ({"preset": "cascade", "tools": "vote"}, "tools: vote does not fit the strategy 'cascade', only final"),
        ({"preset": "auto", "tools": "vote"}, "tools: vote does not fit the strategy 'auto', only final"),
        ({"preset": "vote", "tools": "final"}, "tools: final does not fit the strategy 'vote', only vote"),
        ({"preset": "rank", "tools": "final"}, "tools: final does not fit the strategy 'rank', only vote"),
        ({"preset": "moa-lite", "tools": "all"}, "Set 'tools' to 'final' or 'vote'"),
        ({**VOTE, "layers": [["a"]]}, "needs a layer of two proposers or more that support them"),
    ],
)
def test_a_vote_that_cannot_be_is_refused_at_start(team: Trio, recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Orchestrator(team, load_recipes([recipe, *(["moa-lite"] if "moa-lite" not in recipe.values() else [])], TEAM))


async def test_a_vote_without_voters_is_refused_before_any_work(team: Trio, ask: Ask) -> None:
    team["b"].tools = team["c"].tools = False
    voting = with_tools(ask(options={"tools": "vote"}))
    with pytest.raises(UnsupportedField, match="'moa-lite' needs a layer of two proposers or more"):
        await run(team, voting, "moa-lite")
    assert called(await run(team, with_tools(ask()), "moa-lite")) == ['{"what": "tides"}']
    team["a"].tools = False
    for preset in ("vote", "rank"):
        with pytest.raises(UnsupportedField, match=f"no proposer of '{preset}' supports them"):
            await run(team, with_tools(ask()), preset)
    with pytest.raises(InvalidRequest, match=r"Remove 'moa\.tools'"):
        await run(team, with_tools(ask(options={"tools": "vote"})), "plan")


async def test_a_final_agent_without_tools_is_refused_with_a_vote_too(team: Trio, ask: Ask) -> None:
    team["a"].tools = False
    with pytest.raises(UnsupportedField, match="the final agent 'a' of 'moa-lite' does not support them"):
        await run(team, with_tools(ask()), {**VOTE, "layers": [["b", "c"]]})


async def test_a_requests_own_setting_votes(team: Trio, ask: Ask) -> None:
    done = await run(team, with_tools(ask(options={"tools": "vote"})), "moa-lite")
    assert set(roles(done)) == {"proposer"}


async def test_text_that_looks_like_a_ballot_is_no_vote_for_calls(team: Trio, ask: Ask, wanted: dict[str, str]) -> None:
    wanted.update(b="", c="")
    team["b"].answer = team["c"].answer = '[["look", {"what": "tides"}]]'
    done = await run(team, with_tools(ask()), {"preset": "vote", "proposers": ["a", "a", "a", "b", "c"]})
    assert called(done) == ['{"what": "tides"}']


async def test_adaptive_adds_proposers_until_calls_agree(team: Trio, ask: Ask, wanted: dict[str, str]) -> None:
    wanted["b"] = "sun"
    recipe = {"preset": "adaptive", "tools": "vote", "proposers": ["a", "b", "c"], "agreement": 0.6}
    done = await run(team, with_tools(ask()), recipe)
    assert called(done) == ['{"what": "tides"}']
    assert roles(done) == ["proposer"] * 3
    assert reasons(done) == "2 of 3 proposers drafted the same tool calls, which are the answer."
    wanted["c"] = "moon"
    assert roles(await run(team, with_tools(ask()), recipe))[-1] == "aggregator"
    wanted.update(dict.fromkeys("abc", ""))
    for engine in team.values():
        engine.answer = "Paris"
    done = await run(team, with_tools(ask()), recipe)  # text that agrees is the final agent's with tools
    assert roles(done) == ["proposer"] * 2 + ["aggregator"]


async def test_parallel_calls_are_compared_as_a_whole(team: Trio, ask: Ask) -> None:
    one, two = calling("sun"), calling("moon")
    for name, calls in (("a", (one, two)), ("b", (two, one)), ("c", (one,))):
        team[name].answer = ScriptedAnswer("", "", calls)
    done = await run(team, with_tools(ask()), VOTE)
    assert called(done) == [one.arguments, two.arguments]
    assert "2 of 3" in reasons(done)


@pytest.mark.parametrize("preset", ["moa-lite", "adaptive", "vote"])
@pytest.mark.parametrize(
    ("drafts", "votes"),
    [
        (("tides", "tides", "tides"), [True]),
        (("moon", "sun", "tides"), [False]),
        (("moon", "sun", ""), [False]),
        (("", "", ""), []),
    ],
)
async def test_votes_are_counted_once(
    team: Trio, ask: Ask, wanted: dict[str, str], preset: str, drafts: tuple[str, ...], votes: list[bool]
) -> None:
    counted: list[tuple[str, bool]] = []

    class Recorder(Observer):
        def voted(self, recipe: str, agreed: bool) -> None:
            counted.append((recipe, agreed))

    wanted.update(zip("abc", drafts, strict=True))
    recipe = {"preset": preset, "tools": "vote", "proposers": ["a", "b", "c"]}
    if preset == "moa-lite":
        recipe = VOTE
    orchestrator = Orchestrator(team, load_recipes([recipe], TEAM), observer=Recorder())
    first = with_tools(ask())
    done = await complete(preset, orchestrator.engines[preset], first)
    assert counted == [(preset, agreed) for agreed in votes]
    if (calls := done.choices[0].tool_calls) and preset != "vote":  # advice that is reused is not voted on again
        turns = (Message("assistant", "", tool_calls=calls), Message("tool", "so", tool_call_id=calls[0].id))
        await complete(preset, orchestrator.engines[preset], replace(first, messages=(*first.messages, *turns)))
        assert len(counted) == len(votes)
