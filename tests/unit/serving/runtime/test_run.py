"""Runs over scripted engines: prompts of each layer, and agents that fail, are slow or return nothing."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import (
    ConfigError,
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    IncompleteGeneration,
    InvalidRequest,
    LimitExceeded,
    Overloaded,
    QuorumNotReached,
    UnsupportedField,
)
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.cost import Limits
from serving.types import Completion, GenerateRequest
from serving.usage import TokenUsage

Trio = dict[str, ScriptedEngine]
Make = Callable[..., Orchestrator]
Ask = Callable[..., GenerateRequest]


async def answer(orchestrator: Orchestrator, request: GenerateRequest, model: str = "team") -> Completion:
    return await complete(model, orchestrator.engines[model], request)


def shown(engine: ScriptedEngine) -> list[str]:
    return [message.content for message in engine.requests[-1].messages]


async def test_every_agent_sees_all_outputs_of_the_layer_before(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    done = await answer(orchestrate(layers=[["a", "b"], ["b", "c"]], aggregator="a"), ask())
    assert done.text == "a says 2"
    assert "1. b says 2\n2. c says 2" in shown(trio["a"])[0]
    assert "1. a says 0\n2. b says 0" in shown(trio["c"])[0]


async def test_proposers_of_a_layer_run_at_the_same_time(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    met = asyncio.Barrier(3)
    for engine in trio.values():

        async def meet(request: GenerateRequest, stream: Any) -> Any:
            if "Responses from models" not in str(request.messages):
                await met.wait()  # passes only when all three are inside
            async for delta in stream:
                yield delta

        engine.intercept = meet
    assert (await answer(orchestrate(), ask())).text == "a says 3"


async def test_repeats_of_a_sampling_agent_are_one_call_with_n_answers(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    done = await answer(orchestrate(layers=[["b", "b", "b", "c"]]), ask())
    assert [request.sampling.n for request in trio["b"].requests] == [3]
    assert done.text == "a says 4"
    assert done.report is not None
    assert [(trace.model, trace.agent) for trace in done.report.agents[:4]] == [("b", 0), ("b", 1), ("b", 2), ("c", 3)]


async def test_identical_greedy_calls_in_flight_are_computed_once(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].ttft_s = 0.01
    done = await answer(orchestrate(layers=[["b", "b"]]), ask(temperature=0))
    assert len(trio["b"].requests) == 1
    assert done.text == "a says 2"


async def test_usage_is_the_sum_over_all_agents(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    done = await answer(orchestrate(), ask())
    assert done.report is not None
    total = TokenUsage()
    for trace in done.report.agents:
        total += trace.usage
    assert done.usage == total
    assert done.usage.completion_tokens == 4 * 3
    assert not done.report.degraded


async def test_a_failing_proposer_costs_quality_not_the_request(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].error = EngineFailed("b", "out of memory")
    done = await answer(orchestrate(), ask())
    assert done.text == "a says 2"
    assert done.report is not None
    assert done.report.degraded
    assert done.report.reasons == ("'b' (proposer, layer 1) failed.",)
    assert [trace.status for trace in done.report.agents] == ["ok", "failed", "ok", "ok"]


@pytest.mark.parametrize("text", ["", "  \n\t "])
async def test_empty_answers_do_not_count(orchestrate: Make, trio: Trio, ask: Ask, text: str) -> None:
    trio["b"].answer = trio["c"].answer = text
    with pytest.raises(QuorumNotReached, match="1 usable proposals of 2 needed"):
        await answer(orchestrate(min_proposals=2), ask())
    done = await answer(orchestrate(min_proposals=1), ask())
    assert done.text == "a says 1"
    assert done.report is not None
    assert [trace.status for trace in done.report.agents] == ["ok", "empty", "empty", "ok"]


async def test_a_lost_replica_is_tried_again(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    lost = [EngineUnavailable("b")]
    says = trio["b"].answer

    def once(request: GenerateRequest) -> str | ScriptedAnswer:
        if lost:
            raise lost.pop()
        assert callable(says)
        return says(request)

    trio["b"].answer = once
    done = await answer(orchestrate(), ask())
    assert done.text == "a says 3"
    assert done.report is not None
    assert [agent.status for agent in done.report.agents] == ["ok"] * 4
    # Nothing of the answer is missing, but tokens of the usage are.
    assert done.report.reasons == (
        "The tokens of other attempts of 'b' (proposer, layer 1) are not known, and not in the usage.",
    )


async def test_an_engine_that_does_not_count_makes_the_usage_a_lower_bound_and_the_answer_says_so(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:

    async def uncounted(request: GenerateRequest, stream: Any) -> Any:
        async for delta in stream:
            yield replace(delta, usage=delta.usage and TokenUsage(None, None, None))

    trio["b"].intercept = uncounted
    done = await answer(orchestrate(layers=[["b", "b", "c"]]), ask())
    assert done.report is not None
    assert [agent.usage.total_tokens is None for agent in done.report.agents] == [True, True, False, False]
    assert done.usage.completion_tokens == 2 * 3
    assert not done.report.degraded  # the answer is as good as ever
    assert done.report.reasons == ("The tokens of 'b' (proposer, layer 1) are not known, and not in the usage.",)


async def test_stragglers_are_cut_after_the_grace(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["c"].hang = True
    done = await answer(orchestrate(min_proposals=2, straggler_grace_s=0.01), ask())
    assert done.text == "a says 2"
    assert done.report is not None
    assert [trace.status for trace in done.report.agents] == ["ok", "ok", "straggler", "ok"]
    assert trio["c"].cancelled == 1
    assert trio["c"].running == 0


async def test_a_proposers_deadline_is_kept(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["c"].hang = True
    done = await answer(orchestrate(layers=[["a", "b", {"model": "c", "deadline_s": 0.01}]]), ask())
    assert done.report is not None
    assert [trace.status for trace in done.report.agents] == ["ok", "ok", "timeout", "ok"]


async def test_the_whole_deadline_ends_a_request_with_an_error(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.hang = True
    with pytest.raises(DeadlineExceeded):
        await answer(orchestrate(deadline_s=0.02), ask())
    assert all(engine.running == 0 for engine in trio.values())


async def test_the_aggregator_falls_back_before_its_first_token(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    done = await answer(orchestrate(layers=[["b", "c"]]), ask())
    assert done.text == "b says 2"
    assert done.report is not None
    assert done.report.degraded
    assert [(trace.model, trace.status) for trace in done.report.agents][2:] == [("a", "failed"), ("b", "ok")]


async def test_a_hung_aggregator_falls_back_too(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["a"].hang = True
    done = await answer(orchestrate(layers=[["b", "c"]], first_token_deadline_s=0.01), ask())
    assert done.text == "b says 2"
    assert trio["a"].running == 0


async def test_an_empty_aggregation_falls_back_too(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["a"].answer = ""  # no token at all
    assert (await answer(orchestrate(layers=[["b", "c"]]), ask())).text == "b says 2"


async def test_without_any_aggregator_the_first_proposal_is_the_answer(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    done = await answer(orchestrate(layers=[["b", "c"]], fallbacks=[]), ask())
    assert done.text == "b says 0"
    assert done.report is not None
    assert "one of the proposals is returned" in done.report.reasons[-1]


async def test_an_aggregator_failing_after_its_first_token_is_an_error(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["a"].error, trio["a"].fail_after = EngineFailed("a", "gone"), 1
    async with aclosing(orchestrate(layers=[["b"]]).engines["team"].generate(ask())) as stream:
        assert (await anext(stream)).text == "a"
        with pytest.raises(EngineFailed, match="gone"):
            await anext(stream)


async def test_a_stream_cut_short_is_never_an_answer(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["a"].cut_after = 1
    with pytest.raises(IncompleteGeneration):
        await answer(orchestrate(layers=[["b"]]), ask())


async def test_closing_the_stream_ends_all_work(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.hang = True
    task = asyncio.create_task(answer(orchestrate(), ask()))
    while sum(engine.running for engine in trio.values()) < 3:  # noqa: ASYNC110 - engines have no event to wait for
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [engine.running for engine in trio.values()] == [0, 0, 0]
    assert [engine.cancelled for engine in trio.values()] == [1, 1, 1]


async def test_a_stream_that_is_closed_in_its_middle_ends_the_engines_with_it(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:
    trio["a"].answer = "one two three"
    stream = orchestrate(layers=[["b"]]).engines["team"].generate(ask())
    assert (await anext(stream)).text == "one"
    assert trio["a"].running == 1
    await stream.aclose()
    assert trio["a"].running == 0


async def test_errors_of_the_caller_keep_their_kind(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.context_tokens = 3
    with pytest.raises(ContextTooLong) as caught:
        await answer(orchestrate(), ask("one two three four"))
    assert caught.value.context_tokens == 3
    for engine in trio.values():
        engine.context_tokens, engine.error = 100, Overloaded("full", 2.0)
    with pytest.raises(Overloaded):
        await answer(orchestrate(), ask())


async def test_references_are_shortened_to_fit_and_the_answer_says_so(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].answer = "word " * 500
    trio["c"].answer = "short"
    trio["a"].context_tokens = 400
    done = await answer(orchestrate(layers=[["b", "c"]], fallbacks=[], proposal_max_tokens=999), ask(max_tokens=8))
    system = shown(trio["a"])[0]
    assert "[...]" in system
    assert "2. short" in system
    assert done.report is not None
    assert done.report.agents[-1].shortened == 1
    assert done.report.degraded


@pytest.mark.parametrize(("field", "sampling"), [("n", {"n": 2}), ("logprobs", {"logprobs": 1})])
async def test_what_only_single_models_do_is_refused_by_name(
    orchestrate: Make, ask: Ask, field: str, sampling: dict[str, int]
) -> None:
    with pytest.raises(UnsupportedField, match=f"'{field}'"):
        await answer(orchestrate(), ask(**sampling))


async def test_limits_are_checked_before_any_work(trio: Trio, ask: Ask) -> None:
    recipes = load_recipes([{"id": "team", "layers": [["a", "b"]], "aggregator": "a", "proposal_max_tokens": 10}])
    limited = Orchestrator(trio, recipes, Limits(max_calls=3, max_tokens=24))
    with pytest.raises(LimitExceeded, match="5 calls, but the operator allows 3"):
        await answer(limited, ask(options={"layers": 2}))
    with pytest.raises(LimitExceeded, match="25 tokens, but the operator allows 24"):
        await answer(limited, ask(max_tokens=5))
    assert not any(engine.requests for engine in trio.values())


async def test_without_max_tokens_the_limit_holds_all_the_same(trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.answer = "word " * 1000
    team = {"id": "team", "layers": [["a", "b"], ["c"]], "aggregator": "a", "prefill": "off"}
    for limits, changes, most in (
        (Limits(max_tokens=100), {}, [25, 25, 25, 25]),
        (Limits(max_tokens=100), {"proposal_max_tokens": 30}, [30, 30, 30, 10]),
        (Limits(max_tokens=100), {"aggregator": {"model": "a", "max_tokens": 90}}, [25, 25, 25, 25]),
    ):
        done = await answer(Orchestrator(trio, load_recipes([{**team, **changes}]), limits), ask())
        assert done.report is not None
        assert [agent.usage.completion_tokens for agent in done.report.agents] == most
        assert done.choices[0].finish_reason == "length"
    limited = Orchestrator(trio, load_recipes([team]), Limits(max_tokens=6))
    with pytest.raises(LimitExceeded, match="7 tokens, but the operator allows 6"):
        await answer(limited, ask(options={"models": ["a", "b", "c"], "layers": 2}))


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(max_calls=2), r"'team' needs 3 calls per request, but orchestrator\.limits\.max_calls is 2"),
        (Limits(max_tokens=19), r"'team' needs 21 tokens per request, but orchestrator\.limits\.max_tokens is 19"),
    ],
)
def test_a_recipe_that_the_limits_never_allow_is_refused_at_start(trio: Trio, limits: Limits, sentence: str) -> None:
    recipes = load_recipes([{"id": "team", "layers": [["a", "b"]], "aggregator": "a", "proposal_max_tokens": 10}])
    with pytest.raises(ConfigError, match=sentence):
        Orchestrator(trio, recipes, limits)


@pytest.mark.parametrize("name", [["x"], {"x": 1}, 5, "x" * 100_000])
async def test_a_recipe_that_is_none_is_the_callers_error(orchestrate: Make, ask: Ask, name: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"(Change|Set) 'moa\.recipe'") as caught:
        await answer(orchestrate(), ask(options={"recipe": name}))
    assert len(str(caught.value)) < 200


async def test_a_request_may_override_what_the_recipe_allows(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    await answer(orchestrate(), ask(options={"layout": "references_last", "trace": True}))
    assert [message.role for message in trio["a"].requests[-1].messages] == ["user"]
    with pytest.raises(InvalidRequest, match=r"Remove 'moa\.prompt'"):
        await answer(orchestrate(), ask(options={"prompt": "Obey."}))
    with pytest.raises(InvalidRequest, match=r"Set 'moa\.layout' to 'paper' or 'references_last'"):
        await answer(orchestrate(), ask(options={"layout": "sideways"}))


async def test_the_callers_sampling_reaches_the_aggregator(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    await answer(
        orchestrate(layers=[[{"model": "b", "temperature": 1.5}]], proposal_max_tokens=7),
        ask(temperature=0.2, max_tokens=33, stop=("END",), seed=5, top_k=3),
    )
    final, proposer = trio["a"].requests[-1].sampling, trio["b"].requests[-1].sampling
    assert (final.temperature, final.max_tokens, final.stop, final.seed, final.top_k) == (0.2, 33, ("END",), 5, 3)
    assert (proposer.temperature, proposer.max_tokens, proposer.stop, proposer.seed) == (1.5, 7, (), 5)


async def test_later_layers_come_before_earlier_ones(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    await answer(orchestrate(layers=[["b"], ["c"]], aggregator="a"), ask())
    priorities = [trio[name].requests[-1].priority for name in "bca"]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 3


async def test_a_first_layer_stands_in_line_with_plain_models_of_the_same_priority(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:
    team = orchestrate(layers=[["b"]])
    for given in (0, 3, -3):
        request = replace(ask(), priority=given)
        await answer(team, request)
        await answer(team, request, "c")
        first, final, plain = (trio[name].requests[-1].priority for name in "bac")
        assert final < first == plain
        assert plain == given * 64


async def test_whole_answers_of_a_model_that_must_be_the_same_are_computed_once(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:
    trio["b"].ttft_s = 0.005
    team = orchestrate()
    greedy = replace(ask(temperature=0), stream_interval=None)
    for request, calls in (
        (greedy, 1),
        (replace(greedy, stream_interval=1), 3),
        (replace(ask(), stream_interval=None), 3),
    ):
        trio["b"].requests.clear()
        both = await asyncio.gather(*(answer(team, replace(request, request_id=str(i)), "b") for i in range(3)))
        assert [done.text for done in both] == ["b says 0"] * 3
        assert all(done.timing.total_s and done.usage.completion_tokens == 3 for done in both)
        assert len(trio["b"].requests) == calls


async def test_an_endpoint_that_gives_one_choice_is_asked_as_often_as_answers_are_wanted(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:
    trio["b"].unsupported = frozenset({"n"})
    done = await answer(orchestrate(layers=[["b", "b", "b", "c", "c"]]), ask(seed=7))
    assert [(request.sampling.n, request.sampling.seed) for request in trio["b"].requests] == [(1, 7), (1, 8), (1, 9)]
    assert [(request.sampling.n, request.sampling.seed) for request in trio["c"].requests] == [(2, 7)]
    assert done.text == "a says 5"


async def test_two_runs_share_no_mutable_state(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    orchestrator = orchestrate(layers=[["a", "b"], ["b", "c"]])
    first = await answer(orchestrator, ask())
    second = await answer(orchestrator, ask())
    assert first.text == second.text
    assert trio["a"].requests[0].messages == trio["a"].requests[2].messages == ask().messages
