"""Vote: the most frequent answer, and the end of the vote before all have answered."""

import asyncio
from typing import Any

import pytest

from serving.engines.scripted import Interceptor, ScriptedEngine
from serving.errors import ConfigError, EngineFailed, EngineUnavailable
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import Completion, Delta, TokenLogprob
from serving.usage import TokenUsage
from tests.support.recipes import TEAM, Ask, Trio, reasons, run

RECIPE: dict[str, Any] = {"preset": "vote", "answer_kind": "number"}


def statuses(done: Completion) -> list[tuple[str, str]]:
    assert done.report is not None
    return [(trace.model, trace.status) for trace in done.report.agents]


def agreeing(trio: Trio, text: str = "It is 42") -> None:
    for engine in trio.values():
        engine.answer = text


async def test_vote_gives_the_most_frequent_answer(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer, trio["c"].answer = "It is 41.", "So: 42", "The sum is 42!"
    done = await run(trio, ask(), RECIPE)
    assert done.text == "So: 42"


async def test_answers_that_cannot_change_the_vote_are_cancelled(trio: Trio, ask: Ask) -> None:
    agreeing(trio)
    trio["c"].hang = True
    done = await run(trio, ask(), RECIPE | {"proposers": ["a", "b", "c"]})
    assert done.text == "It is 42"
    assert statuses(done) == [("a", "ok"), ("b", "ok"), ("c", "cancelled")]
    assert trio["c"].cancelled == 1
    assert done.report is not None
    assert not done.report.degraded
    assert "Layer 1 was decided by 2 of its 3 answers; the others were not needed." in reasons(done)


async def test_an_answer_that_can_change_the_vote_is_waited_for(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer, trio["c"].answer = "41", "42", "42"
    trio["c"].ttft_s = 0.01
    done = await run(trio, ask(), RECIPE | {"proposers": ["a", "b", "c"]})
    assert done.text == "42"
    assert [status for _, status in statuses(done)] == ["ok"] * 3
    assert reasons(done) == ""


async def test_never_waits_for_all(trio: Trio, ask: Ask) -> None:
    agreeing(trio)
    trio["c"].ttft_s = 0.01
    done = await run(trio, ask(), RECIPE | {"proposers": ["a", "b", "c"], "stop": "never"})
    assert [status for _, status in statuses(done)] == ["ok"] * 3
    assert reasons(done) == ""


def lengths(engine: ScriptedEngine, *words: int) -> Interceptor:
    """Have the choices of one call of `engine` answer 42 after so many words each; those of 50 or more hang.

    Returns what it set as `engine.intercept`.
    """

    async def stream(request: Any, _: Any) -> Any:
        written = 0
        for step in range(max(words)):
            if step >= 3 and max(words) >= 50:
                await asyncio.Event().wait()
            for index, count in enumerate(words):
                if step >= count:
                    continue
                written += 1
                so_far = TokenUsage(5, written)
                ends = step == count - 1
                yield Delta(
                    "42" if ends else "so ",
                    index,
                    finish_reason="stop" if ends else None,
                    usage=so_far if written == sum(words) else None,
                    running_usage=so_far,
                )

    engine.intercept = stream
    return stream


async def test_the_choices_of_one_call_are_votes_as_they_end(trio: Trio, ask: Ask) -> None:
    lengths(trio["a"], 2, 3, 50, 60)
    done = await run(trio, ask(), RECIPE | {"proposers": [{"model": "a", "repeat": 4}]})
    assert done.text == "so 42"
    assert [status for _, status in statuses(done)] == ["ok", "ok", "cancelled", "cancelled"]
    assert trio["a"].cancelled == 1


async def test_tokens_of_a_stopped_call_are_counted_so_far(trio: Trio, ask: Ask) -> None:
    lengths(trio["a"], 2, 3, 50, 60)
    done = await run(trio, ask(), RECIPE | {"proposers": [{"model": "a", "repeat": 4}]})
    assert done.usage.prompt_tokens == 5
    assert done.usage.completion_tokens == 11  # two of all four choices, and a third of those that went on
    assert "The tokens of 'a' (proposer, layer 1) are those that it had reported when it was stopped." in reasons(done)


async def test_likely_stops_at_the_stated_error(trio: Trio, ask: Ask) -> None:
    agreeing(trio)
    trio["c"].hang = True
    team = [{"model": "a", "repeat": 1}, {"model": "b", "repeat": 1}, {"model": "c", "repeat": 4}]
    done = await run(trio, ask(), RECIPE | {"proposers": team, "stop": "likely", "stop_error": 0.03})
    assert done.text == "It is 42"  # two of six: another answer with a probability of 1/35
    assert [status for _, status in statuses(done)].count("cancelled") == 4


async def test_the_quorum_is_asked_for_even_if_the_vote_is_decided(trio: Trio, ask: Ask) -> None:
    agreeing(trio)
    trio["c"].ttft_s = 0.01
    done = await run(trio, ask(), RECIPE | {"proposers": ["a", "b", "c"], "min_proposals": 3})
    assert [status for _, status in statuses(done)] == ["ok"] * 3


@pytest.mark.parametrize(("texts", "asked"), [(("42", "42", "42"), 1), (("42", "42", "41"), 2)])
async def test_waves_ask_for_more_only_while_the_vote_is_open(
    trio: Trio, ask: Ask, texts: tuple[str, ...], asked: int
) -> None:
    for engine, text in zip(trio.values(), texts, strict=True):
        engine.answer = text
    done = await run(trio, ask(), RECIPE | {"wave": 3})
    assert done.text == "42"
    assert len(trio["a"].requests) == asked
    assert done.report is not None
    assert not done.report.degraded


async def test_the_seeds_of_waves_differ(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer, trio["c"].answer = "1", "2", "3"
    await run(trio, ask(seed=7), RECIPE | {"wave": 3})
    assert [request.sampling.seed for request in trio["a"].requests] == [7, 10]


async def test_a_wave_of_failures_is_followed_by_the_next(trio: Trio, ask: Ask) -> None:
    trio["a"].error, trio["b"].answer = EngineFailed("a", "gone"), "42"
    done = await run(trio, ask(), RECIPE | {"proposers": ["a", "b"], "wave": 1})
    assert done.text == "42"


async def test_no_wave_is_asked_when_the_time_is_over(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].hang = "41", True
    done = await run(trio, ask(), RECIPE | {"proposers": ["a", "b", "c", "c"], "wave": 2, "deadline_s": 0.05})
    assert done.text == "41"
    assert not trio["c"].requests
    assert "There was no time to ask all proposers" in reasons(done)


async def test_a_call_that_is_lost_gives_no_votes(trio: Trio, ask: Ask) -> None:
    whole = lengths(trio["a"], 1, 3)

    async def broken(request: Any, stream: Any) -> Any:
        async for delta in whole(request, stream):
            if delta.text != "42" or delta.index:
                raise EngineFailed("a", "gone")
            yield delta

    trio["a"].intercept = broken
    trio["b"].answer = "43"
    trio["b"].ttft_s = 0.01
    done = await run(trio, ask(), RECIPE | {"proposers": ["a", "a", "b", "b"]})
    assert done.text == "43"
    assert [status for model, status in statuses(done) if model == "a"] == ["failed", "failed"]


# -- confidence ------------------------------------------------------------------------------------------------------

CONFIDENT: dict[str, Any] = {"warmup": 2, "keep": 0.5, "window_tokens": 2, "alternatives": 2, "consensus": 1.0}


def confident(engine: ScriptedEngine, *answers: tuple[str, list[float]], at_once: bool = False) -> Interceptor:
    """Have each call of `engine` give the next of `answers`, whose tokens have these confidences.

    Returns what it set as `engine.intercept`.
    """
    left = list(answers)

    async def stream(request: Any, _: Any) -> Any:
        text, confidences = left.pop(0)
        for place, value in enumerate(confidences):
            top = (TokenLogprob("x", -value), TokenLogprob("y", -value))
            ends = place == len(confidences) - 1
            usage = TokenUsage(5, place + 1)
            yield Delta(
                text if ends else "so ",
                logprobs=(TokenLogprob("x", -value, top=top),),
                finish_reason="stop" if ends else None,
                usage=usage if ends else None,
                running_usage=usage,
            )
            if not at_once:
                await asyncio.sleep(0)

    engine.intercept = stream
    return stream


def confident_recipe(samples: int, **changes: Any) -> dict[str, Any]:
    return RECIPE | {"proposers": ["a"], "samples": samples, "confidence": CONFIDENT | changes}


async def test_an_answer_whose_confidence_falls_is_stopped(trio: Trio, ask: Ask) -> None:
    warm = [("1", [4.0, 4.0]), ("2", [6.0, 6.0])]  # the threshold is the median, 5
    confident(trio["a"], *warm, ("3", [9.0, 2.0, 2.0, 2.0]), ("2", [9.0, 9.0, 9.0]))
    done = await run(trio, ask(), confident_recipe(4))
    assert done.text == "so 2"
    assert [status for _, status in statuses(done)] == ["ok", "ok", "cancelled", "ok"]
    assert done.report is not None
    stopped = done.report.agents[2]
    assert stopped.cause == "low_confidence"
    assert stopped.error == "cancelled: its confidence fell below that of the first answers"
    assert stopped.usage.completion_tokens in (3, 4)  # 9 and 2 are 5.5, 2 and 2 are less than 5
    assert not done.report.degraded
    assert "'a' (proposer, layer 1) was stopped: its confidence fell" in reasons(done)
    assert trio["a"].cancelled == 1


async def test_an_answer_that_ends_before_it_can_be_stopped_is_recorded_once(trio: Trio, ask: Ask) -> None:
    warm = [("1", [4.0, 4.0]), ("2", [6.0, 6.0])]
    confident(trio["a"], *warm, ("3", [2.0, 2.0, 2.0]), at_once=True)
    done = await run(trio, ask(), confident_recipe(3))
    assert done.text == "so 2"
    assert [status for _, status in statuses(done)] == ["ok", "ok", "cancelled"]


async def test_the_first_answers_are_never_stopped(trio: Trio, ask: Ask) -> None:
    confident(trio["a"], ("1", [9.0] * 4), ("1", [0.1] * 4))
    done = await run(trio, ask(), confident_recipe(2))
    assert [status for _, status in statuses(done)] == ["ok", "ok"]


async def test_votes_are_weighted_by_confidence(trio: Trio, ask: Ask) -> None:
    confident(trio["a"], ("1", [1.0, 1.0]), ("1", [1.0, 1.0]), ("2", [9.0, 9.0]))
    assert (await run(trio, ask(), confident_recipe(3, warmup=3))).text == "so 2"


async def test_a_consensus_after_the_first_answers_ends_the_vote(trio: Trio, ask: Ask) -> None:
    confident(trio["a"], ("1", [1.0, 1.0]), ("1", [2.0, 2.0]))
    done = await run(trio, ask(), confident_recipe(8))
    assert done.text == "so 1"
    assert len(trio["a"].requests) == 2
    assert "Layer 1 was decided by 2 of its 8 answers" in reasons(done)


async def test_each_answer_is_a_call_with_a_seed_of_its_own(trio: Trio, ask: Ask) -> None:
    confident(trio["a"], *[(str(number), [1.0, 1.0]) for number in range(4)])
    await run(trio, ask(seed=3), confident_recipe(4))
    assert [request.sampling.seed for request in trio["a"].requests] == [3, 4, 5, 6]
    assert {(request.sampling.n, request.sampling.logprobs) for request in trio["a"].requests} == {(1, 2)}


async def test_models_have_thresholds_of_their_own(trio: Trio, ask: Ask) -> None:
    confident(trio["a"], ("1", [9.0, 9.0]), ("1", [9.0, 9.0]))
    confident(trio["b"], ("2", [1.0, 1.0]), ("2", [1.0, 1.0, 1.0]))
    done = await run(trio, ask(), confident_recipe(4) | {"proposers": ["a", "b"]})
    assert [status for _, status in statuses(done)] == ["ok"] * 4


async def test_a_lost_replica_begins_with_an_empty_group(trio: Trio, ask: Ask) -> None:
    answers = ("1", [4.0, 4.0]), ("2", [6.0, 6.0]), ("3", [0.0, 1.0]), ("2", [9.0, 9.0, 9.0])
    whole, calls = confident(trio["a"], *answers), []

    async def lost_once(request: Any, stream: Any) -> Any:
        calls.append(request)
        async for delta in whole(request, stream):
            yield delta
            if len(calls) == 3:
                raise EngineUnavailable("a")

    trio["a"].intercept = lost_once
    done = await run(trio, ask(), confident_recipe(3))
    assert [status for _, status in statuses(done)] == ["ok"] * 3


def test_a_model_without_log_probabilities_is_refused_at_load(trio: Trio) -> None:
    trio["a"].unsupported = frozenset({"logprobs"})
    with pytest.raises(ConfigError, match="logprobs"):
        Orchestrator(trio, load_recipes([confident_recipe(4)], TEAM))


def test_a_stop_beside_confidence_is_refused() -> None:
    with pytest.raises(ConfigError, match="stop has no effect with confidence"):
        load_recipes([confident_recipe(4) | {"stop": "likely"}], TEAM)
