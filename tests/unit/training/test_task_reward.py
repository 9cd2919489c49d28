"""Task rewards of each kind."""

import pytest

from evaluation.items import Item
from evaluation.sandbox import Sandbox, SandboxLimits
from training.task_reward import TaskKind, TaskReward, Unscored


def item(answer: str | None, scorer: str | None = "exact") -> Item:
    return Item("d", "q", "s", ("What?",), answer, scorer)


@pytest.mark.parametrize(
    ("kind", "text", "answer", "expected"),
    [
        ("dataset", "Lima.", "lima", 1.0),
        ("exact", "It is Lima", "Lima", 0.0),
        ("number", "So 3 * 4 = 12", "12", 1.0),
        ("number", "So 3 * 4 = 13", "12", 0.0),
        ("choice", "The answer is (B).", "B", 1.0),
        ("f1", "Lima city", "Lima", 2 / 3),
        ("f1", "cat cat dog", "cat dog bird", 2 / 3),  # 2 in common, 3 and 3 words
    ],
)
async def test_pure_rewards(kind: str, text: str, answer: str, expected: float) -> None:
    reward = TaskReward(kind)  # type: ignore[arg-type]
    assert await reward.score(item(answer), text) == pytest.approx(expected)
    assert reward.pure(item(answer), text) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["code", "dataset"])
async def test_code_is_run_with_the_tests_of_the_item(kind: TaskKind) -> None:
    reward = TaskReward(kind, sandbox=Sandbox(SandboxLimits()))
    tests = item("def check(f):\n    assert f(2) == 4\n\ncheck(double)", "code")
    assert await reward.score(tests, "Here:\n```python\ndef double(x):\n    return 2 * x\n```\nDone.") == 1.0
    assert await reward.score(tests, "def double(x):\n    return x + 1") == 0.0
    assert await reward.score(tests, " ") == 0.0
    assert reward.pure(tests, "def double(x): ...") is None


async def test_a_judge_grades_from_0_to_10() -> None:
    asked: list[str] = []

    async def judge(prompt: str) -> str:
        asked.append(prompt)
        return "7"

    assert await TaskReward("judge", judge).score(item(None, None), "Because.") == 0.7
    assert "[user] What?" in asked[0]
    assert "   Because." in asked[0]


async def test_a_judge_without_a_grade_leaves_the_answer_unscored() -> None:
    async def judge(prompt: str) -> str:
        return "good"

    with pytest.raises(Unscored, match="the judge gave no grade from 0 to 10: 'good'"):
        await TaskReward("judge", judge).score(item(None, None), "Because.")
