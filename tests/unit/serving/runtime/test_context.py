"""The calls of a run: grouping, seeds, priorities, deadlines and cleanup."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from serving.conversation import Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engines.scripted import ScriptedEngine
from serving.references import Draft, Reference, ReferenceBlock
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.fair_queue import PRIORITIES_PER_REQUEST
from serving.runtime.policy import Policy
from serving.runtime.report import ReportBuilder
from serving.runtime.shared_state import Runtime
from serving.runtime.task import Task
from serving.types import GenerateRequest, MoaOptions, Sampling
from tests.support.clock import simulated_time

Trio = dict[str, ScriptedEngine]
Ask = Callable[..., GenerateRequest]
A, B = Agent(model="a"), Agent(model="b")


def context_of(trio: Trio, request: GenerateRequest, **policy: Any) -> RunContext:
    return RunContext(request, Policy(**policy), Runtime(dict(trio)), ReportBuilder("team"))


def calls_of(context: RunContext, agents: list[Agent], task: Task, **changes: Any) -> list[AgentCall]:
    """The calls of a new layer."""
    return context.calls(dict(enumerate(agents)), task, layer=context.next_layer(), **changes)


async def test_identical_agents_that_sample_are_one_call_with_several_choices(trio: Trio, ask: Ask) -> None:
    calls = calls_of(context_of(trio, ask(seed=7)), [A, B, A, A], Task())
    assert [(call.model, call.slots, call.request.sampling.n) for call in calls] == [
        ("a", (0, 2, 3), 3),
        ("b", (1,), 1),
    ]
    assert [call.request.sampling.seed for call in calls] == [7, 7]


async def test_agents_that_differ_in_any_setting_are_separate_calls(trio: Trio, ask: Ask) -> None:
    calls = calls_of(context_of(trio, ask()), [A, A.model_copy(update={"system": "Be brief."})], Task())
    assert [call.slots for call in calls] == [(0,), (1,)]
    assert calls[1].request.messages[0] == Message("system", "Be brief.")


async def test_identical_greedy_agents_are_separate_calls_with_one_seed(trio: Trio, ask: Ask) -> None:
    calls = calls_of(context_of(trio, ask(temperature=0, seed=7)), [A, A], Task())
    assert [(call.slots, call.request.sampling.n, call.request.sampling.seed) for call in calls] == [
        ((0,), 1, 7),
        ((1,), 1, 7),
    ]


@pytest.mark.parametrize(
    ("seed", "seeds"), [(7, [7, 8, 9]), (None, [None, None, None]), (2**63 - 1, [2**63 - 1, 0, 1])]
)
async def test_an_engine_of_one_choice_per_call_is_called_once_per_agent_with_distinct_seeds(
    trio: Trio, ask: Ask, seed: int | None, seeds: list[int | None]
) -> None:
    trio["a"].unsupported = frozenset({"n"})
    calls = calls_of(context_of(trio, ask(seed=seed)), [A, A, A], Task())
    assert [(call.slots, call.request.sampling.n) for call in calls] == [((0,), 1), ((1,), 1), ((2,), 1)]
    assert [call.request.sampling.seed for call in calls] == seeds


async def test_every_layer_has_its_number_in_ids_and_priorities(trio: Trio, ask: Ask) -> None:
    context = context_of(trio, replace(ask(), priority=-2))
    first, second = calls_of(context, [A, B], Task()), calls_of(context, [A], Task())
    assert [call.request.request_id for call in (*first, *second)] == ["r1-1-0", "r1-1-1", "r1-2-0"]
    base = -2 * PRIORITIES_PER_REQUEST
    assert [call.request.priority for call in (*first, *second)] == [base, base, base - 1]


async def test_no_layer_reaches_the_priorities_of_another_callers_request(trio: Trio, ask: Ask) -> None:
    context = context_of(trio, ask())
    context.layers = 10 * PRIORITIES_PER_REQUEST
    [call] = calls_of(context, [A], Task())
    assert call.request.priority == 1 - PRIORITIES_PER_REQUEST > -PRIORITIES_PER_REQUEST


async def test_a_call_carries_references_and_none_of_the_runs_own_options(trio: Trio, ask: Ask) -> None:
    request = replace(ask(), deadline_s=9.0, moa=MoaOptions(trace=True))
    references = (Reference("b", "text"),)
    [call] = calls_of(context_of(trio, request, prompt="P:", layout="references_last"), [A], Task(references))
    assert call.request.references == ReferenceBlock(references, "P:", "references_last")
    assert (call.request.deadline_s, call.request.moa) == (None, MoaOptions())
    assert call.request.messages == request.messages


async def test_what_may_become_the_answer_keeps_the_callers_limits_on_an_answer(trio: Trio, ask: Ask) -> None:
    context = context_of(trio, ask(stop=("END",), max_tokens=5, min_tokens=3), proposal_max_tokens=50)
    [proposal], [answer] = calls_of(context, [A], Task()), calls_of(context, [A], Task(as_answer=True))
    assert (proposal.request.sampling.stop, proposal.request.sampling.max_tokens) == ((), 50)
    sampling = answer.request.sampling
    assert (sampling.stop, sampling.max_tokens, sampling.min_tokens) == (("END",), 5, 3)


async def test_the_final_agents_own_limit_is_capped_by_the_operators(trio: Trio, ask: Ask) -> None:
    context = context_of(trio, replace(ask(min_tokens=30), token_cap=20))
    sampling = context.answer_sampling(Agent(model="a", max_tokens=100))
    assert (sampling.max_tokens, sampling.min_tokens) == (20, 20)
    assert context.answer_sampling(A).max_tokens is None
    assert context.answer_sampling(A, {"n": 2}).n == 2


@pytest.mark.parametrize(
    ("policy_s", "request_s", "deadline_s"), [(10.0, None, 10.0), (10.0, 4.0, 4.0), (10.0, 40.0, 10.0)]
)
@simulated_time
async def test_the_shorter_deadline_holds(
    trio: Trio, ask: Ask, policy_s: float, request_s: float | None, deadline_s: float
) -> None:
    context = context_of(trio, replace(ask(), deadline_s=request_s), deadline_s=policy_s)
    assert context.deadline_s == context.remaining_s() == deadline_s
    await asyncio.sleep(3)
    assert context.remaining_s() == pytest.approx(deadline_s - 3)
    await asyncio.sleep(100)
    assert context.remaining_s() == 0


@pytest.mark.parametrize(("own_s", "deadline_s"), [(300.0, 10.0), (5.0, 5.0), (1.0, 1.0)])
@simulated_time
async def test_a_delegates_policy_shortens_the_deadline_and_never_lengthens_it(
    trio: Trio, ask: Ask, own_s: float, deadline_s: float
) -> None:
    context = context_of(trio, ask(), deadline_s=10.0)
    await asyncio.sleep(2)
    delegate = replace(context, policy=Policy(deadline_s=own_s))
    assert delegate.deadline_s == pytest.approx(deadline_s)
    assert delegate.remaining_s() == pytest.approx(max(deadline_s - 2, 0))


async def test_close_waits_until_cancelled_tasks_have_cleaned_up(trio: Trio, ask: Ask) -> None:
    context = context_of(trio, ask())
    release, cleaned = asyncio.Event(), []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()
            cleaned.append(name)

    tasks = [asyncio.create_task(work(name)) for name in "ab"]
    await asyncio.sleep(0)
    for task in tasks:
        context.cancel(task)
    closing = asyncio.create_task(context.close())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not closing.done()
    release.set()
    await closing
    assert sorted(cleaned) == ["a", "b"]
    await context.close()  # nothing is left


async def test_a_task_that_has_ended_is_left_alone(trio: Trio, ask: Ask) -> None:
    context = context_of(trio, ask())
    done = asyncio.create_task(asyncio.sleep(0, "result"))
    await done
    context.cancel(done)
    await context.close()
    assert done.result() == "result"


CALL = Message("assistant", "", reasoning="Hm.", tool_calls=(ToolCall("c1", "look", "{}"),))
LOOP = (CALL, Message("tool", "nothing", tool_call_id="c1"))


def acting(request: GenerateRequest) -> GenerateRequest:
    """`request` in a loop of tool calls, with all that the final agent alone receives."""
    return replace(
        request,
        messages=(*request.messages, *LOOP),
        tools=(Tool("look"),),
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        thinking=Thinking(effort="high"),
        template_args={"date": "today"},
    )


async def test_the_final_agent_alone_has_tools_template_arguments_and_the_requests_thinking(
    trio: Trio, ask: Ask
) -> None:
    for engine in trio.values():
        engine.tools = engine.thinking = True
    request = acting(ask())
    context = context_of(trio, request)
    final = context.call(A, Task(), layer=1, sampling=Sampling(), final=True).request
    for name in ("messages", "tools", "tool_choice", "parallel_tool_calls", "thinking", "template_args"):
        assert getattr(final, name) == getattr(request, name)
    [proposer] = calls_of(context, [B], Task())
    read, plain = proposer.request, GenerateRequest("r", ())
    for name in ("tools", "tool_choice", "parallel_tool_calls", "template_args"):
        assert getattr(read, name) == getattr(plain, name)
    assert [message.content for message in read.messages] == ["Why?\n\n(called look with {})\n(look returned: nothing)"]
    assert read.thinking == Thinking(enabled=False)


async def test_agents_that_draft_have_the_tools_and_read_turns_without_reasoning(trio: Trio, ask: Ask) -> None:
    trio["b"].tools = trio["b"].thinking = True
    request = acting(ask())
    context = context_of(trio, request, tools="vote", proposal_max_tokens=7)
    adviser, drafter = (call.request for call in calls_of(context, [A, B], Task(drafts=True)))
    for name in ("tools", "tool_choice", "parallel_tool_calls"):
        assert getattr(drafter, name) == getattr(request, name)
    assert drafter.messages == tuple(replace(message, reasoning=None) for message in request.messages)
    assert (drafter.template_args, drafter.thinking) == ({}, Thinking(enabled=False))
    assert (adviser.tools, [message.role for message in adviser.messages]) == ((), ["user"])


async def test_calls_in_a_reference_do_not_travel_to_the_engine(trio: Trio, ask: Ask) -> None:
    call = ToolCall("c1", "look", "{}")
    reference = Reference("b", "(would call look with {})", as_answer=True, draft=Draft("", (call,), "[]"))
    block = context_of(trio, ask()).prompted(A, Task((reference,))).references
    assert block is not None
    assert block.references == (replace(reference, draft=None),)


async def test_a_refill_of_a_seeded_call_is_another_sample(trio: Trio, ask: Ask) -> None:
    [sampled] = calls_of(context_of(trio, ask(seed=7)), [A], Task(), seed_shift=5)
    [greedy] = calls_of(context_of(trio, ask(seed=7, temperature=0)), [A], Task(), seed_shift=5)
    assert (sampled.request.sampling.seed, greedy.request.sampling.seed) == (12, 7)


async def test_an_engine_without_tools_reads_prose_as_final_agent_too(trio: Trio, ask: Ask) -> None:
    request = replace(acting(ask()), tools=(), tool_choice=ToolChoice())
    call = context_of(trio, request).call(A, Task(), layer=1, sampling=Sampling(), final=True)
    assert [message.role for message in call.request.messages] == ["user"]


@pytest.mark.parametrize(
    ("own", "asked", "proposer", "final"),
    [
        (None, Thinking(), Thinking(enabled=False), Thinking()),
        (None, Thinking(effort="low"), Thinking(enabled=False), Thinking(effort="low")),
        ("on", Thinking(), Thinking(enabled=True), Thinking(enabled=True)),
        ("off", Thinking(effort="low"), Thinking(enabled=False), Thinking(effort="low")),
    ],
)
async def test_thinking_is_the_agents_and_of_the_final_agent_the_requests(
    trio: Trio, ask: Ask, own: str | None, asked: Thinking, proposer: Thinking, final: Thinking
) -> None:
    agent = Agent.model_validate({"model": "a", "thinking": own})
    context = context_of(trio, replace(ask(), thinking=asked))
    assert context.prompted(agent, Task()).thinking == Thinking()  # the engine cannot switch it
    assert context.prompted(agent, Task(), final=True).thinking == asked
    trio["a"].thinking = True
    assert context.prompted(agent, Task()).thinking == proposer
    assert context.prompted(agent, Task(), final=True).thinking == final
