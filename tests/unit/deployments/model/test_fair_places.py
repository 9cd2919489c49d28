"""Places that tenants get in turns: no tenant waits for all calls of another, and no place is lost."""

import asyncio

import pytest

from deployments.model.fair_places import FairPlaces
from tests.support.clock import simulated_time


async def ended(places: FairPlaces, names: str, seconds: float = 1.0) -> list[tuple[str, float]]:
    """Tenants of calls that begin in this order, as they end, with the second."""
    loop, order = asyncio.get_running_loop(), list[tuple[str, float]]()

    async def call(tenant: str) -> None:
        await places.take(tenant)
        await asyncio.sleep(seconds)
        order.append((tenant, loop.time()))
        places.give(tenant)

    await asyncio.gather(*(call(name) for name in names))
    return order


@pytest.mark.parametrize(
    ("names", "order"),
    [("aaaa", "aaaa"), ("aaaab", "abaaa"), ("aaabbbc", "abcabab"), ("abab", "abab")],
)
@simulated_time
async def test_tenants_have_turns(names: str, order: str) -> None:
    assert [name for name, _ in await ended(FairPlaces(1), names)] == [*order]


@simulated_time
async def test_the_tenant_that_holds_fewest_places_is_next() -> None:
    places = FairPlaces(3)
    for tenant in "aab":
        await places.take(tenant)
    order: list[str] = []

    async def call(tenant: str) -> None:
        await places.take(tenant)
        order.append(tenant)

    tasks = [asyncio.create_task(call(name)) for name in "aabb"]
    await asyncio.sleep(0)
    places.give("a")
    await asyncio.sleep(0)
    places.give("a")
    await asyncio.sleep(0)
    assert order == ["a", "b"]
    places.give("b")
    await asyncio.sleep(0)
    assert order == ["a", "b", "a"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not places._waiting


@simulated_time
async def test_kept_places_are_for_tenants_that_hold_none() -> None:
    order = await ended(FairPlaces(3, kept=1), "aaaabb")
    assert order == [("a", 1), ("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)]


@simulated_time
async def test_cancelled_calls_leave_no_trace() -> None:
    places = FairPlaces(1)
    await places.take("a")
    waiting = [asyncio.create_task(places.take(name)) for name in "abab"]
    await asyncio.sleep(0)
    for task in waiting[:3]:
        task.cancel()
    await asyncio.gather(*waiting[:3], return_exceptions=True)
    places.give("a")
    waiting[3].cancel()  # it has its place, and has not run since
    await asyncio.gather(waiting[3], return_exceptions=True)
    assert waiting[3].cancelled()
    assert (places.free, places._waiting, places._held) == (1, {}, {})
