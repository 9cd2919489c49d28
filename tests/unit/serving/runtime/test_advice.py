"""References of a user turn: their key, their age and their number."""

import asyncio

import pytest

from serving.conversation import Message, Tool, ToolCall
from serving.references import Draft, Reference
from serving.runtime.advice import MAX_ENTRIES, TTL_S, Advice, AdviceCache, AdvisedTurn, advice_key, advised_turn, kept
from serving.runtime.answers import first_valid
from serving.runtime.policy import Policy
from serving.types import GenerateRequest
from tests.support.clock import simulated_time

USER = Message("user", "Why?")
CALL = Message("assistant", "", tool_calls=(ToolCall("c1", "look", "{}"),))
RESULT = Message("tool", "nothing", tool_call_id="c1")
ADVICE = Advice((Reference("b", "Because."),))


def key_of(policy: Policy, messages: list[Message], tools: tuple[Tool, ...] = ()) -> str:
    request = GenerateRequest("r", tuple(messages), tools=tools)
    return advice_key(policy, request, advised_turn(request.messages, policy.advise.every))


def test_the_key_is_that_of_the_whole_user_turn() -> None:
    key = key_of(Policy(), [USER])
    assert key == key_of(Policy(), [USER, CALL, RESULT]) == key_of(Policy(), [USER, CALL, RESULT, CALL])


def test_reasoning_in_the_history_does_not_change_the_key() -> None:
    def said(reasoning: str | None) -> list[Message]:
        return [USER, Message("assistant", "So.", reasoning=reasoning), USER]

    assert key_of(Policy(), said("Hm")) == key_of(Policy(), said(None))


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
    assert key_of(policy, messages) != key_of(Policy(), [USER])


def test_tools_are_part_of_the_key_where_proposers_have_them() -> None:
    one, other = (Tool("look"),), (Tool("look", "Looks it up."),)
    assert key_of(Policy(), [USER], one) == key_of(Policy(), [USER], other)
    assert key_of(Policy(tools="vote"), [USER], one) != key_of(Policy(tools="vote"), [USER], other)


def test_results_that_differ_beyond_what_prose_shows_have_another_key() -> None:
    long = "x" * 5_000
    before = [[USER, CALL, Message("tool", long + end, tool_call_id="c1"), USER] for end in ("yes", "no")]
    assert key_of(Policy(), before[0]) != key_of(Policy(), before[1])


def test_a_lone_surrogate_has_a_key() -> None:
    assert key_of(Policy(), [Message("user", "\ud800")]) != key_of(Policy(), [USER])


LOOP = [
    Message("user", "Hi"),
    Message("assistant", "Hi."),
    USER,
    CALL,
    RESULT,
    CALL,
    RESULT,
    CALL,
    RESULT,
    CALL,
    RESULT,
]


@pytest.mark.parametrize(
    ("messages", "every", "turn"),
    [
        (3, None, AdvisedTurn(3, 0, now=True)),
        (5, None, AdvisedTurn(3, 0, now=False)),
        (11, None, AdvisedTurn(3, 0, now=False)),
        (3, 2, AdvisedTurn(3, 0, now=True)),
        (5, 2, AdvisedTurn(3, 0, now=False)),
        (7, 2, AdvisedTurn(7, 2, now=True)),
        (9, 2, AdvisedTurn(7, 2, now=False)),
        (11, 2, AdvisedTurn(11, 4, now=True)),
        (9, 3, AdvisedTurn(9, 3, now=True)),
        (11, 3, AdvisedTurn(9, 3, now=False)),
        (9, 1, AdvisedTurn(9, 3, now=True)),
    ],
)
def test_the_team_is_asked_at_the_user_turn_and_at_every_nth_call(
    messages: int, every: int | None, turn: AdvisedTurn
) -> None:
    assert advised_turn(LOOP[:messages], every) == turn


def test_what_is_kept_is_advice_and_no_answer() -> None:
    call = ToolCall("c1", "look", "{}")
    draft = Reference("b", "(would call look with {})", "tool_calls", as_answer=True, draft=Draft("", (call,), "[]"))
    request = GenerateRequest("r", (USER,), tools=(Tool("look"),))
    assert first_valid((draft,), request) == draft
    [known] = kept((draft,))
    assert (known.text, known.tool_calls) == (draft.text, ())
    assert first_valid((known,), request) is None


@simulated_time
async def test_references_expire() -> None:
    cache = AdviceCache()
    cache.put("k", ADVICE)
    await asyncio.sleep(TTL_S - 1)
    assert cache.get("k") == ADVICE
    await asyncio.sleep(1)
    assert cache.get("k") is None
    assert not cache._entries


@simulated_time
async def test_the_least_recently_used_go_first() -> None:
    cache = AdviceCache()
    for number in range(MAX_ENTRIES):
        cache.put(str(number), ADVICE)
    assert cache.get("0") == ADVICE
    cache.put("new", ADVICE)
    assert cache.get("1") is None
    assert cache.get("0") == cache.get("new") == ADVICE
    assert len(cache._entries) == MAX_ENTRIES


@simulated_time
async def test_references_go_from_the_tenant_that_has_the_most() -> None:
    cache = AdviceCache(max_entries=4)
    cache.put("old", ADVICE, "neighbour")
    for number in range(9):
        cache.put(f"flood {number}", ADVICE, "flood")
    assert cache.get("old") == ADVICE
    assert [number for number in range(9) if cache.get(f"flood {number}")] == [6, 7, 8]
