"""Pairs and branches of search trees, with rewards worked out by hand."""

from training.scoring import Ranked
from training.trajectory import PromptMessage, Trajectory, Turn
from training.tree import PairSettings, branches, pairs, states_of


def turn(role: str, prompt: str, text: str, at: float = 0.0, finish_reason: str = "stop") -> Turn:
    return Turn(
        layer=1 + int(at),
        agent=0,
        role=role,
        model="m",
        prompt=(PromptMessage(role="user", content=prompt),),
        text=text,
        finish_reason=finish_reason,  # type: ignore[arg-type]
        started_ms=at,
        ended_ms=at + 0.5,
    )


def sample(number: int, reward: float, *turns: Turn, question: str = "q") -> Ranked:
    made = Trajectory(question=question, sample=number, turns=turns, tokens=1)
    return Ranked(trajectory=made, task=1.0, reward=reward)


def debate(number: int, reward: float, first: str, criticism: str, last: str) -> Ranked:
    return sample(
        number,
        reward,
        turn("solver", "2+2", first, 0),
        turn("critic", f"check {first}", criticism, 1),
        turn("solver", f"2+2 {first} {criticism}", last, 2),
    )


SAMPLES = [
    debate(0, 0.2, "5", "no", "6"),
    debate(1, 0.8, "5", "no", "4"),
    debate(2, 1.0, "5", "add again", "4"),
    debate(3, 1.2, "4", "ACCEPT", "4"),
]


def test_the_value_of_a_text_is_the_mean_reward_of_its_trajectories() -> None:
    [first] = [state for key, state in states_of(SAMPLES).items() if key[2][0].content == "2+2"]
    values = {child.turn.text: round(child.value, 6) for child in first.children}
    assert values == {"5": round((0.2 + 0.8 + 1.0) / 3, 6), "4": 1.2}


def test_pairs_are_the_best_and_the_worst_text_of_a_state() -> None:
    found = pairs(SAMPLES, PairSettings(gap=0.2, min_chosen=0.5))
    assert [(one.chosen.text, one.rejected.text, round(one.gap, 6)) for one in found] == [
        ("4", "6", 0.6),  # the last turn after "5", "no"
        ("4", "5", round(1.2 - 2 / 3, 6)),  # the first turn
        ("add again", "no", 0.5),  # the critic of "5"
    ]
    assert all(one.chosen.prompt == one.rejected.prompt for one in found)


def test_pairs_need_a_gap_and_a_good_better_text() -> None:
    assert len(pairs(SAMPLES, PairSettings(gap=0.55, min_chosen=0.5))) == 1
    assert [one.chosen.text for one in pairs(SAMPLES, PairSettings(gap=0.2, min_chosen=0.9))] == ["4", "add again"]


def test_long_texts_that_are_nearly_equal_are_one_child_and_short_ones_are_not() -> None:
    long = "The sum of two and two is surely four"
    [state] = states_of([sample(0, 1.0, turn("s", "p", long)), sample(1, 0.0, turn("s", "p", f"{long}."))]).values()
    assert [child.rewards for child in state.children] == [[1.0, 0.0]]
    [state] = states_of(
        [sample(0, 1.0, turn("s", "p", "1234567890")), sample(1, 0.0, turn("s", "p", "1234567891"))]
    ).values()
    assert len(state.children) == 2


def test_a_text_that_was_cut_is_in_no_pair() -> None:
    cut = [sample(0, 1.0, turn("s", "p", "good")), sample(1, 0.0, turn("s", "p", "bad", finish_reason="length"))]
    assert pairs(cut, PairSettings()) == []


def test_questions_have_trees_of_their_own() -> None:
    apart = [sample(0, 1.0, turn("s", "p", "a")), sample(0, 0.0, turn("s", "p", "b"), question="other")]
    assert pairs(apart, PairSettings()) == []


def test_branches_start_where_the_value_is_highest_and_differ() -> None:
    found = branches(SAMPLES, 3)
    assert [(one.origin.trajectory.sample, [turn.text for turn in one.kept], one.next_role) for one in found] == [
        (3, ["4"], "critic"),
        (3, ["4", "ACCEPT"], "solver"),
        (2, ["5", "add again"], "solver"),
    ]
    assert branches(SAMPLES, 0) == []
    assert branches([sample(0, 1.0, turn("s", "p", "a"))], 3) == []
