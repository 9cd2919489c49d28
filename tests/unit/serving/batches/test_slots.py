"""Places for lines in progress."""

import asyncio

from serving.batches.slots import Places, Slots


async def hold(slots: Slots, owner: str, order: list[str], done: asyncio.Event) -> None:
    async with slots.place(owner):
        order.append(owner)
        await done.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_free_place_goes_to_the_owner_with_the_fewest() -> None:
    slots, order, done = Slots(0), [], asyncio.Event()
    tasks = [asyncio.create_task(hold(slots, owner, order, done)) for owner in ("a", "a", "a", "a", "b", "b")]
    await settle()
    assert order == []
    slots.set_places(Places(4, 0))
    await settle()
    assert sorted(order) == ["a", "a", "b", "b"]
    assert slots.taken == 4
    slots.set_places(Places(6, 0))
    await settle()
    assert (slots.taken, sorted(order[4:])) == (6, ["a", "a"])
    done.set()
    await asyncio.gather(*tasks)
    assert slots.taken == 0


async def test_fewer_places_than_are_taken_give_none() -> None:
    slots, order, first, later = Slots(2), [], asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(hold(slots, "a", order, event)) for event in (first, later, later)]
    await settle()
    slots.set_places(Places(1, 0))
    first.set()
    await settle()
    assert (slots.taken, len(order)) == (1, 2)
    later.set()
    await asyncio.gather(*tasks)
    assert len(order) == 3


async def test_one_that_leaves_while_it_waits_takes_no_place() -> None:
    slots, order, done = Slots(1), [], asyncio.Event()
    holder, leaver, last = (asyncio.create_task(hold(slots, "a", order, done)) for _ in range(3))
    await settle()
    leaver.cancel()
    await settle()
    done.set()
    await asyncio.gather(holder, last)
    assert slots.taken == 0
    # Given a place in the same moment as it leaves, it returns it.
    waiter = asyncio.create_task(hold(slots, "b", order, done))
    slots.set_places(Places(0, 0))
    await settle()
    slots.set_places(Places(1, 0))
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert slots.taken == 0


async def test_an_owner_has_no_more_places_than_its_limit_and_others_take_the_rest() -> None:
    slots, order, done = Slots(4), [], asyncio.Event()

    async def hold_limited(owner: str, event: asyncio.Event) -> None:
        async with slots.place(owner, 1):
            order.append(owner)
            await event.wait()

    first, later = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(hold_limited("a", event)) for event in (first, later)]
    tasks += [asyncio.create_task(hold(slots, "b", order, done)) for _ in range(2)]
    await settle()
    assert sorted(order) == ["a", "b", "b"]
    first.set()
    await settle()
    assert sorted(order) == ["a", "a", "b", "b"], "its next line begins as soon as the first has ended"
    later.set()
    done.set()
    await asyncio.gather(*tasks)
    assert slots.taken == 0


async def test_a_place_rests_after_a_line_while_others_are_answered() -> None:
    slots, order, done = Slots(1), [], asyncio.Event()
    slots.set_places(Places(1, 3600.0))
    done.set()
    await hold(slots, "a", order, done)
    waiting = asyncio.create_task(hold(slots, "a", order, done))
    await settle()
    assert (order, slots.taken) == (["a"], 0)
    slots.set_places(Places(2, 0.001))  # one rests, the other place is free
    await waiting
    assert order == ["a", "a"]
    slots.set_places(Places(2, 0.0))
    await asyncio.wait_for(hold(slots, "b", order, done), 60)  # after the short rest
    assert order == ["a", "a", "b"]
