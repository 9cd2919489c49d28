import asyncio
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError

from deployments.ingress import remote_engine
from deployments.ingress.remote_engine import RemoteEngine
from deployments.wire import pack
from serving.conversation import Message
from serving.engine import complete
from serving.errors import EngineUnavailable, MoaError
from serving.runtime.hedging import RetryBudget
from serving.types import Delta, GenerateRequest, RawPrompt, Tokens
from serving.usage import TokenUsage

REQUEST = GenerateRequest("r", (Message("user", "hello"),))
TEXT = (pack(Delta("hello")),)
END = (pack(Delta(" there", finish_reason="stop", usage=TokenUsage(1, 2, 0))),)
GONE = RayActorError()


class Stats:
    """Methods that are not streamed, which give what is set here: an error, or nothing at all for `None`."""

    def __init__(self) -> None:
        self.gives: Any = 0
        self.asked = 0
        self.arguments: tuple[object, ...] = ()

    async def remote(self, *arguments: object) -> Any:
        self.asked += 1
        self.arguments = arguments
        while self.gives is None:
            await asyncio.Event().wait()
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


class Handle:
    """A deployment's handle whose calls give what they are told: groups of deltas, or an error."""

    def __init__(self, *calls: tuple[Any, ...]) -> None:
        self.calls, self.requests, self.cancelled = list(calls), [], 0
        self.sessions: list[object] = []
        self.arguments: list[tuple[object, ...]] = []
        self.stats = self.count_tokens = self.tokens = self.text = Stats()

    def options(self, **options: object) -> "Handle":
        self.sessions.extend(value for name, value in options.items() if name == "session_id")
        return self

    def remote(self, request: GenerateRequest, *arguments: object) -> "Response":
        self.requests.append(request)
        self.arguments.append(arguments)
        return Response(self, self.calls.pop(0))


class Response:
    def __init__(self, handle: Handle, items: tuple[Any, ...]) -> None:
        self.handle, self.items = handle, items

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.sleep(0).__await__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item

    def cancel(self) -> None:
        self.handle.cancelled += 1


def engine(handle: Handle) -> RemoteEngine:
    return RemoteEngine("m", handle, deadline_s=5)  # type: ignore[arg-type]


async def test_a_replica_that_goes_away_before_its_first_word_is_replaced_by_another() -> None:
    handle = Handle((GONE,), (TEXT, END))
    assert (await complete("m", engine(handle), REQUEST)).text == "hello there"
    assert [request.request_id for request in handle.requests] == ["r", "r-again"]
    assert handle.cancelled == 1


async def test_calls_of_a_session_and_their_prefills_name_it_and_a_second_attempt_does_not() -> None:
    handle = Handle((GONE,), (TEXT, END), ())
    asked, request = engine(handle), replace(REQUEST, session="s")
    await complete("m", asked, request)
    assert handle.sessions == ["s"]
    assert [request.session for request in handle.requests] == ["s", None]
    await asked.prefill(request, "marker")
    assert handle.sessions == ["s", "s"]
    await complete("m", engine(other := Handle((TEXT, END))), REQUEST)
    assert other.sessions == []


async def test_what_was_given_is_never_given_twice() -> None:
    handle = Handle((TEXT, GONE), (TEXT, END))
    with pytest.raises(EngineUnavailable, match="was lost"):
        await complete("m", engine(handle), REQUEST)
    assert len(handle.requests) == 1


async def test_the_second_loss_is_the_callers() -> None:
    handle = Handle((GONE,), (GONE,), (TEXT, END))
    with pytest.raises(EngineUnavailable):
        await complete("m", engine(handle), REQUEST)
    assert len(handle.requests) == 2


async def test_a_lost_replica_is_not_replaced_beyond_the_budget_of_retries() -> None:
    handle = Handle((GONE,), (TEXT, END))
    retries = RetryBudget(share=0, burst=0)
    asked = RemoteEngine("m", handle, deadline_s=5, retries=retries)  # type: ignore[arg-type]
    with pytest.raises(EngineUnavailable):
        await complete("m", asked, REQUEST)
    assert len(handle.requests) == 1


async def test_an_engines_own_error_is_not_tried_again() -> None:
    handle = Handle((ValueError("no"),), (TEXT, END))
    with pytest.raises(MoaError, match="unexpected ValueError; the server"):
        await complete("m", engine(handle), REQUEST)
    assert len(handle.requests) == 1


async def test_a_deployment_with_as_much_work_as_it_takes_is_ready() -> None:
    handle = Handle()
    handle.stats.gives = BackPressureError(num_queued_requests=9, max_queued_requests=9)
    await engine(handle).check_health()


async def test_a_deployment_that_has_no_room_for_the_question_has_shown_that_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_engine, "HEALTH_TIMEOUT_S", 0.01)
    handle = Handle((TEXT, END), (GONE,), (GONE,))
    handle.stats.gives = None
    asked = engine(handle)
    with pytest.raises(EngineUnavailable):
        await asked.check_health()
    await complete("m", asked, REQUEST)
    await asked.check_health()
    with pytest.raises(EngineUnavailable):
        await complete("m", asked, REQUEST)
    with pytest.raises(EngineUnavailable):  # what it showed before is worth nothing any more
        await asked.check_health()


async def test_an_answer_of_the_model_shows_that_its_adapters_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_engine, "HEALTH_TIMEOUT_S", 0.01)
    handle = Handle((TEXT, END))
    handle.stats.gives = None
    asked = engine(handle)
    adapted = asked.adapted("sql")
    with pytest.raises(EngineUnavailable, match="'sql'"):
        await adapted.check_health()
    await complete("m", asked, REQUEST)
    await adapted.check_health()


async def test_an_old_answer_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_engine, "HEALTH_TIMEOUT_S", 0.01)
    monkeypatch.setattr(remote_engine, "RECENT_S", 0.0)
    handle = Handle((TEXT, END))
    handle.stats.gives = None
    asked = engine(handle)
    await complete("m", asked, REQUEST)
    with pytest.raises(EngineUnavailable):
        await asked.check_health()


async def test_a_deployment_that_is_gone_is_not_ready_whatever_it_showed() -> None:
    handle = Handle((TEXT, END))
    handle.stats.gives = GONE
    asked = engine(handle)
    await complete("m", asked, REQUEST)
    with pytest.raises(EngineUnavailable, match="was lost"):
        await asked.check_health()


def test_the_engine_says_what_its_model_can() -> None:
    able = RemoteEngine("m", Handle(), deadline_s=5, tools=True, thinking=True)  # type: ignore[arg-type]
    assert (able.info.tools, able.info.thinking) == (True, True)
    assert (engine(Handle()).info.tools, engine(Handle()).info.thinking) == (False, False)


async def test_a_replica_counts_tokens() -> None:
    handle = Handle()
    handle.stats.gives = 7
    assert await engine(handle).count_tokens(REQUEST) == 7
    handle.stats.gives = GONE
    with pytest.raises(EngineUnavailable):
        await engine(handle).count_tokens(REQUEST)


async def test_a_replica_makes_tokens_of_a_prompt_and_text_of_tokens() -> None:
    handle = Handle()
    asked = replace(REQUEST, messages=(), prompt=RawPrompt("hello"))
    handle.stats.gives = Tokens((1, 2), 64)
    assert await engine(handle).tokenize(asked, texts=True) == Tokens((1, 2), 64)
    assert handle.stats.arguments == (asked, True)
    handle.stats.gives = "hello"
    assert await engine(handle).detokenize((1, 2)) == "hello"
    assert handle.stats.arguments == ((1, 2),)
    handle.stats.gives = GONE
    with pytest.raises(EngineUnavailable):
        await engine(handle).tokenize(asked)
    with pytest.raises(EngineUnavailable):
        await engine(handle).detokenize((1,))
    assert engine(handle).info.raw_prompts


async def test_every_call_of_an_adapter_names_it_and_no_other_call_does() -> None:
    for last in ((), ("sql",)):
        handle = Handle((GONE,), (TEXT, END), ())
        asked = engine(handle).adapted("sql") if last else engine(handle)
        assert (await complete("m", asked, REQUEST)).text == "hello there"
        await asked.prefill(REQUEST, "[[x]]")
        assert handle.arguments == [last, last, ("[[x]]", *last)]
        await asked.count_tokens(REQUEST)
        assert handle.stats.arguments == (REQUEST, *last)
        handle.stats.gives = Tokens((1,), 8, None)
        await asked.tokenize(REQUEST, texts=True)
        assert handle.stats.arguments == (REQUEST, True, *last)
        handle.stats.gives = "text"
        await asked.detokenize((1,))
        assert handle.stats.arguments == ((1,), *last)
