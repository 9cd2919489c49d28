"""Tasks for tools and for thinking: their answers follow from their arguments and steps."""

import random
import re

from models.tiny.tasks import LARGEST_AT_ONCE, TaskMaker
from models.tiny.tools import value_of


def maker() -> TaskMaker:
    return TaskMaker(random.Random(3))


def test_an_expression_has_the_question_s_numbers_and_the_answer_s_value() -> None:
    make = maker()
    signs = set()
    for _ in range(400):
        task = make.ask("calculate")
        assert str(value_of(task.argument)) == task.answer
        assert sorted(re.findall(r"\d+", task.text)) == sorted(re.findall(r"\d+", task.argument))
        signs.add(task.argument.split()[1])
    assert signs == set("+-*/")


def test_a_topic_is_copied_from_the_question() -> None:
    make = maker()
    for _ in range(200):
        task = make.ask("lookup")
        relation, _, place = task.argument.rpartition(" of ")
        assert relation in task.text
        assert place in task.text
        entries = make.entries(task)
        assert entries[task.argument] == task.answer
        assert len(entries) > 2


def test_steps_of_a_chain_are_sums_that_the_model_knows_and_end_with_the_answer() -> None:
    make = maker()
    for _ in range(300):
        task = make.ask("chain")
        results = []
        for step in task.steps:
            a, sign, b, result = re.fullmatch(r"(\d+) ([-+]) (\d+) = (\d+)", step).groups()
            assert max(int(a), int(b), int(result)) <= LARGEST_AT_ONCE
            assert int(result) == (int(a) + int(b) if sign == "+" else int(a) - int(b))
            assert not results or results[-1] == a
            results.append(result)
        assert results[-1] == task.answer
        assert len(results) in (2, 3, 4)


def test_steps_of_a_long_sum_split_both_numbers_and_carry() -> None:
    make = maker()
    carried = 0
    for _ in range(300):
        task = make.ask("long_sum")
        first, second, low, high, *carry = task.steps
        total = low.rpartition(" = ")[2]
        thousands = (carry or [high])[0].rpartition(" = ")[2]
        assert f"{thousands}{total[-3:]}" == task.answer
        assert bool(carry) == (len(total) == 4)
        for split in (first, second):
            whole, thousands, rest = re.fullmatch(r"(\d+) = (\d+) (\d{3})", split).groups()
            assert whole == thousands + rest
            assert whole in task.text
        carried += bool(carry)
    assert 50 < carried < 250


def test_held_out_keys_are_never_asked() -> None:
    skills = ("calculate", "lookup", "chain", "long_sum")
    keys = frozenset(TaskMaker(random.Random(1)).ask(skill).key for skill in skills for _ in range(1))
    again = TaskMaker(random.Random(1), keys)
    assert keys.isdisjoint(again.ask(skill).key for skill in skills for _ in range(20))
