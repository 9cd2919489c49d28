"""The benchmark of tool loops, against a server with scripted models."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest

from loadtest.bench.tool_loop import RESULT, Call, loop, main, table
from loadtest.errors import LoadError
from serving.api import ApiSettings, create_app
from serving.conversation import ToolCall
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.api import running

CALL = ScriptedAnswer(tool_calls=(ToolCall("c", "look_up", "{}"),))
TEAM = {"proposers": ["b"], "aggregator": "a"}


@asynccontextmanager
async def served(answer: ScriptedAnswer) -> AsyncIterator[tuple[str, ScriptedEngine]]:
    """URL of a server with `moa-lite`, and its final agent, which gives `answer`."""
    engines = {"a": ScriptedEngine("a", answer, tools=True), "b": ScriptedEngine("b")}
    team = Orchestrator(engines, load_recipes(["moa-lite"], TEAM))
    async with running(create_app(team.engines, team.cards(), ApiSettings())) as url:
        yield url, engines["a"]


async def test_each_call_continues_the_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    async with served(CALL) as (url, final):
        options = ["--loops", "2", "--calls", "3", "--words", "20", "--tool-s", "0"]
        assert await asyncio.to_thread(main, [url, *options]) == 0
    turns = [[message.role for message in request.messages if message.role != "system"] for request in final.requests]
    assert turns == [["user"] + ["assistant", "tool"] * count for count in (0, 1, 2)] * 2
    assert final.requests[-1].messages[-1].content == RESULT
    assert len({request.session for request in final.requests}) == 2
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in printed[1:]] == [["1", "2"], ["2", "1"], ["3", "1"]]


def test_the_table_has_medians() -> None:
    calls = [Call(1, 100, cached, 4, 10) for cached in (0, 0, 90)] + [Call(2, 200, 190, 1, 5)]
    first, second = table(calls).splitlines()[1:]
    assert first.split() == ["1", "4", "100", "0", "0%", "10"]
    assert second.split() == ["2", "1", "200", "190", "95%", "5"]


async def test_an_answer_without_calls_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    async with served(ScriptedAnswer("no")) as (url, _):
        assert await asyncio.to_thread(main, [url]) == 2
    assert capsys.readouterr().err.startswith("error: 'moa-lite' called no tool")


def test_a_server_that_is_gone_is_an_error() -> None:
    with (
        openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none", max_retries=0) as client,
        pytest.raises(LoadError, match="failed in a loop of tool calls"),
    ):
        loop(client, "moa-lite", lambda: None, calls=1, words=1, seed=0)
