"""Questions, facts, and the held-out set."""

from evaluation.scoring.exact import normalized
from models.tiny.questions import BACKWARDS, DIFFERENCES, SORTED, SUMS, HeldOut, Question, facts


def test_every_task_is_asked_in_many_ways() -> None:
    for phrasings in (SUMS, DIFFERENCES, BACKWARDS, SORTED, *(fact.phrasings for fact in facts())):
        assert len({normalized(phrasing) for phrasing in phrasings}) >= 6


def test_held_out_knows_operands_words_and_questions() -> None:
    held = HeldOut.of(
        [
            Question("arithmetic", "Take 12 away from 345.", "333"),
            Question("words", "SPELL 'LAMP' BACKWARDS", "pmal"),
            Question("facts", "What is the capital of Peru?", "Lima"),
        ]
    )
    assert held.pairs == {(12, 345)}
    assert held.words == {"lamp", "pmal"}
    assert "what is the capital of peru" in held.asked


def test_at_least_150_facts() -> None:
    assert len({(fact.relation, fact.subject) for fact in facts()}) >= 150
