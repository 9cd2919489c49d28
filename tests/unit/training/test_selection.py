"""Selection of trajectories and of their turns."""

from training.scoring import Ranked
from training.selection import SelectionSettings, selected, taught_turns
from training.trajectory import Trajectory, Turn

ALL = SelectionSettings(keep_share=1.0)


def turn(role: str, text: str, finish_reason: str = "stop", reasoning: str = "") -> Turn:
    return Turn(
        layer=1,
        agent=0,
        role=role,
        model="m",
        prompt=(),
        text=text,
        finish_reason=finish_reason,
        reasoning=reasoning,  # type: ignore[arg-type]
    )


def sample(question: str, number: int, reward: float, *texts: str, task: float = 1.0) -> Ranked:
    turns = tuple(turn("solver", text) for text in texts)
    return Ranked(trajectory=Trajectory(question=question, sample=number, turns=turns), task=task, reward=reward)


def keys(found: list[Ranked]) -> list[tuple[str, int]]:
    return [(one.trajectory.question, one.trajectory.sample) for one in found]


SAMPLES = [
    sample("a", 0, 0.9, "the answer is four"),
    sample("a", 1, 1.1, "four it is, as two and two"),
    sample("a", 2, 1.0, "four it is, as two and two!"),
    sample("a", 3, 1.6, "5", task=0.0),
    sample("b", 0, 0.4, "x"),
    sample("c", 0, 0.7, "y"),
]


def test_the_best_of_each_question_above_both_thresholds() -> None:
    assert keys(selected(SAMPLES, ALL, 3)) == [("a", 1), ("c", 0)]
    assert keys(selected(SAMPLES, SelectionSettings(threshold=0.0, min_task=0.0, keep_share=1.0), 3)) == [
        ("a", 3),
        ("c", 0),
        ("b", 0),
    ]


def test_further_trajectories_of_a_question_say_something_else() -> None:
    assert keys(selected(SAMPLES, SelectionSettings(best=2, keep_share=1.0), 3)) == [("a", 1), ("a", 0), ("c", 0)]
    near = SelectionSettings(best=2, min_distance=0.0, keep_share=1.0)
    assert keys(selected(SAMPLES, near, 3)) == [("a", 1), ("a", 2), ("c", 0)]


def test_the_best_share_of_all_questions_is_kept_and_never_nothing() -> None:
    """The share is of all questions, and not of those with a good trajectory: most good ones are kept."""
    assert keys(selected(SAMPLES, SelectionSettings(keep_share=0.7), 3)) == [("a", 1), ("c", 0)]
    assert keys(selected(SAMPLES, SelectionSettings(keep_share=0.4), 3)) == [("a", 1)]
    assert keys(selected(SAMPLES, SelectionSettings(best=2, keep_share=0.5), 3)) == [("a", 1), ("a", 0), ("c", 0)]
    assert keys(selected(SAMPLES, SelectionSettings(keep_share=0.01), 3)) == [("a", 1)]
    assert keys(selected(SAMPLES, SelectionSettings(keep_share=0.4), 5)) == [("a", 1), ("c", 0)]  # two without a reward
    assert selected([], ALL, 3) == []


def test_turns_that_did_not_end_and_texts_worse_than_the_answer_are_not_taught() -> None:
    turns = (
        turn("solver", "5"),
        turn("proposer", "4"),
        turn("proposer", "5"),
        turn("judge", "1"),
        turn("solver", "4", "length"),
        turn("solver", " "),
        turn("solver", "4", reasoning="Two and two"),
    )
    one = Ranked(trajectory=Trajectory(question="q", sample=0, turns=turns), task=1.0, reward=1.0)
    assert [t.text for t in taught_turns(one, lambda question, text: float(text == "4"))] == ["4", "1"]
    assert [t.text for t in taught_turns(one, lambda question, text: None)] == ["5", "4", "5", "1"]
