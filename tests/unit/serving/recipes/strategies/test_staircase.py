"""Staircase: the aggregator writes in chunks while the proposals grow."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.conversation import Message, Thinking, Tool
from serving.decoding import Decoding
from serving.engine import CONTINUING, collect, complete
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_tokens import words as scripted_words
from serving.errors import ConfigError, EngineFailed, EngineUnavailable, MoaError, QuorumNotReached
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.cost import Cost
from serving.types import AgentTrace, Completion, Delta, GenerateRequest, ResponseFormat, Sampling
from serving.usage import UsageScope
from tests.support.clock import SimulatedLoop, simulated_time
from tests.support.recipes import Ask, Trio, reasons, report_of
from tests.support.waiting import until

TEAM: dict[str, str | list[str]] = {"proposers": ["b", "c"], "aggregator": "a"}
FIRST, CHUNK = 4, 6
ITL_S = 0.1


def words(name: str, count: int) -> str:
    return " ".join(f"{name}{number}" for number in range(1, count + 1))


def recipe(**changes: Any) -> dict[str, Any]:
    return {"preset": "moa-staircase", "first_chunk_tokens": FIRST, "chunk_tokens": CHUNK, **changes}


def writing(trio: Trio, answer: int = 40, proposal: int = 30) -> None:
    """All engines write a token every `ITL_S`; proposals and answer have so many words."""
    for name, engine in trio.items():
        engine.answer, engine.itl_s = words(name, answer if name == "a" else proposal), ITL_S


async def run(trio: Trio, request: GenerateRequest, *, stream: bool = True, **changes: Any) -> Completion:
    engine = Orchestrator(trio, load_recipes([recipe(**changes)], TEAM)).engines["moa-staircase"]
    request = replace(request, stream_interval=1 if stream else None)
    done = await collect("moa-staircase", engine.generate(request), 1)
    assert all(one.running == 0 for one in trio.values())
    return done


def answering(done: Completion) -> list[AgentTrace]:
    return [trace for trace in report_of(done).agents if trace.role == "aggregator"]


def block(engine: ScriptedEngine, call: int) -> str:
    """References in the prompt of one call."""
    return engine.requests[call].messages[0].content.partition("Responses from models:\n")[2]


@simulated_time
async def test_the_answer_begins_with_the_first_chunks_and_ends_with_whole_proposals(trio: Trio, ask: Ask) -> None:
    writing(trio)
    done = await run(trio, ask())
    assert done.text == words("a", 40)
    calls = answering(done)
    assert [call.finish_reason for call in calls] == ["length"] * (len(calls) - 1) + ["stop"]
    assert len(calls) > 2
    assert "".join(call.text for call in calls) == done.text
    assert block(trio["a"], 0) == "1. b1 b2 b3 [...]\n2. c1 c2 c3 [...]"
    assert block(trio["a"], -1) == f"1. {words('b', 30)}\n2. {words('c', 30)}"
    first, *others = trio["a"].requests
    assert (first.prompt_end, first.sampling.max_tokens) == ("answer", CHUNK)
    for position, request in enumerate(others, start=1):
        assert request.prompt_end == "continued"
        assert request.messages[-1] == Message("assistant", "".join(call.text for call in calls[:position]))
    assert done.timing.ttft_s == pytest.approx(3 * ITL_S)


@simulated_time
async def test_usage_is_that_of_all_calls(trio: Trio, ask: Ask) -> None:
    writing(trio)
    done = await run(trio, ask())
    assert report_of(done).usage == done.usage
    assert done.usage.completion_tokens == 40 + 2 * 30
    assert report_of(done).answer_usage is not None
    assert report_of(done).answer_usage.completion_tokens == 40
    assert report_of(done).answer_usage.prompt_tokens == sum(call.usage.prompt_tokens or 0 for call in answering(done))
    assert not report_of(done).degraded


@pytest.mark.parametrize("scope", ["answer", "team"])
@pytest.mark.parametrize("interval", [1, 64])
@simulated_time
async def test_usage_so_far_grows_to_that_of_the_answer(trio: Trio, ask: Ask, scope: UsageScope, interval: int) -> None:
    writing(trio)
    trio["a"].intercept = in_pieces(interval)
    engine = Orchestrator(trio, load_recipes([recipe()], TEAM)).engines["moa-staircase"]
    counts = []
    async for delta in engine.generate(replace(ask(), running_usage=scope)):
        if delta.text and not delta.terminal:
            assert delta.running_usage is not None
            counts.append(delta.running_usage.completion_tokens or 0)
        if delta.terminal:
            assert delta.report is not None
            whole = delta.report.usage if scope == "team" else delta.report.answer_usage
            assert whole is not None
            counts.append(whole.completion_tokens or 0)
    assert counts == sorted(counts)
    assert len(counts) > 3


def in_pieces(interval: int) -> Any:
    """An interceptor that joins deltas: an engine may send a chunk as a whole."""

    async def joined(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        held = ""
        async for delta in stream:
            held += delta.text
            if delta.terminal or len(held.split()) >= interval:
                yield replace(delta, text=held)
                held = ""

    return joined


@simulated_time
async def test_appended_parts_keep_the_prompt_so_far_as_a_prefix(trio: Trio, ask: Ask) -> None:
    writing(trio)
    done = await run(trio, ask(), parts="appended")
    assert done.text == words("a", 40)
    blocks = [block(trio["a"], call) for call in range(len(trio["a"].requests))]
    assert blocks[0] == "1. b1 b2 b3 [...]\n2. c1 c2 c3 [...]"
    for before, after in pairwise(blocks):
        assert after.startswith(before)
    assert blocks[1].startswith(f"{blocks[0]}\n1. [...] b4")
    for name in "bc":
        own = [line.removeprefix("[...] ") for line in lines_of(blocks[-1], "bc".index(name) + 1)]
        assert " ".join(line.removesuffix(" [...]") for line in own) == words(name, 30)


def lines_of(text: str, number: int) -> list[str]:
    return [line.partition(". ")[2] for line in text.splitlines() if line.startswith(f"{number}. ")]


@pytest.mark.parametrize("stream", [True, False])
@simulated_time
async def test_an_answer_that_ends_early_cancels_the_proposals(trio: Trio, ask: Ask, stream: bool) -> None:
    writing(trio, answer=5, proposal=1000)
    done = await run(trio, ask(), stream=stream)
    assert done.text == words("a", 5)
    assert [trace.status for trace in report_of(done).agents] == ["cancelled", "cancelled", "ok"]
    assert trio["b"].cancelled == trio["c"].cancelled == 1
    assert not report_of(done).degraded


@simulated_time
async def test_a_slow_proposal_is_waited_for_no_longer_than_the_grace(trio: Trio, ask: Ask) -> None:
    writing(trio, answer=100)
    trio["c"].ttft_s = 2.0
    done = await run(trio, ask(), chunk_grace_s=0.5)
    assert block(trio["a"], 0).startswith("1. b1")
    assert "c1" not in block(trio["a"], 0)
    assert block(trio["a"], -1) == f"1. {words('b', 30)}\n2. {words('c', 30)}"
    assert done.timing.ttft_s == pytest.approx(3 * ITL_S + 0.5)


@simulated_time
async def test_the_quorum_has_its_first_chunks_before_the_answer_begins(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["c"].ttft_s = 2.0
    done = await run(trio, ask(), chunk_grace_s=0, min_proposals=2)
    assert block(trio["a"], 0).splitlines()[1].startswith("2. c1")
    assert done.timing.ttft_s == pytest.approx(2.0 + 3 * ITL_S)


@pytest.mark.parametrize("session", [None, "s"])
@simulated_time
async def test_all_chunks_go_to_the_replica_that_has_their_cache(trio: Trio, ask: Ask, session: str | None) -> None:
    writing(trio)
    await run(trio, replace(ask(), session=session), prefill="off")
    assert len(trio["a"].requests) > 1
    assert {request.session for request in trio["a"].requests} == {session or "r1"}


@simulated_time
async def test_the_conversation_is_prefilled_before_the_first_chunk(trio: Trio, ask: Ask) -> None:
    writing(trio)
    await run(trio, ask("What is it?"), layout="references_last")
    [(request, marker)] = trio["a"].prefills
    assert request.messages[0].content.partition(marker)[0].startswith("What is it?")
    assert trio["a"].requests[0].messages[0].content.startswith(request.messages[0].content.partition(marker)[0])


@simulated_time
async def test_chunks_are_no_more_than_the_setting_says(trio: Trio, ask: Ask) -> None:
    writing(trio, answer=200, proposal=100)
    done = await run(trio, ask(), max_chunks=3)
    assert [call.usage.completion_tokens for call in answering(done)] == [CHUNK, CHUNK, CHUNK, 200 - 3 * CHUNK]
    assert done.text == words("a", 200)


# -- failures --------------------------------------------------------------------------------------------------------


@simulated_time
async def test_a_proposal_that_fails_keeps_what_was_shown_and_degrades(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["c"].error, trio["c"].fail_after = EngineFailed("c", "broken"), 12
    done = await run(trio, ask())
    assert done.text == words("a", 40)
    assert "'c' (proposer, layer 1) failed." in reasons(done)
    last = block(trio["a"], -1).splitlines()
    assert last[0] == f"1. {words('b', 30)}"
    assert last[1].startswith("2. c1 c2 c3")
    assert last[1].endswith(" [...]")


@simulated_time
async def test_too_few_proposals_before_the_answer_are_an_error(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["c"].error = EngineFailed("c", "broken")
    with pytest.raises(QuorumNotReached):
        await run(trio, ask(), min_proposals=2)
    assert not trio["a"].requests


@simulated_time
async def test_too_few_proposals_after_its_beginning_degrade_the_answer(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["c"].error, trio["c"].fail_after = EngineFailed("c", "broken"), 12
    done = await run(trio, ask(), min_proposals=2)
    assert done.text == words("a", 40)
    assert "Too few proposals were usable" in reasons(done)


@simulated_time
async def test_a_retried_proposal_is_read_again_from_its_beginning(trio: Trio, ask: Ask) -> None:
    writing(trio)
    lost = [True]

    async def lose(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        count = 0
        async for delta in stream:
            count += 1
            if count == 10 and lost:
                lost.clear()
                trio["c"].answer = words("other", 30)
                raise EngineUnavailable("c")
            yield delta

    trio["c"].intercept = lose
    done = await run(trio, ask())
    assert done.text == words("a", 40)
    assert block(trio["a"], 0).splitlines()[1].startswith("2. c1")
    assert block(trio["a"], -1) == f"1. {words('b', 30)}\n2. {words('other', 30)}"


@pytest.mark.parametrize("stream", [True, False])
@simulated_time
async def test_another_agent_continues_where_the_first_failed(trio: Trio, ask: Ask, stream: bool) -> None:
    writing(trio)
    trio["a"].error, trio["a"].fail_after = EngineFailed("a", "broken"), 3
    trio["b"].answer = lambda request: words("a" if request.references or "Responses" in said(request) else "b", 40)
    done = await run(trio, ask(), stream=stream, fallbacks=["b"])
    assert done.text == words("a", 40)
    assert [(call.model, call.status) for call in answering(done)][:2] == [("a", "failed"), ("b", "ok")]
    assert "'a' (aggregator, layer 2) failed." in reasons(done)


def said(request: GenerateRequest) -> str:
    return "\n".join(message.content for message in request.messages)


@simulated_time
async def test_without_an_agent_that_can_write_the_answer_is_a_proposal(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["a"].error = EngineFailed("a", "broken")
    done = await run(trio, ask(), fallbacks=[])
    assert done.text == words("b", 30)
    assert "one of the proposals is returned" in reasons(done)


@simulated_time
async def test_a_visible_answer_that_fails_ends_the_stream_with_the_error(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["a"].error, trio["a"].fail_after = EngineFailed("a", "broken"), 3
    with pytest.raises(EngineFailed):
        await run(trio, ask(), fallbacks=[])
    whole = await run(trio, ask(), stream=False, fallbacks=[])
    assert whole.text == words("b", 30)


@simulated_time
async def test_a_deadline_cuts_the_visible_answer(trio: Trio, ask: Ask) -> None:
    writing(trio, answer=1000, proposal=1000)
    done = await run(trio, ask(), deadline_s=8.0)
    assert words("a", 1000).startswith(done.text)
    assert len(done.text.split()) > CHUNK
    assert done.choices[0].finish_reason == "length"
    assert "it is cut off" in reasons(done)


@simulated_time
async def test_an_agent_with_nothing_to_say_about_the_first_chunks_is_asked_again(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["a"].answer = lambda request: "" if "[...]" in block_of(request) else words("a", 3)

    def block_of(request: GenerateRequest) -> str:
        return said(request).partition("Responses from models:\n")[2]

    async def ended(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        async for delta in stream:
            if delta.usage is not None:  # a model counts its end token
                delta = replace(delta, usage=replace(delta.usage, completion_tokens=delta.usage.completion_tokens or 1))
            yield delta

    trio["a"].intercept = ended
    done = await run(trio, ask())
    assert done.text == words("a", 3)
    assert block(trio["a"], -1) == f"1. {words('b', 30)}\n2. {words('c', 30)}"


async def test_closing_the_stream_ends_all_work(trio: Trio, ask: Ask) -> None:
    writing(trio, answer=10_000, proposal=10_000)
    for engine in trio.values():
        engine.itl_s = 1e-4
    engine = Orchestrator(trio, load_recipes([recipe()], TEAM)).engines["moa-staircase"]
    stream = engine.generate(ask())
    read = 0
    async for delta in stream:
        read += bool(delta.text)
        if read == 2 * CHUNK:
            break
    await stream.aclose()
    assert [one.running for one in trio.values()] == [0, 0, 0]
    await until(lambda: len(asyncio.all_tasks()) == 1)


# -- what the request sets ---------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    answer=st.integers(1, 50),
    proposals=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    limit=st.none() | st.integers(1, 60),
    stop=st.none() | st.integers(1, 50),
    kept=st.booleans(),
    first=st.integers(1, 12),
    chunk=st.integers(1, 12),
    parts=st.sampled_from(["merged", "appended"]),
    stream=st.booleans(),
)
def test_chunks_make_the_answer_that_one_call_makes(
    answer: int,
    proposals: tuple[int, int],
    limit: int | None,
    stop: int | None,
    kept: bool,
    first: int,
    chunk: int,
    parts: str,
    stream: bool,
) -> None:
    """The same text, finish reason, stop and tokens as of one call, whatever the chunks and their ends."""

    stops = () if stop is None else (f"{stop} a{stop + 1}",)  # in two tokens

    def say(request: GenerateRequest) -> str:
        """Like an engine: a stop string ends the text if all of it is in the tokens of this call."""
        begun = request.messages[-1].content if request.prompt_end == "continued" else ""
        rest = words("a", answer).removeprefix(begun)
        known = "".join(scripted_words(rest)[: request.sampling.max_tokens])
        ends = [place + kept * len(one) for one in request.sampling.stop if (place := known.find(one)) >= 0]
        return begun + (known[: min(ends)] if ends else rest)

    def trio() -> Trio:
        lengths = {"b": proposals[0], "c": proposals[1]}
        engines = {name: ScriptedEngine(name, words(name, count), itl_s=ITL_S) for name, count in lengths.items()}
        return {"a": ScriptedEngine("a", say, itl_s=ITL_S), **engines}

    sampling = Sampling(max_tokens=limit, stop=stops, decoding=Decoding(include_stop_str_in_output=kept))
    request = GenerateRequest("r", (Message("user", "Why?"),), sampling)
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        sizes = {"first_chunk_tokens": first, "chunk_tokens": chunk, "parts": parts}
        done = runner.run(run(trio(), request, stream=stream, **sizes))
        whole = runner.run(complete("a", trio()["a"], replace(request, sampling=replace(sampling, stop=()))))
    expected, reason = whole.text, whole.choices[0].finish_reason
    if stops and (place := expected.find(stops[0])) >= 0:
        expected, reason = expected[: place + kept * len(stops[0])], "stop"
    assert (done.text, done.choices[0].finish_reason) == (expected, reason)
    calls = answering(done)
    tokens = sum(call.usage.completion_tokens or 0 for call in calls)
    assert limit is None or tokens <= limit
    assert all((call.usage.completion_tokens or 0) <= chunk for call in calls[:-1])
    assert report_of(done).answer_usage is not None
    assert report_of(done).answer_usage.completion_tokens == tokens


@simulated_time
async def test_a_continued_message_is_continued_by_every_chunk(trio: Trio, ask: Ask) -> None:
    writing(trio)
    begun = Message("assistant", "a1 a2 ")
    request = replace(ask(), messages=(*ask().messages, begun), prompt_end="continued")
    done = await run(trio, request)
    assert begun.content + done.text == words("a", 40)
    assert all(sent.messages[-1].content.startswith(begun.content) for sent in trio["a"].requests)


@simulated_time
async def test_each_chunk_of_a_seeded_answer_has_a_seed_of_its_own(trio: Trio, ask: Ask) -> None:
    writing(trio)
    await run(trio, ask(seed=7))
    seeds = [request.sampling.seed for request in trio["a"].requests]
    assert seeds[0] == 7
    assert len(set(seeds)) == len(seeds) > 1


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"tools": (Tool("look"),)}, "tools"),
        ({"thinking": Thinking(enabled=True)}, "thinking"),
        ({"sampling": Sampling(response_format=ResponseFormat("json_object"))}, "a response format"),
        ({"sampling": Sampling(frequency_penalty=1.0)}, "penalties"),
        ({"sampling": Sampling(decoding=Decoding(bad_words=("x",)))}, "bad_words"),
        ({"sampling": Sampling(min_tokens=2, stop=("x",))}, "min_tokens and stop"),
    ],
)
@simulated_time
async def test_what_a_chunk_cannot_honour_waits_for_whole_proposals(
    trio: Trio, ask: Ask, changes: dict[str, Any], what: str
) -> None:
    writing(trio)
    trio["a"].tools = trio["a"].thinking = True
    done = await run(trio, replace(ask(), **changes))
    assert done.text == words("a", 40)
    assert len(trio["a"].requests) == 1
    assert f"waited for whole proposals, as the request has {what}" in reasons(done)
    assert not report_of(done).degraded


@simulated_time
async def test_the_aggregator_does_not_think_unless_it_is_asked_to(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["a"].thinking = True
    done = await run(trio, ask())
    assert len(answering(done)) > 1
    assert all(request.thinking == Thinking(enabled=False) for request in trio["a"].requests)
    thinking = await run(trio, ask(), aggregator={"model": "a", "thinking": "on"})
    assert len(answering(thinking)) == 1
    assert "as the request has thinking" in reasons(thinking)


def test_a_model_that_cannot_continue_a_message_is_refused_by_name(trio: Trio) -> None:
    trio["a"].unsupported = frozenset({CONTINUING})
    with pytest.raises(ConfigError, match=r"'moa-staircase' requires continue_final_message of 'a'"):
        Orchestrator(trio, load_recipes([recipe()], TEAM))


@simulated_time
async def test_a_fallback_that_cannot_continue_is_asked_with_whole_proposals_only(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["a"].error = EngineFailed("a", "broken")
    trio["b"].unsupported = frozenset({CONTINUING})
    done = await run(trio, ask(), fallbacks=["b"])
    assert done.text == words("b", 30)
    answers = [call for call in answering(done) if call.model == "b"]
    assert [call.status for call in answers] == ["ok"]
    assert block(trio["b"], -1) == f"1. {words('b', 30)}\n2. {words('c', 30)}"


@simulated_time
async def test_an_answer_from_before_is_read_with_every_chunk(trio: Trio, ask: Ask) -> None:
    writing(trio)
    trio["b"].logprob = -5.0
    cascade = {"id": "first", "strategy": "cascade", "first": "b", "escalate": "moa-staircase"}
    engine = Orchestrator(trio, load_recipes([cascade, recipe()], TEAM)).engines["first"]
    done = await complete("first", engine, ask())
    assert done.text == words("a", 40)
    assert all(block(trio["a"], call).startswith(f"1. {words('b', 30)}\n2. b1") for call in range(2))


def test_the_cost_bounds_the_calls() -> None:
    [staircase] = load_recipes([recipe(max_chunks=5)], TEAM).values()
    assert staircase.cost(Sampling(max_tokens=12), {}) == Cost(2 + 1 + 2, 36)
    assert staircase.cost(Sampling(max_tokens=600), {}) == Cost(2 + 1 + 5, 1800)
    assert staircase.cost(Sampling(), {}).tokens is None


# -- any fault at any time -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Fault of one engine after some tokens."""

    kind: str
    after: int

    def put_into(self, engine: ScriptedEngine) -> None:
        match self.kind:
            case "error":
                engine.error, engine.fail_after = EngineFailed(engine.model, "broken"), self.after
            case "lost":
                engine.error, engine.fail_after = EngineUnavailable(engine.model), self.after
            case "cut":
                engine.cut_after = self.after
            case "slow":
                engine.ttft_s = self.after / 10
            case "hang":
                engine.hang = True


FAULTS = st.none() | st.builds(
    Fault, st.sampled_from(["error", "lost", "cut", "slow", "hang"]), st.integers(0, 2 * CHUNK)
)


@settings(max_examples=150, deadline=None)
@given(
    faults=st.tuples(FAULTS, FAULTS, FAULTS),
    quorum=st.integers(1, 2),
    below=st.sampled_from(["fail", "answer", "single"]),
    refill=st.booleans(),
    stream=st.booleans(),
    parts=st.sampled_from(["merged", "appended"]),
    closed_s=st.none() | st.floats(0, 6),
)
def test_faults_end_in_an_answer_or_a_clear_error_and_leave_no_work(
    faults: tuple[Fault | None, ...],
    quorum: int,
    below: str,
    refill: bool,
    stream: bool,
    parts: str,
    closed_s: float | None,
) -> None:
    changes = {"min_proposals": quorum, "below_quorum": below, "refill": refill, "parts": parts, "deadline_s": 12.0}

    async def scenario() -> None:
        engines = {name: ScriptedEngine(name, words(name, 25), itl_s=ITL_S) for name in "abc"}
        for engine, fault in zip(engines.values(), faults, strict=True):
            if fault is not None:
                fault.put_into(engine)
        served = Orchestrator(engines, load_recipes([recipe(**changes)], TEAM)).engines["moa-staircase"]
        request = GenerateRequest("r", (Message("user", "Why?"),), stream_interval=1 if stream else None)
        answering = asyncio.create_task(collect("moa-staircase", served.generate(request), 1))
        done, _ = await asyncio.wait([answering], timeout=closed_s)
        if not done:
            answering.cancel()
            await asyncio.wait([answering])
        assert [engine.running for engine in engines.values()] == [0, 0, 0]
        assert len(asyncio.all_tasks()) == 1  # this one
        if not done:
            return
        try:
            answer = answering.result()
        except MoaError:
            assert any(faults)
            return
        assert answer.report is not None
        traced = [trace for trace in answer.report.agents if trace.usage.completion_tokens is not None]
        assert answer.usage.completion_tokens == sum(trace.usage.completion_tokens or 0 for trace in traced)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(scenario())
