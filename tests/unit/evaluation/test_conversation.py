"""Conversations with tools and with thinking: requests and records, against the real API over scripted engines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from evaluation.arms import Arm, from_names
from evaluation.client import Client
from evaluation.conversation import Conversation
from evaluation.datasets.loading import Dataset
from evaluation.datasets.tools import ToolRow
from evaluation.errors import EvaluationError
from evaluation.items import Item
from evaluation.runner import RunSettings, run
from evaluation.store import read_answers
from serving.api.app import create_app
from serving.api.settings import ApiSettings
from serving.conversation import ToolCall
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest
from tests.support.loops import THOUGHT, TOOL_ROW, caller

ITEM = ToolRow.model_validate(TOOL_ROW).item(1)


def tool_item(skill: str) -> Item:
    return ToolRow.model_validate({**TOOL_ROW, "skill": skill}).item(1)


TEAM = {"proposers": ["a", "b", "c"], "aggregator": "a", "solo": "a", "judge": "a"}


@pytest.fixture
def models() -> dict[str, ScriptedEngine]:
    return {name: caller(name) for name in TEAM["proposers"]}


def client_over(models: dict[str, ScriptedEngine]) -> Client:
    orchestrator = Orchestrator(models, load_recipes(["moa-lite"], TEAM))
    cards = orchestrator.cards()
    transport = httpx.ASGITransport(create_app(orchestrator.engines, cards, ApiSettings()))
    return Client("http://x", transport=transport, retries=0)


async def held(
    models: dict[str, ScriptedEngine], model: str, item: Item = ITEM, max_requests: int = 8, **fields: Any
) -> Conversation:
    async with client_over(models) as client:
        talk = Conversation(client, model, item, fields, max_requests)
        await talk.hold()
    return talk


def calling(name: str, arguments: str) -> Callable[[GenerateRequest], ScriptedAnswer]:
    """Call this tool again and again."""
    return lambda request: ScriptedAnswer("Wait.", tool_calls=(ToolCall("call_1", name, arguments),))


async def test_a_call_is_run_and_its_result_sent_back(models: dict[str, ScriptedEngine]) -> None:
    talk = await held(models, "a")
    assert (talk.texts, talk.error, talk.expected_first) == (["938982"], None, True)
    assert [[call.result for call in step.calls] for step in talk.steps] == [["938982"], []]
    first, second = models["a"].requests
    assert [tool.name for tool in first.tools] == [tool.name for tool in second.tools] == ["compute", "find", "play"]
    question, assistant, result = second.messages
    assert question == first.messages[0]
    assert assistant.reasoning == THOUGHT
    assert (assistant.tool_calls[0].id, result.tool_call_id, result.content) == ("call_1", "call_1", "938982")


async def test_a_recipe_asks_its_proposers_once_per_loop(models: dict[str, ScriptedEngine]) -> None:
    talk = await held(models, "moa-lite", moa={"trace": True})
    assert talk.texts == ["938982"]
    assert [step.proposers for step in talk.steps] == [3, 0]
    assert [len(models[name].requests) for name in "abc"] == [3, 1, 1]  # proposer, and twice the final agent
    final = [agent for agent in talk.trace if agent.role == "aggregator"]
    assert [(agent.step, agent.called, agent.usable) for agent in final] == [(1, True, False), (2, False, True)]
    assert [step.prompt_tokens for step in talk.steps] == [agent.prompt_tokens for agent in final]


async def test_without_a_trace_it_is_not_known_who_was_asked(models: dict[str, ScriptedEngine]) -> None:
    talk = await held(models, "moa-lite")
    assert [step.proposers for step in talk.steps] == [None, None]


async def test_a_loop_without_an_end_is_bounded_and_has_no_answer(models: dict[str, ScriptedEngine]) -> None:
    models["a"].answer = calling("find", '{"topic": "river of Loso"}')
    talk = await held(models, "a", max_requests=3)
    assert len(models["a"].requests) == len(talk.steps) == 3
    assert (talk.texts, talk.error, talk.expected_first) == ([""], None, False)


async def test_the_model_learns_what_was_wrong_with_its_call(models: dict[str, ScriptedEngine]) -> None:
    models["a"].answer = calling("compute", '{"expression": ')
    talk = await held(models, "a", max_requests=2)
    assert [call.fault for step in talk.steps for call in step.calls] == ["json", "json"]
    assert models["a"].requests[1].messages[-1].content == "error: the arguments are not a JSON object"


async def test_a_lost_server_ends_the_conversation_with_what_was_said(models: dict[str, ScriptedEngine]) -> None:
    def fails_on_results(request: GenerateRequest) -> ScriptedAnswer:
        if any(message.role == "tool" for message in request.messages):
            raise EngineFailed("a", "it is gone")
        return calling("compute", '{"expression": "1"}')(request)

    models["a"].answer = fails_on_results
    talk = await held(models, "a")
    assert talk.texts == []
    assert talk.error is not None
    assert "it is gone" in talk.error
    assert len(talk.steps) == 1


async def test_later_turns_follow_the_whole_loop_and_no_reasoning(models: dict[str, ScriptedEngine]) -> None:
    item = Item("d", "1", "", ("What is 1 + 1?", "What is 2 * 3?"), "6", "exact", tools=ITEM.tools)
    talk = await held(models, "a", item)
    assert talk.texts == ["2", "2"]  # the scripted model reads the result that is already there
    assert [step.turn for step in talk.steps] == [1, 1, 2]
    roles = [message.role for message in models["a"].requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert models["a"].requests[-1].messages[3].reasoning is None


@pytest.mark.parametrize(("skill", "right"), [("calculate", True), ("lookup", False), ("none", False), ("x", None)])
async def test_the_first_call_is_compared_with_the_skill(
    models: dict[str, ScriptedEngine], skill: str, right: bool | None
) -> None:
    assert (await held(models, "a", tool_item(skill))).expected_first is right


async def test_no_call_is_right_where_none_is_needed(models: dict[str, ScriptedEngine]) -> None:
    models["a"].answer = "Paris"
    assert (await held(models, "a", tool_item("none"))).expected_first is True
    assert (await held(models, "a")).expected_first is False


def data(tmp_path: Path) -> Dataset:
    return Dataset("mine", tmp_path / "mine.jsonl", "0" * 64, (ITEM,))


async def test_a_row_has_the_whole_loop(models: dict[str, ScriptedEngine], tmp_path: Path) -> None:
    async with client_over(models) as client:
        await run(client, from_names("a,moa-lite"), [data(tmp_path)], RunSettings(), tmp_path)
    alone, team = read_answers(tmp_path)
    for row in (alone, team):
        assert (row.score, row.expected_first, len(row.steps), row.finish_reason) == (1.0, True, 2, "stop")
        assert row.text == "938982"
    assert (alone.calls, team.calls) == (2, 5)
    assert alone.prompt_tokens == sum(step.prompt_tokens or 0 for step in alone.steps)
    assert alone.reasoning_tokens == 8
    assert team.prompt_tokens == sum(agent.prompt_tokens or 0 for agent in team.trace)


async def test_runs_with_tools_of_another_bound_are_never_mixed(
    models: dict[str, ScriptedEngine], tmp_path: Path
) -> None:
    async with client_over(models) as client:
        await run(client, from_names("a"), [data(tmp_path)], RunSettings(max_requests=4), tmp_path)
        with pytest.raises(EvaluationError, match="setting 'max_requests' was 4, is now 8"):
            await run(client, from_names("a"), [data(tmp_path)], RunSettings(), tmp_path)


async def test_one_model_with_and_without_thinking_is_two_arms(
    models: dict[str, ScriptedEngine], tmp_path: Path
) -> None:
    arms = [Arm(name=effort, model="a", reasoning_effort=effort) for effort in ("none", "low")]
    plain = Dataset("mine", tmp_path / "mine.jsonl", "0" * 64, (Item("mine", "1", "", ("?",), "ok", "exact"),))
    models["a"].answer = ScriptedAnswer("ok", "So it is.")
    async with client_over(models) as client:
        await run(client, arms, [plain], RunSettings(), tmp_path)
    rows = {row.arm: row for row in read_answers(tmp_path)}
    assert {arm: (row.score, row.reasoning_tokens) for arm, row in rows.items()} == {"none": (1.0, 0), "low": (1.0, 3)}
    assert {request.thinking.effort for request in models["a"].requests} == {"none", "low"}
