import asyncio
from collections import deque
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.conversation import Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine, words
from serving.errors import ContextTooLong, EngineFailed, EngineUnavailable, IncompleteGeneration
from serving.types import Completion, Delta, GenerateRequest, Sampling
from serving.usage import TokenUsage


def request(content: str = "one two", **fields: Any) -> GenerateRequest:
    return GenerateRequest("r", (Message("user", content),), **fields)


async def answer(engine: ScriptedEngine, asked: GenerateRequest | None = None) -> Completion:
    return await complete(engine.model, engine, asked or request())


async def deltas(engine: ScriptedEngine, asked: GenerateRequest | None = None) -> list[Delta]:
    return [delta async for delta in engine.generate(asked or request())]


@given(st.text())
def test_words_lose_nothing(text: str) -> None:
    assert "".join(words(text)) == text


@given(st.text())
async def test_the_whole_script_is_said(text: str) -> None:
    assert (await answer(ScriptedEngine("m", text))).text == text


async def test_a_script_can_look_at_its_request() -> None:
    engine = ScriptedEngine("m", lambda asked: asked.messages[-1].content.upper())
    assert (await answer(engine)).text == "ONE TWO"


async def test_a_stream_comes_word_by_word_and_a_whole_answer_at_once() -> None:
    engine = ScriptedEngine("m", "a b c")
    assert [delta.text for delta in await deltas(engine)] == ["a", " b", " c", ""]
    assert [delta.text for delta in await deltas(engine, request(stream_interval=None))] == ["a b c"]


@pytest.mark.parametrize(
    ("max_tokens", "text", "reason"), [(2, "a b", "length"), (3, "a b c", "stop"), (9, "a b c", "stop")]
)
async def test_max_tokens(max_tokens: int, text: str, reason: str) -> None:
    completion = await answer(ScriptedEngine("m", "a b c"), request(sampling=Sampling(max_tokens=max_tokens)))
    assert (completion.text, completion.choices[0].finish_reason) == (text, reason)


@pytest.mark.parametrize("streaming", [True, False])
async def test_choices_logprobs_and_usage(streaming: bool) -> None:
    engine = ScriptedEngine("m", "a b", logprob=-0.25)
    completion = await answer(
        engine, request(sampling=Sampling(n=2, logprobs=0), stream_interval=1 if streaming else None)
    )
    assert completion.usage == TokenUsage(6, 4, 0)
    for choice in completion.choices:
        assert choice.text == "a b"
        assert choice.logprobs is not None
        assert [(token.token, token.logprob) for token in choice.logprobs] == [("a", -0.25), (" b", -0.25)]


async def test_a_prefill_is_recorded_and_is_no_request() -> None:
    engine = ScriptedEngine("m", "a b")
    await engine.prefill(request("one two"), "two")
    assert [(asked.messages[-1].content, marker) for asked, marker in engine.prefills] == [("one two", "two")]
    assert (len(engine.requests), engine.running) == (0, 0)


@pytest.mark.parametrize(("fail_after", "said"), [(None, []), (0, []), (2, ["a", " b"]), (3, ["a", " b", " c"])])
async def test_an_error_comes_after_as_many_tokens_as_scripted(fail_after: int | None, said: list[str]) -> None:
    engine = ScriptedEngine("m", "a b c", fail_after=fail_after, error=EngineFailed("m", "scripted"))
    stream = engine.generate(request())
    assert [(await anext(stream)).text for _ in said] == said
    with pytest.raises(EngineFailed, match="scripted"):
        await anext(stream)
    assert (engine.running, engine.cancelled) == (0, 0)


async def test_a_cut_stream_ends_without_its_end() -> None:
    engine = ScriptedEngine("m", "a b c", cut_after=2)
    assert [delta.text for delta in await deltas(engine)] == ["a", " b"]
    with pytest.raises(IncompleteGeneration):
        await answer(engine)
    assert engine.cancelled == 0


async def test_a_prompt_too_long_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextTooLong) as caught:
        await answer(ScriptedEngine("m", context_tokens=5))
    assert (caught.value.prompt_tokens, caught.value.context_tokens) == (6, 5)


async def test_health_is_scripted() -> None:
    await ScriptedEngine("m").check_health()
    with pytest.raises(EngineUnavailable):
        await ScriptedEngine("m", healthy=False).check_health()


async def test_closing_early_counts_as_cancelled_and_closing_at_the_end_does_not() -> None:
    engine = ScriptedEngine("m", "a b c")
    async with aclosing(engine.generate(request())) as stream:
        await anext(stream)
        assert engine.running == 1
    assert (engine.running, engine.cancelled) == (0, 1)
    async with aclosing(engine.generate(request())) as stream:
        while not (await anext(stream)).terminal:
            pass
    assert (engine.running, engine.cancelled) == (0, 1)


async def test_a_hung_engine_can_be_cancelled() -> None:
    engine = ScriptedEngine("m", hang=True)
    task = asyncio.create_task(answer(engine))
    await asyncio.sleep(0)  # the task runs until it waits
    assert engine.running == 1
    task.cancel()
    await asyncio.wait({task})
    assert (engine.running, engine.cancelled) == (0, 1)


async def test_time_follows_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    engine = ScriptedEngine("m", "a b c", ttft_s=1.0, itl_s=0.1, prefill_tokens_per_s=3.0, batch_slowdown=0.5)
    engine.running = 2
    await answer(engine)
    assert slept == pytest.approx([1.0 + 6 / 3.0, 0.2, 0.2])


async def test_requests_are_kept_in_order_or_not_at_all() -> None:
    engine, forgetful = ScriptedEngine("m"), ScriptedEngine("m", requests=deque(maxlen=0))
    for content in ("first", "second"):
        await answer(engine, request(content))
        await answer(forgetful, request(content))
    assert [asked.messages[0].content for asked in engine.requests] == ["first", "second"]
    assert not forgetful.requests


CALLS = (ToolCall("c1", "add", '{"a": 1}'), ToolCall("c2", "stop", ""))
ACTING = ScriptedAnswer("So:", "Let me think.", CALLS)


@pytest.mark.parametrize("interval", [1, None])
async def test_reasoning_text_and_tool_calls_are_one_answer(interval: int | None) -> None:
    engine = ScriptedEngine("m", ACTING, tools=True, thinking=True)
    assert (engine.info.tools, engine.info.thinking) == (True, True)
    done = await answer(engine, request(tools=(Tool("add"),), stream_interval=interval))
    [choice] = done.choices
    assert (choice.reasoning, choice.text, choice.tool_calls) == ("Let me think.", "So:", CALLS)
    assert choice.finish_reason == "tool_calls"
    assert (done.usage.completion_tokens, done.usage.reasoning_tokens) == (3 + 1 + 3, 3)


async def test_tools_and_thinking_follow_the_request() -> None:
    engine = ScriptedEngine("m", lambda asked: ACTING, thinking=True)
    [choice] = (await answer(engine, request(thinking=Thinking(enabled=False)))).choices
    assert (choice.text, choice.reasoning, choice.tool_calls, choice.finish_reason) == ("So:", "", (), "stop")
    forbidden = request(tools=(Tool("add"),), tool_choice=ToolChoice("none"))
    assert (await answer(engine, forbidden)).choices[0].tool_calls == ()
    engine.thinking = False
    assert (await answer(engine, request(thinking=Thinking(enabled=False)))).choices[0].reasoning == "Let me think."


async def test_reasoning_and_calls_take_tokens_as_text_does() -> None:
    engine = ScriptedEngine("m", ACTING)
    asked = request(tools=(Tool("add"),), sampling=Sampling(max_tokens=5, logprobs=0))
    done = await answer(engine, asked)
    [choice] = done.choices
    assert (choice.tool_calls, choice.finish_reason) == ((ToolCall("c1", "add", '{"a":'),), "length")
    assert [token.token for token in choice.logprobs or ()] == ["So:"]
    assert len(await deltas(engine, asked)) == 5 + 1
