"""The held-out questions: made from their seed, and absent from the training data."""

import random
import re
from collections import Counter
from itertools import islice

import pytest

from evaluation.scoring.exact import normalized
from models.tiny import heldout
from models.tiny.curriculum import CURRICULA, Curriculum, direct_batches
from models.tiny.questions import SKILLS, Question, QuestionMaker, facts

ROWS = heldout.rows()


ASKED = {normalized(row.question.text) for row in ROWS}


PAIRS = {
    tuple(sorted(map(int, re.findall(r"\d+", row.question.text)))) for row in ROWS if row.question.skill == "arithmetic"
}


WORDS = heldout.held_out().words


def test_the_committed_rows_are_what_the_seed_makes() -> None:
    assert heldout.made() == ROWS


def test_a_hundred_different_questions_a_skill() -> None:
    assert Counter(row.question.skill for row in ROWS) == dict.fromkeys(SKILLS, 100)
    assert len(ASKED) == len({row.id for row in ROWS}) == 300


def test_answers_are_true() -> None:
    known = {
        normalized(phrasing.format(x=fact.subject)): fact.answer for fact in facts() for phrasing in fact.phrasings
    }
    for row in ROWS:
        text, answer = row.question.text.lower(), row.question.answer
        if row.question.skill == "facts":
            assert known[normalized(text)] == answer
        elif row.question.skill == "arithmetic":
            a, b = map(int, re.findall(r"\d+", text))
            assert int(answer) in (a + b, a - b, b - a)
        else:
            assert any(answer in (word[::-1], "".join(sorted(word))) for word in re.findall("[a-z]+", text))


def _leaks(question: Question) -> bool:
    """True if the question is held out, judged by its text alone, independently of the generator."""
    text = question.text.lower()
    if question.skill == "arithmetic":
        return tuple(sorted(map(int, re.findall(r"\d+", text)))) in PAIRS
    if question.skill == "words":
        return any(word in WORDS for word in re.findall("[a-z]+", text))
    return normalized(text) in ASKED


def test_the_check_would_find_a_leak() -> None:
    assert all(_leaks(row.question) for row in ROWS)


@pytest.mark.parametrize("curriculum", CURRICULA, ids=lambda curriculum: curriculum.family.name)
def test_no_training_question_is_held_out(curriculum: Curriculum) -> None:
    maker = QuestionMaker(random.Random(7), curriculum.skill_range(), heldout.held_out())
    for skill in SKILLS:
        assert not any(_leaks(maker.ask(skill)) for _ in range(4_000))


@pytest.mark.parametrize("curriculum", CURRICULA, ids=lambda curriculum: curriculum.family.name)
def test_no_training_conversation_contains_a_held_out_question(curriculum: Curriculum) -> None:
    batches = direct_batches(curriculum, heldout.held_out(), seed=1)
    texts = [
        normalized(message.content) for batch in islice(batches, 20) for lesson in batch for message in lesson.messages
    ]
    assert len(texts) > 2_000
    assert ASKED.isdisjoint(texts)


def test_every_held_out_fact_is_taught_in_other_phrasings() -> None:
    held = heldout.held_out()
    asked = {row.question.answer for row in ROWS if row.question.skill == "facts"}
    for fact in facts():
        ways = {normalized(phrasing.format(x=fact.subject)) for phrasing in fact.phrasings}
        assert len(ways) >= 6
        assert len(ways & held.asked) <= 1
        assert fact.answer not in asked or len(ways - held.asked) >= 5
