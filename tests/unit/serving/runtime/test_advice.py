"""References of a user turn: their key, their age and their number."""

import asyncio

import pytest

from serving.runtime.advice import MAX_ENTRIES, TTL_S, AdviceCache, advice_key
from serving.runtime.policy import Policy
from serving.types import Message, Reference, ToolCall
from tests.support.clock import simulated_time

USER = Message("user", "Why?")
CALL = Message("assistant", "", tool_calls=(ToolCall("c1", "look", "{}"),))
RESULT = Message("tool", "nothing", tool_call_id="c1")
ADVICE = (Reference("b", "Because."),)


def test_the_key_is_that_of_the_whole_user_turn() -> None:
    key = advice_key(Policy(), [USER])
    assert key == advice_key(Policy(), [USER, CALL, RESULT]) == advice_key(Policy(), [USER, CALL, RESULT, CALL])


def test_reasoning_in_the_history_does_not_change_the_key() -> None:
    def said(reasoning: str | None) -> list[Message]:
        return [USER, Message("assistant", "So.", reasoning=reasoning), USER]

    assert advice_key(Policy(), said("Hm")) == advice_key(Policy(), said(None))


@pytest.mark.parametrize(
    ("policy", "messages"),
    [
        (Policy(temperature=0.1), [USER]),
        (Policy(), [Message("user", "Why not?")]),
        (Policy(), [USER, CALL, RESULT, USER]),
        (Policy(), [Message("system", "Be brief."), USER]),
    ],
)
def test_another_recipe_or_conversation_has_another_key(policy: Policy, messages: list[Message]) -> None:
    assert advice_key(policy, messages) != advice_key(Policy(), [USER])


def test_a_lone_surrogate_has_a_key() -> None:
    assert advice_key(Policy(), [Message("user", "\ud800")]) != advice_key(Policy(), [USER])


@simulated_time
async def test_references_expire() -> None:
    cache = AdviceCache()
    cache.put("k", ADVICE)
    await asyncio.sleep(TTL_S - 1)
    assert cache.get("k") == ADVICE
    await asyncio.sleep(1)
    assert cache.get("k") == ()
    assert not cache._entries


@simulated_time
async def test_the_least_recently_used_go_first() -> None:
    cache = AdviceCache()
    for number in range(MAX_ENTRIES):
        cache.put(str(number), ADVICE)
    assert cache.get("0") == ADVICE
    cache.put("new", ADVICE)
    assert cache.get("1") == ()
    assert cache.get("0") == cache.get("new") == ADVICE
    assert len(cache._entries) == MAX_ENTRIES
