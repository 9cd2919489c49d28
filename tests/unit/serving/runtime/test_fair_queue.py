"""Fair order of calls: one tenant's flood costs another little, and nothing is lost when nobody competes."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from serving.conversation import Message
from serving.engine import complete
from serving.engines.queued import QueuedEngine
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_tokens import prompt_tokens
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.runtime.fair_queue import PRIORITIES_PER_REQUEST, PROMPT_TOKEN, RECENT_S, TAGS, FairQueue, rank_of
from serving.tenant import ANYONE, PRIORITIES, Tenant
from serving.types import GenerateRequest, Sampling
from tests.support.clock import simulated_time

SEQUENCES = 8
TOKENS = 5
FLOOD, NEIGHBOUR, THIRD = (Tenant(name, isolated=True) for name in ("flood", "neighbour", "third"))
NUMBERS = itertools.count()


def request(tenant: Tenant, tokens: int = TOKENS, priority: int = 0) -> GenerateRequest:
    """Sampled, so that no two are one call; the engine answers with as many words as the question asks for."""
    sampling = Sampling(temperature=1.0)
    return GenerateRequest(
        f"r{next(NUMBERS)}", (Message("user", str(tokens)),), sampling, tenant=tenant, priority=priority
    )


def engine(sequences: int = SEQUENCES) -> QueuedEngine:
    """A token takes a second."""
    scripted = ScriptedEngine(
        "m", lambda asked: " ".join(["w"] * int(asked.messages[-1].content)), ttft_s=1.0, itl_s=1.0
    )
    return QueuedEngine("m", scripted, sequences)


async def asked(served: QueuedEngine, one: GenerateRequest) -> float:
    """Seconds to the whole answer."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await complete("m", served, one)
    return loop.time() - began


async def flooding(ask: Callable[[], Awaitable[object]], callers: int, done: Counter[str], name: str) -> None:
    """So many callers, each of whom asks again at once."""

    async def caller() -> None:
        while True:
            await ask()
            done[name] += 1

    await asyncio.gather(*(caller() for _ in range(callers)))


async def times_beside_a_flood(
    served: QueuedEngine, tenant: Tenant, flood: Tenant, *, flood_tokens: int = TOKENS, count: int = 40
) -> list[float]:
    """Seconds of each request of `tenant`, which asks one after the other, sorted."""
    done: Counter[str] = Counter()
    crowd = asyncio.create_task(
        flooding(lambda: asked(served, request(flood, flood_tokens)), 16 * SEQUENCES, done, "flood")
    )
    await asyncio.sleep(3 * flood_tokens + 0.5)
    times = []
    for number in range(count):
        times.append(await asked(served, request(tenant)))
        await asyncio.sleep(number % 7)
    crowd.cancel()
    await asyncio.gather(crowd, return_exceptions=True)
    assert done["flood"] > count / 4  # and it is served all the time
    return sorted(times)


@pytest.mark.parametrize("flood_tokens", [TOKENS, 2, 40 * TOKENS])
@simulated_time
async def test_a_neighbour_waits_at_most_as_long_as_its_answer_takes(flood_tokens: int) -> None:
    alone = await asked(engine(), request(NEIGHBOUR))
    times = await times_beside_a_flood(engine(), NEIGHBOUR, FLOOD, flood_tokens=flood_tokens)
    # The first may meet an engine that is full of the other's calls: nothing interrupts them.
    assert times[-2] <= 2 * alone


@simulated_time
async def test_within_one_tenant_the_flood_is_its_own() -> None:
    alone = await asked(engine(), request(ANYONE))
    assert (await times_beside_a_flood(engine(), ANYONE, ANYONE, count=5))[0] > 8 * alone


@pytest.mark.parametrize(("calls", "tokens"), [((40, 10), (10, 10)), ((40, 40), (5, 20)), ((20, 20), (4, 40))])
@simulated_time
async def test_two_floods_get_the_same_work(calls: tuple[int, int], tokens: tuple[int, int]) -> None:
    served, done = engine(), Counter[str]()
    crowds = [
        asyncio.create_task(flooding(lambda t=tenant, n=n: asked(served, request(t, n)), callers, done, tenant.id))
        for tenant, callers, n in zip((FLOOD, NEIGHBOUR), calls, tokens, strict=True)
    ]
    await asyncio.sleep(1200)
    done.clear()  # before the lengths of answers were known
    await asyncio.sleep(600)
    for crowd in crowds:
        crowd.cancel()
    await asyncio.gather(*crowds, return_exceptions=True)
    prompt = prompt_tokens(request(FLOOD).messages) * PROMPT_TOKEN
    first, second = (done[tenant.id] * (prompt + n) for tenant, n in zip((FLOOD, NEIGHBOUR), tokens, strict=True))
    assert first / second == pytest.approx(1, rel=0.05)
    assert first + second > 0.97 * 600 * (SEQUENCES - 1)  # no other place stays empty


@simulated_time
async def test_a_flood_of_recipes_with_layers_is_no_way_around_it() -> None:
    served = engine()
    recipe = {"id": "team", "layers": [["m"] * 3, ["m"] * 3], "aggregator": "m", "temperature": 1.0, "prefill": "off"}
    crowd = Orchestrator({"m": served}, load_recipes([recipe])).engines["team"]
    served.engine.answer = " ".join(["w"] * TOKENS)  # type: ignore[attr-defined]
    done: Counter[str] = Counter()
    flood = asyncio.create_task(flooding(lambda: complete("team", crowd, request(FLOOD)), 4 * SEQUENCES, done, "flood"))
    await asyncio.sleep(40.5)
    times = []
    for number in range(30):
        times.append(await asked(served, request(NEIGHBOUR)))
        await asyncio.sleep(number % 7)
    flood.cancel()
    await asyncio.gather(flood, return_exceptions=True)
    assert sorted(times)[-2] <= 2 * TOKENS
    assert done["flood"] > 30


@simulated_time
async def test_one_tenant_alone_has_the_whole_engine() -> None:
    served, loop = engine(), asyncio.get_running_loop()
    await asyncio.gather(*(asked(served, request(FLOOD)) for _ in range(3 * SEQUENCES)))
    assert loop.time() == pytest.approx(3 * TOKENS)


@simulated_time
async def test_places_are_kept_free_only_for_tenants_of_the_last_minute() -> None:
    queue = FairQueue(SEQUENCES, lambda: asyncio.get_running_loop().time())
    first, other = queue.turn("flood", 0), queue.turn("neighbour", 0)
    await first.enter()
    assert queue.room() == (SEQUENCES + 2, 0)
    await other.enter()
    await asyncio.sleep(2 * RECENT_S)  # both run
    assert queue.room() == (SEQUENCES - 1, 1)
    other.leave(5)
    await asyncio.sleep(RECENT_S - 1)
    assert queue.room() == (SEQUENCES - 1, 1)
    await asyncio.sleep(2)
    assert queue.room() == (SEQUENCES + 2, 0)
    own = queue.turn("", 0)
    await own.enter()
    assert queue.room() == (SEQUENCES + 2, 0)  # the server's own calls need no place
    own.leave(None)
    first.leave(5)


@simulated_time
async def test_an_engine_of_few_sequences_keeps_none_free() -> None:
    queue = FairQueue(2)
    one, other = queue.turn("flood", 0), queue.turn("neighbour", 0)
    await one.enter()
    await other.enter()
    assert queue.room() == (2, 0)
    one.leave(1)
    other.leave(1)


@simulated_time
async def test_a_call_of_many_sequences_begins_when_the_engine_is_empty() -> None:
    queue = FairQueue(4)
    small, many, next_one = queue.turn("flood", 0), queue.turn("flood", 0, sequences=9), queue.turn("flood", 0)
    await small.enter()
    tasks = [asyncio.create_task(turn.enter()) for turn in (many, next_one)]
    await asyncio.sleep(1)
    assert (queue.held, [task.done() for task in tasks]) == ({"flood": 1}, [False, False])
    small.leave(1)
    await tasks[0]
    await asyncio.sleep(1)
    assert (queue.held, tasks[1].done()) == ({"flood": 9}, False)
    many.leave(9)
    await tasks[1]
    assert (queue.held, next_one.waited_s) == ({"flood": 1}, 2)
    next_one.leave(1)
    assert (queue.held, queue._waiting, queue._levels) == ({}, {}, {})


@simulated_time
async def test_a_caller_that_leaves_gives_its_place_to_the_next() -> None:
    queue = FairQueue(2)
    other, *turns = queue.turn("neighbour", 0), *(queue.turn("flood", 0) for _ in range(4))
    await other.enter()
    await turns[0].enter()
    tasks = [asyncio.create_task(turn.enter()) for turn in turns[1:]]
    await asyncio.sleep(1)
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    turns[1].leave(None)
    assert [task.done() for task in tasks[1:]] == [False, False]
    turns[0].leave(3)
    other.leave(3)
    tasks[1].cancel()  # admitted, and not yet told
    await asyncio.gather(tasks[1], return_exceptions=True)
    assert tasks[1].cancelled()
    turns[2].leave(None)
    await tasks[2]
    turns[3].leave(None)
    assert (queue.held, queue._waiting, queue._levels) == ({}, {}, {})


@simulated_time
async def test_a_call_that_never_began_costs_its_tenant_nothing() -> None:
    queue = FairQueue(2)
    kept = queue.turn("other", 0)
    for _ in range(10):
        queue.turn("flood", 0).leave(None)
    assert queue.turn("flood", 0).rank == kept.rank == 0


@simulated_time
async def test_hang_ups_while_calls_wait_take_nothing_from_later_or_from_kept_calls() -> None:
    served, done = engine(4), Counter[str]()
    crowd = asyncio.create_task(flooding(lambda: asked(served, request(NEIGHBOUR)), 24, done, "neighbour"))
    await asyncio.sleep(10.5)
    gone = [asyncio.create_task(asked(served, request(FLOOD))) for _ in range(1000)]
    await asyncio.sleep(0)
    kept = asyncio.create_task(asked(served, request(FLOOD)))  # waits behind the thousand
    await asyncio.sleep(0.1)
    for call in gone:
        call.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    assert await kept <= 2 * TOKENS
    victim = asyncio.create_task(flooding(lambda: asked(served, request(FLOOD)), 24, done, "victim"))
    await asyncio.sleep(600)
    done.clear()  # before the lengths of answers were known
    await asyncio.sleep(600)
    for one in (crowd, victim):
        one.cancel()
    await asyncio.gather(crowd, victim, return_exceptions=True)
    assert done["victim"] / done["neighbour"] == pytest.approx(1, rel=0.05)


@simulated_time
async def test_the_work_done_counts_not_the_work_expected() -> None:
    queue = FairQueue(2)
    first = queue.turn("flood", 0, prompt_tokens=80)
    await first.enter()
    kept = queue.turn("other", 0)
    first.leave(30)
    assert queue.turn("flood", 0).tag == 10 + 30
    kept.leave(None)


@simulated_time
async def test_a_tenants_own_calls_keep_their_order() -> None:
    queue = FairQueue(8)
    first, second, third, last = (queue.turn("flood", 0) for _ in range(4))
    for turn in (first, second, third):
        await turn.enter()
    first.leave(1)  # less than expected
    second.leave(1)
    await last.enter()
    assert 0 < third.rank <= last.rank
    assert {queue.turn("", 0).rank for _ in range(9)} == {0}  # without keys the engine orders by arrival


async def test_priorities_and_layers_come_before_tags_and_never_overlap() -> None:
    queue = FairQueue(2)
    for _ in range(1000):
        turn = queue.turn("flood", 0, prompt_tokens=10**9)
        await turn.enter()
        turn.leave(None)
        queue.turn("other", 0)
    late = queue.turn("flood", 0)
    assert rank_of(0, 0) < late.rank < rank_of(1, 0)
    assert queue.turn("flood", -1).rank < rank_of(0, 0)  # a later layer
    lowest = queue.turn("flood", PRIORITIES_PER_REQUEST * (2 * PRIORITIES - 1))
    ahead = queue.turn("flood", 2**20)
    assert lowest.rank < ahead.rank
    for priority in (-(2**31), 2**31):
        assert -(2**63) <= queue.turn("flood", priority).rank < 2**63
    assert rank_of(0, 2.0**50) == TAGS - 1


async def test_calls_of_an_engine_run_by_priority() -> None:
    served = engine(1)
    served.engine.itl_s = 0.001  # type: ignore[attr-defined]
    order: list[str] = []

    async def one(name: str, priority: int) -> None:
        await complete("m", served, replace(request(ANYONE, 2, priority), request_id=name))
        order.append(name)

    tasks = [asyncio.create_task(one(name, priority)) for name, priority in (("a", 0), ("b", 64), ("c", 0), ("d", -1))]
    await asyncio.gather(*tasks)
    assert order == ["a", "d", "c", "b"]


@simulated_time
async def test_a_call_that_is_cancelled_in_an_engines_queue_leaves_it() -> None:
    served = engine(1)
    first, second, third = (asyncio.create_task(asked(served, request(ANYONE))) for _ in range(3))
    await asyncio.sleep(1)
    second.cancel()
    await asyncio.sleep(0)
    await first
    assert await third == pytest.approx(2 * TOKENS)
    assert served.running == 0


async def test_a_place_in_an_engine_that_comes_too_late_is_given_on() -> None:
    served = engine(1)
    await served._start(0)
    late = asyncio.create_task(served._start(1))
    await asyncio.sleep(0)
    served._end()
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    assert (late.cancelled(), served.running) == (True, 0)
