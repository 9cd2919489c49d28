"""Rewards, with values worked out by hand."""

import pytest

from training.reward import Measured, RewardSettings, format_score, is_verdict, readable, rewards
from training.trajectory import Turn

SAMPLES = [
    Measured(task=1.0, tokens=50, max_loss=2.0, format=1.0),
    Measured(task=1.0, tokens=100, max_loss=4.0, format=0.5),
    Measured(task=0.0, tokens=25, max_loss=0.5, format=1.0),
]


def test_the_reward_of_the_paper() -> None:
    expected = [1 - 0.6 * 50 / 100 + 1 / 2, 1 - 0.6 * 100 / 100 + 1 / 4, 0 - 0.6 * 25 / 100 + 1 / 1]
    assert expected == pytest.approx([1.2, 0.65, 0.85])
    assert rewards(SAMPLES, RewardSettings()) == pytest.approx(expected)


def test_without_the_token_term() -> None:
    assert rewards(SAMPLES, RewardSettings(lambda_token=0)) == pytest.approx([1.5, 1.25, 1.0])


def test_without_the_loss_term_no_loss_is_needed() -> None:
    settings = RewardSettings(lambda_loss=0)
    samples = [Measured(one.task, one.tokens) for one in SAMPLES]
    assert not settings.needs_loss
    assert rewards(samples, settings) == pytest.approx([0.7, 0.4, -0.15])


def test_the_loss_term_is_bounded_by_the_smallest_loss() -> None:
    settings = RewardSettings(lambda_token=0, lambda_loss=0.5, min_loss=0.25)
    samples = [Measured(0, 1, 0.25), Measured(0, 1, 0.001)]
    assert rewards(samples, settings) == pytest.approx([2.0, 2.0])


def test_the_weighted_form() -> None:
    settings = RewardSettings(form="weighted", alpha=1, beta=0.5, gamma=0.2)
    assert rewards(SAMPLES, settings) == pytest.approx([1.45, 1.1, 0.575])
    assert not settings.needs_loss


def test_tokens_are_compared_with_samples_of_the_same_question_only() -> None:
    assert rewards([Measured(1, 10, 1.0)], RewardSettings()) == pytest.approx([1.4])
    assert rewards([Measured(1, 0, 1.0)], RewardSettings()) == pytest.approx([2.0])
    assert rewards([], RewardSettings()) == []


def turn(role: str, text: str, finish_reason: str = "stop") -> Turn:
    return Turn(layer=1, agent=0, role=role, model="m", prompt=(), text=text, finish_reason=finish_reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("role", "text", "expected"),
    [
        ("solver", "4", True),
        ("solver", "  ", False),
        ("planner", '[{"task": "add"}]', True),
        ("planner", "First add.", False),
        ("judge", "2", True),
        ("judge", "the second", False),
        ("critic", "ACCEPT", True),
        ("critic", "Accept.", True),
        ("critic", "ACCEPT, because it is right", False),
        ("critic", "Add again.", True),
    ],
)
def test_a_turn_is_readable_if_its_reader_understands_it(role: str, text: str, expected: bool) -> None:
    assert readable(turn(role, text)) is expected


def test_the_format_score_is_the_share_of_readable_turns() -> None:
    assert (
        format_score([turn("solver", "4"), turn("solver", "4", "length"), turn("judge", "x"), turn("judge", "1")])
        == 0.5
    )
    assert format_score([]) == 0.0


@pytest.mark.parametrize(
    ("role", "text", "expected"),
    [
        ("critic", "ACCEPT", True),
        ("critic", " Accept.", True),
        ("critic", "ACCEPT, because it is right", False),
        ("critic", "It should be 4.", False),
        ("judge", "2", True),
        ("judge", "the second", False),
        ("solver", "ACCEPT", False),
        ("solver", "2", False),
    ],
)
def test_a_verdict_has_only_words_that_its_prompt_spells_out(role: str, text: str, expected: bool) -> None:
    assert is_verdict(turn(role, text)) is expected
