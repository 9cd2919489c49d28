"""A judge's requests: both orders, every turn, and resuming."""

import json
import math
from pathlib import Path

import httpx
import pytest

from evaluation.analysis.verdicts import grade_table, with_verdicts
from evaluation.client import Client
from evaluation.errors import EvaluationError
from evaluation.judging import judge
from evaluation.judging.judge import DATASET_BASELINE, JudgeSettings
from evaluation.judging.verdicts import Comparison, Grade
from evaluation.report.verdicts import judge_section
from evaluation.rows import Row
from evaluation.store import read_rows
from tests.support.rows import TeamServer, open_row, row


class Judge:
    """A server that answers with `verdict(prompt)` and records every prompt."""

    def __init__(self, verdict: object) -> None:
        self.verdict, self.prompts = verdict, list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        prompt = body["messages"][-1]["content"]
        self.prompts.append(prompt)
        said = self.verdict(prompt)  # type: ignore[operator]
        if isinstance(said, str):
            return httpx.Response(200, json={"choices": [{"message": {"content": said}}]})
        top = [{"token": token, "logprob": math.log(p)} for token, p in said.items()]
        content = [{**top[0], "top_logprobs": top}]
        choice = {"message": {"content": top[0]["token"]}, "logprobs": {"content": content}}
        return httpx.Response(200, json={"choices": [choice]})


async def compared(
    judged: Judge, rows: list[Row], out: Path, baseline: str = "base", **settings: object
) -> list[Comparison]:
    async with Client("http://x", transport=httpx.MockTransport(judged), retries=0) as client:
        await judge.compare(client, rows, baseline, JudgeSettings("judge", **settings), out)  # type: ignore[arg-type]
    return read_rows(out / "comparisons.jsonl", Comparison)


def prefers_good(prompt: str) -> str:
    return "[[A]]" if prompt.index("good") < prompt.index("bad") else "[[B]]"


async def test_both_orders_are_asked_and_agree_for_a_fair_judge(tmp_path: Path) -> None:
    judged = Judge(prefers_good)
    (pair,) = await compared(judged, [open_row("arm", "1", "good"), open_row("base", "1", "bad")], tmp_path)
    assert len(judged.prompts) == 2
    assert (pair.orders, pair.preference, pair.consistent) == ((1.0, 1.0), 1.0, True)
    assert (pair.arm_chars, pair.baseline_chars) == (4, 3)


async def test_a_judge_who_likes_the_first_place_moves_nothing(tmp_path: Path) -> None:
    rows = [open_row("arm", "1", "good"), open_row("base", "1", "bad")]
    (pair,) = await compared(Judge(lambda prompt: "[[A]]"), rows, tmp_path)
    assert (pair.preference, pair.consistent) == (0.5, False)


async def test_a_verdict_without_a_mark_is_no_verdict(tmp_path: Path) -> None:
    rows = [open_row("arm", "1", "good"), open_row("base", "1", "bad")]
    (pair,) = await compared(Judge(lambda prompt: "I cannot say"), rows, tmp_path)
    assert (pair.preference, pair.consistent, pair.done) == (None, None, True)


async def test_weighted_verdicts_come_from_the_first_tokens_alternatives(tmp_path: Path) -> None:
    rows = [open_row("arm", "1", "good"), open_row("base", "1", "bad")]

    def unsure(prompt: str) -> dict[str, float]:
        first = prompt.index("good") < prompt.index("bad")
        return {"A": 0.6, " A": 0.1, "B": 0.2, "the": 0.1} if first else {"B": 0.9, "A": 0.05}

    (pair,) = await compared(Judge(unsure), rows, tmp_path, weighted=True)
    assert pair.orders == pytest.approx((0.7 / 0.9, 1 - 0.05 / 0.95))


async def test_the_datasets_own_answers_can_be_the_baseline(tmp_path: Path) -> None:
    rows = [open_row("arm", "1", "good", baseline="bad"), open_row("other", "1", "good good", baseline="bad")]
    pairs = await compared(Judge(prefers_good), rows, tmp_path, baseline=DATASET_BASELINE)
    assert {(pair.arm, pair.preference) for pair in pairs} == {("arm", 1.0), ("other", 1.0)}


async def test_judging_goes_on_where_it_stopped(tmp_path: Path) -> None:
    rows = [open_row(arm, str(i), "good" if arm == "arm" else "bad") for arm in ("arm", "base") for i in range(3)]
    await compared(Judge(prefers_good), rows[:1] + rows[3:], tmp_path)
    second = Judge(prefers_good)
    assert len(await compared(second, rows, tmp_path)) == 3
    assert len(second.prompts) == 4


async def test_weighted_and_written_verdicts_are_kept_apart(tmp_path: Path) -> None:
    rows = [open_row("arm", "1", "good"), open_row("base", "1", "bad")]
    await compared(Judge(prefers_good), rows, tmp_path)
    sure = Judge(lambda prompt: {"A": 0.9, "B": 0.1})
    pairs = await compared(sure, rows, tmp_path, weighted=True)
    assert len(sure.prompts) == 2
    assert [(pair.weighted, pair.preference) for pair in pairs] == [(False, 1.0), (True, pytest.approx(0.5))]
    assert [table.title for table in judge_section(pairs, []).tables] == [
        "Win rate against base, judged by judge, % [95%]",
        "Win rate against base, judged by judge (weighted), % [95%]",
    ]


async def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="'base' has no answers"):
        await compared(Judge(prefers_good), [open_row("arm", "1", "good")], tmp_path)


async def test_both_turns_are_graded_with_what_came_before(tmp_path: Path) -> None:
    judged = Judge(lambda prompt: "[[9]]" if "second answer" in prompt else "[[4]]")
    answered = open_row("arm", "1", "").model_copy(
        update={
            "questions": ("q one", "q two"),
            "answers": ("first answer", "second answer"),
            "references": ("r1", "r2"),
        }
    )
    async with Client("http://x", transport=httpx.MockTransport(judged)) as client:
        await judge.grade(client, [answered], JudgeSettings("judge", concurrency=1), tmp_path)
    grades = read_rows(tmp_path / "grades.jsonl", Grade)
    assert [(grade.turn, grade.rating) for grade in grades] == [(1, 4.0), (2, 9.0)]
    assert "q two" not in judged.prompts[0]
    assert "r2" not in judged.prompts[0]
    assert all(text in judged.prompts[1] for text in ("q one", "first answer", "q two", "r1", "r2"))
    (line,) = grade_table(grades)
    assert (line.turns, line.overall, line.unrated) == ((4.0, 9.0), 6.5, 0)


async def test_a_failed_verdict_is_tried_again(tmp_path: Path) -> None:
    down = TeamServer()
    down.refuse_after = 0
    async with Client("http://x", transport=down.transport, retries=0) as client:
        await judge.grade(client, [row("arm", "1", "yes")], JudgeSettings("judge"), tmp_path)
    (grade,) = read_rows(tmp_path / "grades.jsonl", Grade)
    assert grade.error == "503: no replica is ready"
    async with Client("http://x", transport=TeamServer().transport, retries=0) as client:
        await judge.grade(client, [row("arm", "1", "yes")], JudgeSettings("judge"), tmp_path)
    (grade,) = read_rows(tmp_path / "grades.jsonl", Grade)
    assert (grade.rating, grade.done) == (8.0, True)


async def checked(handler: object, **settings: object) -> None:
    async with Client("http://x", transport=httpx.MockTransport(handler), retries=0) as client:  # type: ignore[arg-type]
        await judge.check(client, JudgeSettings("judge", **settings))  # type: ignore[arg-type]


async def test_an_unserved_judge_is_named_before_any_work() -> None:
    server = TeamServer()
    server.served.remove("judge")
    with pytest.raises(EvaluationError, match="The server has no model 'judge'; its models are: add, spell"):
        await checked(server)
    assert server.bodies == []


async def test_a_judge_that_does_not_answer_is_named_before_any_work() -> None:
    server = TeamServer()
    server.refuse_after = 0
    with pytest.raises(EvaluationError, match="The judge 'judge' does not answer: 503: no replica is ready"):
        await checked(server)


async def test_a_judge_without_logprobs_cannot_be_weighted() -> None:
    with pytest.raises(EvaluationError, match="returns no logprobs; leave out --weighted"):
        await checked(TeamServer(), weighted=True)
    server = TeamServer()
    await checked(server)
    assert len(server.bodies) == 1


async def test_a_judge_that_goes_away_ends_the_command(tmp_path: Path) -> None:
    """Regression test: 48 of 48 failed verdicts ended with exit code 0."""
    rows = [open_row(arm, str(i), "good") for i in range(24) for arm in ("arm", "base")]
    down = TeamServer()
    down.refuse_after = 0
    async with Client("http://x", transport=down.transport, retries=0) as client:
        settings = JudgeSettings("judge", concurrency=1)
        with pytest.raises(
            EvaluationError, match="20 consecutive verdicts failed, the last of judge 'judge' with '503"
        ):
            await judge.compare(client, rows, "base", settings, tmp_path)
    assert len(read_rows(tmp_path / "comparisons.jsonl", Comparison)) == 20


async def test_any_exception_is_that_verdict_s_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("arm", str(i), "yes") for i in range(3)]
    monkeypatch.setattr("evaluation.judging.prompts.rating", lambda text: 1 / 0)
    async with Client("http://x", transport=TeamServer().transport, retries=0) as client:
        counts = await judge.grade(client, rows, JudgeSettings("judge"), tmp_path)
    assert (counts.asked, counts.failed) == (3, 3)
    assert counts.reasons == {"ZeroDivisionError: division by zero": 3}


async def test_unreadable_verdicts_are_counted(tmp_path: Path) -> None:
    rows = [open_row(arm, str(i), "good") for i in range(2) for arm in ("arm", "base")]
    async with Client("http://x", transport=httpx.MockTransport(Judge(lambda prompt: "Both.")), retries=0) as client:
        counts = await judge.compare(client, rows, "base", JudgeSettings("judge"), tmp_path)
    assert (counts.asked, counts.failed, counts.kept, counts.unreadable, counts.useless) == (2, 0, 0, 2, True)


async def test_verdicts_of_two_judges_and_baselines_stand_beside_each_other(tmp_path: Path) -> None:
    rows = [open_row(arm, "1", text) for arm, text in (("arm", "good"), ("base", "bad"), ("other", "bad"))]
    async with Client("http://x", transport=httpx.MockTransport(Judge(prefers_good)), retries=0) as client:
        for name in ("j", "k"):
            for baseline in ("base", "other"):
                await judge.compare(
                    client, rows[:1] + [r for r in rows if r.arm == baseline], baseline, JudgeSettings(name), tmp_path
                )
    pairs = read_rows(tmp_path / "comparisons.jsonl", Comparison)
    assert {(pair.judge, pair.baseline) for pair in pairs} == {
        ("j", "base"),
        ("j", "other"),
        ("k", "base"),
        ("k", "other"),
    }
    assert len({pair.key for pair in pairs}) == 4


async def test_a_question_with_criteria_is_rated_by_each_of_them(tmp_path: Path) -> None:
    said = {
        "good": "[[Factuality: 5]] [[Readability: 4]]",
        "vague": "[[Factuality: N/A]] [[Readability: 2]]",
        "odd": "[[Readability: 2]]",  # a criterion is missing
    }
    rows = [
        open_row(arm, str(item), text, criteria=("Factuality", "Readability"), references=("Right.",))
        for arm, texts in (("a", ["good", "vague"]), ("b", ["odd", "vague"]))
        for item, text in enumerate(texts)
    ]
    judged = Judge(lambda prompt: next(verdict for word, verdict in said.items() if word in prompt))
    async with Client("http://x", transport=httpx.MockTransport(judged), retries=0) as client:
        counts = await judge.grade(client, rows, JudgeSettings("judge"), tmp_path)
    assert counts.unreadable == 1
    grades = read_rows(tmp_path / "grades.jsonl", Grade)
    assert {(grade.arm, grade.item, grade.rating) for grade in grades} == {
        ("a", "0", 4.5),
        ("a", "1", 2.0),
        ("b", "0", None),
        ("b", "1", 2.0),
    }
    scores = with_verdicts(rows, [], grades)
    assert [row.score for row in scores.rows] == [(4.5 - 1) / 4, 0.25, None, 0.25]
    assert str(scores.measures["data"]) == "ratings of criteria by 'judge'"
    (table,) = judge_section([], grades, rows).tables
    assert table.title == "Ratings by criterion, from 1 to 5"
    assert table.columns == ("arm", "judge", "mean", "tokens", "Factuality", "Readability", "unrated")
    cells = {row[0].text: [cell.text for cell in row[2:]] for row in table.rows}
    assert cells == {"a": ["3.25", "12", "5.00", "3.00", "0"], "b": ["2.00", "12", "–", "2.00", "1"]}


async def test_ratings_of_both_scales_have_tables_of_their_own(tmp_path: Path) -> None:
    def verdict(prompt: str) -> str:
        return "[[Readability: 5]]" if "flask" in prompt else "[[10]]"

    rows = [
        open_row("a", "1", "flask", criteria=("Readability",), dataset="f"),
        open_row("a", "2", "whole", dataset="m"),
    ]
    async with Client("http://x", transport=httpx.MockTransport(Judge(verdict)), retries=0) as client:
        await judge.grade(client, rows, JudgeSettings("judge"), tmp_path)
    grades = read_rows(tmp_path / "grades.jsonl", Grade)
    assert [table.title for table in judge_section([], grades, rows).tables] == [
        "Ratings from 1 to 10",
        "Ratings by criterion, from 1 to 5",
    ]
    assert [row.score for row in with_verdicts(rows, [], grades).rows] == [1.0, 1.0]
