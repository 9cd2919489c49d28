"""Tool loops of OpenAI's client over a socket: a model calls tools, the client runs them, the model answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from serving.api import ApiSettings, create_app
from serving.conversation import Message, ToolCall
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.api import app_of, running
from tests.support.tools import CITIES, THOUGHT, WEATHER, ToolEngine

QUESTION: Any = {"role": "user", "content": "Where is it warmer, in Paris or in Rome?"}
CALLS = tuple(ToolCall(f"call_{i}", "get_weather", json.dumps({"city": city})) for i, city in enumerate(CITIES))
ANSWER = "It is 20 in Paris and 25 in Rome."


@pytest.fixture
def engine() -> ToolEngine:
    return ToolEngine()


@pytest.fixture
async def client(engine: ToolEngine) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        running(app_of({"m": engine})) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):
        yield client


def run_tool(call: Any) -> dict[str, Any]:
    """Message with the result of a tool call."""
    assert (call.type, call.function.name) == ("function", "get_weather")
    city = json.loads(call.function.arguments)["city"]
    degrees = {"Paris": 20, "Rome": 25}[city]
    return {"role": "tool", "tool_call_id": call.id, "content": f"{degrees} in {city}"}


def check_second_call(engine: ToolEngine) -> None:
    """The second request has the whole first turn: the thought, both calls and their results."""
    assert engine.requests[1].messages == (
        Message("user", QUESTION["content"]),
        Message("assistant", "", reasoning=THOUGHT, tool_calls=CALLS),
        Message("tool", "20 in Paris", tool_call_id="call_0"),
        Message("tool", "25 in Rome", tool_call_id="call_1"),
    )


async def test_a_tool_loop(engine: ToolEngine, client: openai.AsyncOpenAI) -> None:
    messages: list[Any] = [QUESTION]
    first = await client.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
    (choice,) = first.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.model_extra == {"reasoning_content": THOUGHT, "reasoning": THOUGHT}
    assert first.usage.completion_tokens_details.reasoning_tokens == 4
    messages += [choice.message, *map(run_tool, choice.message.tool_calls)]
    second = await client.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
    assert (second.choices[0].finish_reason, second.choices[0].message.content) == ("stop", ANSWER)
    assert second.choices[0].message.tool_calls is None
    check_second_call(engine)


async def test_a_streamed_tool_loop(engine: ToolEngine, client: openai.AsyncOpenAI) -> None:
    messages: list[Any] = [QUESTION]
    async with client.chat.completions.stream(model="m", messages=messages, tools=[WEATHER]) as stream:
        events = [event async for event in stream]
        first = await stream.get_final_completion()
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.model_extra == {"reasoning_content": THOUGHT, "reasoning": THOUGHT}
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [(event.index, event.arguments) for event in done] == [(i, c.arguments) for i, c in enumerate(CALLS)]
    messages += [choice.message, *map(run_tool, choice.message.tool_calls)]
    async with client.chat.completions.stream(model="m", messages=messages, tools=[WEATHER]) as stream:
        second = await stream.get_final_completion()
    assert (second.choices[0].finish_reason, second.choices[0].message.content) == ("stop", ANSWER)
    check_second_call(engine)


async def test_streamed_calls_have_id_type_and_name_in_their_first_piece(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="m", messages=[QUESTION], tools=[WEATHER], stream=True)
    deltas = [chunk.choices[0].delta async for chunk in stream]
    pieces = [piece for delta in deltas for piece in delta.tool_calls or ()]
    heads = [(piece.index, piece.id, piece.type, piece.function.name) for piece in pieces if piece.id]
    assert heads == [(0, "call_0", "function", "get_weather"), (1, "call_1", "function", "get_weather")]
    rest = [piece for piece in pieces if not piece.id]
    assert {(piece.type, piece.function.name) for piece in rest} == {(None, None)}
    assert "".join(piece.function.arguments for piece in rest if piece.index == 1) == CALLS[1].arguments
    assert "".join(delta.content or "" for delta in deltas) == ""


@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_is_not_sent_if_it_is_not_wanted(client: openai.AsyncOpenAI, stream: bool) -> None:
    answer = await client.chat.completions.with_raw_response.create(
        model="m", messages=[QUESTION], tools=[WEATHER], stream=stream, extra_body={"include_reasoning": False}
    )
    body = (await answer.http_response.aread()).decode()
    assert "get_weather" in body
    assert "reasoning_content" not in body
    assert THOUGHT[:7] not in body


async def test_what_is_wrong_with_tools_is_an_error_of_the_client(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="m", messages=[QUESTION], tools=[WEATHER, WEATHER])
    assert caught.value.param == "tools[1].function.name"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tools", ["final", "vote"])
async def test_a_tool_loop_of_a_team(tools: str, stream: bool) -> None:
    """The panel is asked once: it advises or votes, and the final agent answers with the results."""
    models: dict[str, Any] = {name: ToolEngine(name) for name in "abc"}
    recipe = {"id": "team", "layers": [["a", "b", "c"]], "aggregator": "a", "tools": tools, "prefill": "off"}
    served = Orchestrator(models, load_recipes([recipe]))
    messages: list[Any] = [QUESTION]
    async with (
        running(create_app(served.engines, served.cards(), ApiSettings())) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):

        async def ask() -> tuple[Any, Any]:
            """The answer and its `moa` object."""
            asked: dict[str, Any] = {"model": "team", "messages": messages, "tools": [WEATHER]}
            asked["extra_body"] = {"moa": {"trace": True}}
            if not stream:
                done = await client.chat.completions.create(**asked)
                return done, done.moa  # type: ignore[attr-defined]
            async with client.chat.completions.stream(**asked) as events:
                chunks = [event.chunk async for event in events if event.type == "chunk"]
                return await events.get_final_completion(), chunks[-1].moa  # type: ignore[attr-defined]

        first, advised = await ask()
        calls = first.choices[0].message.tool_calls
        assert first.choices[0].finish_reason == "tool_calls"
        assert [json.loads(call.function.arguments)["city"] for call in calls] == list(CITIES)
        assert len({call.id for call in calls}) == 2
        messages += [first.choices[0].message, *map(run_tool, calls)]
        second, alone = await ask()
    assert (second.choices[0].finish_reason, second.choices[0].message.content) == ("stop", ANSWER)
    panel, *others = ([layer["agents"] for layer in moa["trace"]] for moa in (advised, alone))
    assert [[len(agents) for agents in layers] for layers in (panel, *others)] == (
        [[3], [1]] if tools == "vote" else [[3, 1], [1]]
    )
    drafted = [bool(agent.get("tool_calls")) for agent in panel[0]]
    assert drafted == [bool(engine.requests[0].tools) for engine in models.values()] == [tools == "vote"] * 3
    agreed = "3 of 3 proposers of layer 1 drafted the same tool calls, which are the answer."
    assert [reason for reason in advised["reasons"] if "unknown" not in reason] == [agreed] * (tools == "vote")
    assert alone["reasons"] == ["The proposals of this user turn were reused."]
    assert [len(engine.requests) for engine in models.values()] == [3 if tools == "final" else 2, 1, 1]
