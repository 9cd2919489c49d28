"""Data of the answer browser."""

import random
from typing import Any

import orjson

from evaluation.report.answers import NOTE_BYTES, browser_data
from evaluation.report.packing import unpacked
from evaluation.rows import CallRow, Row, StepRow
from tests.support.rows import LAYERED, open_row, row, team_row

PLENTY = 10**7


def shown(rows: list[Row], room: int = PLENTY) -> dict[str, Any]:
    return orjson.loads(unpacked(browser_data(rows, room).data))


def words(seed: int, count: int) -> str:
    return " ".join(str(random.Random(f"{seed}-{position}").random()) for position in range(count))


def test_an_answer_has_its_verdict_and_its_agents_with_theirs() -> None:
    data = shown([LAYERED])
    (item,) = data["items"]
    (answer,) = item["answers"]
    assert (item["id"], item["task"], data["texts"][item["reference"]]) == ("1", "data", "yes")
    assert (answer["arm"], answer["score"], answer["tokens"], answer["seconds"]) == ("moa", 1.0, 12, 1.0)
    agents = [
        (a["layer"], a["model"], a.get("score"), a.get("outcome"), data["texts"][a["text"]] if "text" in a else None)
        for a in answer["agents"]
    ]
    assert agents == [
        (1, "a", 0.0, None, "no"),
        (1, "b", 1.0, None, "yes"),
        (1, "c", None, "timeout", None),
        (2, "a", 1.0, None, "yes"),
        (2, "b", 1.0, None, "yes"),
        (3, "b", 1.0, None, "yes"),
    ]


def test_answers_to_one_question_are_together_and_equal_texts_are_held_once() -> None:
    rows = [row(arm, item, "yes") for arm in ("a", "b") for item in ("1", "2")]
    data = shown(rows)
    assert data["arms"] == ["a", "b"]
    assert [[answer["arm"] for answer in item["answers"]] for item in data["items"]] == [["a", "b"], ["a", "b"]]
    assert data["texts"] == ["?", "yes"]


def test_failed_unscored_and_sampled_answers_say_so() -> None:
    rows = [
        row("a", "1", "", score=None, error="503: down"),
        open_row("b", "1", "text"),
        row("c", "1", "yes", sample=2, degraded=True, reasons=("late",)),
    ]
    failed, unscored, sampled = shown(rows)["items"][0]["answers"]
    assert failed["error"] == "503: down"
    assert "score" not in failed
    assert "score" not in unscored
    assert (sampled["sample"], sampled["reasons"]) == (2, ["late"])


def test_tool_calls_have_their_request_arguments_and_results() -> None:
    call = CallRow(name="add", arguments='{"a": 1}', fault="parameter", result="no b")
    data = shown([row("a", "1", "yes", steps=(StepRow(calls=(call,)), StepRow()))])
    (found,) = data["items"][0]["answers"][0]["calls"]
    assert data["texts"][found.pop("result")] == "no b"
    assert found == {"step": 1, "name": "add", "arguments": '{"a": 1}', "fault": "parameter"}


def test_long_texts_keep_their_ends_and_answers_more_than_proposals() -> None:
    rows = [
        team_row("team", str(item), {"a": words(item, 150)}, words(-item - 1, 150) + " so 42", by="b")
        for item in range(30)
    ]
    whole = browser_data(rows, PLENTY)
    assert whole.note == ""
    assert len(whole.data) > 60_000
    found = browser_data(rows, 40_000)
    assert len(found.data) + len(found.note) <= 40_000
    assert "shortened in the middle" in found.note
    data = orjson.loads(unpacked(found.data))
    assert len(data["items"]) == 30
    for item in data["items"]:
        (answer,) = item["answers"]
        text, proposal = data["texts"][answer["texts"][0]], data["texts"][answer["agents"][0]["text"]]
        assert text.endswith(" so 42")
        assert "characters left out ..." in text
        assert len(proposal) < len(text)


def test_without_room_for_short_texts_questions_on_which_arms_disagree_stay() -> None:
    rows = []
    for item in range(400):
        rows.append(row("a", f"item-{words(item, 1)}", "yes", questions=(words(item, 9),)))
        rows.append(row("b", f"item-{words(item, 1)}", "no" if item >= 300 else "yes", questions=(words(item, 9),)))
    found = browser_data(rows, 15_000)
    data = orjson.loads(unpacked(found.data))
    kept = len(data["items"])
    assert 50 < kept < 300
    assert found.note.startswith(f"{kept} of 400 questions have room, first those on which the arms disagree.")
    assert all(len({answer["score"] for answer in item["answers"]}) == 2 for item in data["items"][:100])
    assert len(found.data) <= 15_000 - NOTE_BYTES


def test_no_room_at_all_is_said() -> None:
    found = browser_data([row("a", "1", "yes")], 0)
    assert orjson.loads(unpacked(found.data))["items"] == []
    assert found.note.startswith("0 of 1 questions have room")


def test_a_long_extracted_answer_is_not_shown_beside_its_text() -> None:
    program = "def f(x):\n    return x\n" * 20
    rows = [row("a", "1", program, extracted=program), row("b", "1", "It is 7.", extracted="7")]
    long, short = shown(rows)["items"][0]["answers"]
    assert "extracted" not in long
    assert short["extracted"] == "7"
