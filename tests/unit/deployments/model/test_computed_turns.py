"""Tokens that are computed already: what a session's last call of tools began with."""

import pytest

from deployments.model.computed_turns import ComputedTurns

TURN = [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("token_ids", "expected"),
    [([5, 6], True), ([5, 6, 7, 8], True), (TURN, False), ([5, 7], False), ([6, 7], False), ([*TURN, 1], False)],
)
def test_the_beginning_of_the_last_turn_is_computed_without_its_last_token(
    token_ids: list[int], expected: bool
) -> None:
    turns = ComputedTurns()
    turns.put("s", TURN)
    assert turns.cover("s", token_ids) is expected
    assert not turns.cover("other", token_ids)
    assert not turns.cover(None, token_ids)


def test_a_session_has_one_turn_and_the_oldest_sessions_go() -> None:
    turns = ComputedTurns(max_turns=2)
    turns.put("a", TURN)
    turns.put("b", TURN)
    turns.put("a", [1, 2, 3])
    turns.put("c", TURN)
    assert turns.cover("a", [1, 2])
    assert not turns.cover("a", [5])
    assert not turns.cover("b", [5])
    assert turns.cover("c", [5])
