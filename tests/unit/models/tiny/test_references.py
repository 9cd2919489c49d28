"""Reference sets and the conversations around them."""

import random
import re
from collections import Counter

from models.tiny.conversations import ConversationMaker
from models.tiny.questions import Question, QuestionMaker, SkillRange
from models.tiny.references import Proposed, ReferencePool
from serving.recipes.judging import ACCEPT, chosen
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE

MODELS = ("a", "b", "c")
QUESTION = Question("facts", "Name the capital of Peru.", "Lima")
POOL = ReferencePool(MODELS, [Proposed(QUESTION, (("Lima",), ("Quito",), ("Bern", "")))])


def test_one_to_eight_references_declared_and_shuffled() -> None:
    rng = random.Random(1)
    drawn = [POOL.draw(rng)[1] for _ in range(2_000)]
    sizes = Counter(map(len, drawn))
    assert set(sizes) == set(range(1, 9))
    triples = Counter(tuple(reference.model for reference in each) for each in drawn if len(each) == 3)
    assert triples[MODELS] > sum(triples.values()) / 3
    assert len(triples) > 6


def test_references_are_proposals_or_the_right_answer_never_empty() -> None:
    rng = random.Random(2)
    said = {"a": {"Lima"}, "b": {"Quito", "Lima"}, "c": {"Bern", "Lima"}}
    for _ in range(500):
        for reference in POOL.draw(rng)[1]:
            assert reference.text in said[reference.model]


def test_accuracy_counts_every_proposal() -> None:
    assert POOL.accuracy() == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_lessons_put_references_where_serving_does() -> None:
    rng = random.Random(3)
    maker = ConversationMaker(rng, QuestionMaker(rng), (1.0, 1.0, 1.0))
    for _ in range(50):
        paper = maker.aggregating(POOL, "paper", "Be brief.")
        assert paper[0].role == "system"
        assert paper[0].content.startswith(f"Be brief.\n\n{AGGREGATE_AND_SYNTHESIZE}\n1. ")
        last = maker.aggregating(POOL, "references_last", None)
        assert last[-2].role == "user"
        assert last[-2].content.startswith(f"{QUESTION.text}\n\n{AGGREGATE_AND_SYNTHESIZE}\n1. ")
        assert paper[-1].content == last[-1].content == "Lima"


KNOWS_NOTHING = SkillRange(facts=())


def maker_of(skill_range: SkillRange) -> ConversationMaker:
    rng = random.Random(4)
    return ConversationMaker(rng, QuestionMaker(rng, skill_range), (0.0, 0.0, 1.0))


def test_a_fact_that_was_not_taught_is_guessed_and_said_to_be() -> None:
    maker = maker_of(KNOWS_NOTHING)
    for _ in range(50):
        question = maker.question()
        if question.skill == "facts":
            assert question.answer.startswith("Perhaps ")


def test_a_judge_learns_to_name_the_right_candidate() -> None:
    maker = maker_of(SkillRange())
    for _ in range(50):
        task, reply = maker.choosing(POOL, None)
        candidates = re.findall(r"^\d\. (.*)$", task.content, re.MULTILINE)
        assert candidates[chosen(reply.content, len(candidates))] == "Lima"
        assert set(candidates) != {"Lima"}


def test_a_critic_learns_to_accept_what_is_right_and_to_correct_what_is_not() -> None:
    maker = maker_of(SkillRange())
    verdicts = Counter()
    for _ in range(60):
        task, reply = maker.criticising(POOL, None)
        right = "\n   Lima\n" in task.content
        verdicts[right] += 1
        assert reply.content == (ACCEPT if right else "It should be Lima.")
    assert min(verdicts.values()) > 15


def test_a_solver_learns_to_give_the_corrected_answer() -> None:
    maker = maker_of(SkillRange())
    _, wrong, criticism, reply = maker.revising(POOL, None)
    assert wrong.content != "Lima"
    assert "It should be Lima." in criticism.content
    assert reply.content == "Lima"
