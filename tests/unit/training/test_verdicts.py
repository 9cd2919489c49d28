"""Verdicts against the team's answer: votes for worse proposals, and objections to drafts that were right."""

import pytest

from serving.conversation import Message
from serving.recipes.judging import CRITICISE, choose, question, quoted
from serving.references import Reference
from training.scoring import Ranked
from training.selection import taught_turns
from training.trajectory import PromptMessage, Trajectory, Turn

ASKED = (Message("user", "What is 2 + 2?\n1. 5\n2. 4"),)


def turn(role: str, text: str, prompt: tuple[Message, ...] = ASKED) -> Turn:
    shown = tuple(PromptMessage(role=one.role, content=one.content) for one in prompt)
    return Turn(layer=1, agent=0, role=role, model="m", prompt=shown, text=text, finish_reason="stop")


def taught(turns: list[Turn], task: float = 1.0) -> list[tuple[str, str]]:
    """Roles and texts of the turns that are taught if "4" is right and "four" cannot be scored at once."""
    scores = {"4": 1.0, "four": None, "no: 4\nor so": 0.5}
    one = Ranked(trajectory=Trajectory(question="q", sample=0, turns=tuple(turns)), task=task, reward=1.0)
    return [(found.role, found.text) for found in taught_turns(one, lambda _, text: scores.get(text, 0.0))]


def voted(order: list[str], verdict: str) -> Turn:
    return turn("judge", verdict, choose(ASKED, [Reference("m", text) for text in order]))


@pytest.mark.parametrize(
    ("verdict", "order", "kept"),
    [
        ("2", ["5", "4", "6"], True),
        ("2", ["4", "6", "5"], False),  # the same number, in another order
        ("Candidate 1.", ["4", "6", "5"], True),
        ("3", ["4", "6", "5"], False),
        ("4", ["5", "4", "6"], False),  # no candidate
        ("None is right", ["5", "4", "6"], False),
    ],
)
def test_a_vote_for_a_worse_proposal_is_not_taught(verdict: str, order: list[str], kept: bool) -> None:
    proposals = [turn("proposer", text) for text in ("5", "4", "6")]
    found = taught([*proposals, voted(order, verdict)])
    assert found == [("proposer", "4"), *([("judge", verdict)] if kept else [])]


def test_a_vote_is_compared_with_the_answer_and_kept_if_its_proposal_cannot_be_scored() -> None:
    proposals = [turn("proposer", text) for text in ("no: 4\nor so", "5", "four")]
    order = ["5", "no: 4\nor so", "four"]
    assert ("judge", "2") in taught([*proposals, voted(order, "2")], task=0.5)
    assert ("judge", "2") not in taught([*proposals, voted(order, "2")], task=1.0)
    assert ("judge", "3") in taught([*proposals, voted(order, "3")])


@pytest.mark.parametrize(
    ("draft", "verdict", "kept"),
    [
        ("4", "ACCEPT", True),
        ("5", "It is 4.", True),
        ("4", "It is 5.", False),
        ("four", "It is 5.", True),  # whether the draft was right is not known
    ],
)
def test_an_objection_to_a_right_draft_is_not_taught(draft: str, verdict: str, kept: bool) -> None:
    criticism = turn("critic", verdict, question(ASKED, CRITICISE.format(answer=quoted(draft))))
    found = taught([turn("solver", draft), criticism, turn("solver", "4")])
    assert (("critic", verdict) in found) is kept
    assert found[-1] == ("solver", "4")


def test_an_objection_is_about_the_draft_before_it() -> None:
    turns = [turn("solver", "5"), turn("critic", "It is 4."), turn("solver", "4"), turn("critic", "It is 5.")]
    assert taught([*turns, turn("solver", "4")]) == [("critic", "It is 4."), ("solver", "4"), ("solver", "4")]
