"""Growing proposals, as references that are read chunk by chunk."""

import asyncio

import pytest

from serving.references import Reference
from serving.runtime.growing import GrowingProposals, Parts
from tests.support.clock import simulated_time
from tests.support.waiting import until


def growing(
    parts: Parts = "merged", before: tuple[Reference, ...] = (), first: int = 2, chunk: int = 3
) -> GrowingProposals:
    return GrowingProposals(("a", "b"), before, first, chunk, parts)


def texts(proposals: GrowingProposals) -> list[tuple[int, str]]:
    references, numbers = proposals.take()
    return [*zip(numbers or range(1, len(references) + 1), (one.text for one in references), strict=True)]


async def test_an_unfinished_proposal_is_shown_up_to_its_last_word() -> None:
    proposals = growing()
    proposals.wrote(0, "one two thr", 3)
    assert texts(proposals) == [(1, "one two [...]")]
    proposals.wrote(0, "one two three", 4)
    proposals.ended(0, Reference("a", "one two three four"))
    assert texts(proposals) == [(1, "one two three four")]


async def test_text_without_spaces_is_shown_whole() -> None:
    proposals = growing()
    text = "字" * 50
    proposals.wrote(0, f"see {text}", 52)
    assert texts(proposals) == [(1, f"see {text} [...]")]


async def test_appended_parts_stand_behind_all_that_was_shown() -> None:
    proposals = growing("appended", (Reference("x", "before"),))
    proposals.wrote(1, "b1 b2 b3 ", 3)
    first = texts(proposals)
    assert first == [(1, "before"), (2, "b1 b2 b3 [...]")]
    proposals.wrote(0, "a1 a2 ", 2)
    proposals.ended(1, Reference("b", "b1 b2 b3 b4"))
    assert texts(proposals) == [*first, (2, "[...] b4"), (3, "a1 a2 [...]")]


@pytest.mark.parametrize("parts", ["merged", "appended"])
async def test_a_proposal_that_is_written_again_takes_the_place_of_what_was_shown(parts: Parts) -> None:
    proposals = growing(parts)
    proposals.wrote(0, "old words here ", 3)
    assert texts(proposals) == [(1, "old words here [...]")]
    proposals.wrote(0, "", 0)
    assert texts(proposals) == []
    proposals.ended(0, Reference("a", "new words"))
    assert texts(proposals) == [(1, "new words")]


async def test_of_a_failed_or_late_proposal_only_what_was_shown_stays() -> None:
    proposals = growing()
    proposals.wrote(0, "a1 a2 ", 2)
    proposals.wrote(1, "b1 b2 ", 2)
    proposals.take()
    proposals.wrote(0, "a1 a2 a3 ", 3)
    proposals.wrote(1, "b1 b2 b3 ", 3)
    proposals.ended(0, None)
    proposals.close()
    assert texts(proposals) == [(1, "a1 a2 [...]"), (2, "b1 b2 [...]")]


async def test_a_chunk_is_there_when_all_unfinished_proposals_have_it() -> None:
    proposals = growing()
    waiting = asyncio.create_task(proposals.chunk(1, grace_s=1000))
    proposals.wrote(0, "a1 a2 ", 2)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    proposals.wrote(1, "b1 b2 ", 2)
    await until(waiting.done)
    assert waiting.result()
    proposals.take()
    later = asyncio.create_task(proposals.chunk(1, grace_s=1000))
    proposals.ended(0, Reference("a", "a1 a2 a3"))
    proposals.wrote(1, "b1 b2 b3 b4 ", 4)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not later.done()
    proposals.wrote(1, "b1 b2 b3 b4 b5 ", 5)
    await until(later.done)
    assert later.result()


@simulated_time
async def test_the_grace_begins_with_the_quorum() -> None:
    proposals = growing()
    loop = asyncio.get_running_loop()
    proposals.wrote(0, "a1 a2 ", 2)
    assert await proposals.chunk(1, grace_s=3)
    assert loop.time() == pytest.approx(3)
    both = asyncio.create_task(proposals.chunk(2, grace_s=3))
    await asyncio.sleep(10)
    assert not both.done()
    proposals.close()
    assert not await both


async def test_without_counts_characters_tell_the_length() -> None:
    proposals = growing(first=2)
    proposals.wrote(0, "a" * 7, None)
    proposals.wrote(1, "b" * 8, None)
    waiting = asyncio.create_task(proposals.chunk(2, grace_s=1000))
    await asyncio.sleep(0)
    assert not waiting.done()
    proposals.wrote(0, "a" * 8, None)
    await until(waiting.done)
