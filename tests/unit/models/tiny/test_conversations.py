"""Training conversations around questions and references."""

import random
import re
from collections import Counter

from models.tiny.conversations import ConversationMaker
from models.tiny.questions import QuestionMaker, SkillRange
from serving.recipes.judging import ACCEPT, chosen
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE
from tests.support.trio import POOL, QUESTION


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
