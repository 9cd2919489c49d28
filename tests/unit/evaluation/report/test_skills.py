"""The table of accuracy by skill, on a run against a server that answers from the trio's held-out questions."""

import json
from pathlib import Path

import httpx
import pytest

from evaluation.__main__ import main
from evaluation.client import Client
from evaluation.datasets.loading import load
from evaluation.errors import EvaluationError
from evaluation.report.skills import skills_table
from tests.support.rows import row

ANSWERS = {item.turns[0]: str(item.answer) for item in load("tiny").items}


def _server(request: httpx.Request) -> httpx.Response:
    """`good` answers everything, `half` only sums; `down` is refused."""
    if request.url.path == "/v1/models":
        return httpx.Response(200, json={"data": [{"id": name} for name in ("down", "good", "half")]})
    if request.url.path == "/version":
        return httpx.Response(404)
    body = json.loads(request.content)
    text = ANSWERS[body["messages"][-1]["content"]]
    if body["model"] == "down":
        return httpx.Response(400, json={"error": {"message": "no such luck"}})
    if body["model"] == "half" and not text.lstrip("-").isdigit():
        text = "?"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    agent = {"agent": 0, "role": "aggregator", "model": "m", "outcome": "ok", "text": text}
    layers = [{"layer": 1, "agents": [agent, agent]}, {"layer": 2, "agents": [agent]}]
    moa = {"trace": layers} if body["model"] == "good" and body["moa"]["trace"] else {}
    usage = {"prompt_tokens": 30, "completion_tokens": 5}
    return httpx.Response(200, json={"choices": [choice], "usage": usage, "moa": moa})


def test_the_commands_print_the_readme_s_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def client(options: object) -> Client:
        return Client("http://server", transport=httpx.MockTransport(_server))

    monkeypatch.setattr("evaluation.commands._client", client)
    asking = ["run", "--dataset", "tiny", "--limit", "15", "--temperature", "0", "--out", str(tmp_path)]
    assert main([*asking, "--recipes", "half,good"]) == 0
    assert main([*asking, "--recipes", "half,good,down"]) == 1
    capsys.readouterr()
    assert main(["table", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| model | arithmetic | words | facts | all | calls | tokens |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| `half` | **100.0 [57, 100]** | 0.0 [0, 43] | 0.0 [0, 43] | 33.3 [15, 58] | 1.00 | 35 |",
        "| `good` | **100.0 [57, 100]** | **100.0 [57, 100]** | **100.0 [57, 100]** | **100.0 [80, 100]** "
        "| 3.00 | 35 |",
        "| `down` | 0.0 [0, 43] | 0.0 [0, 43] | 0.0 [0, 43] | 0.0 [0, 20] | – | – |",
    ]
    assert main(["table", str(tmp_path), "--arms", "down, good"]) == 0
    assert [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines()[4:]] == ["`down`", "`good`"]


def test_an_arm_that_the_run_lacks_is_named() -> None:
    with pytest.raises(EvaluationError, match="The run has no arm better; its arms are: good"):
        skills_table([row("good", "1", "yes")], ["good", "better"])


def test_tasks_of_several_datasets_stay_apart() -> None:
    rows = [row("a", "1", "yes", dataset="x", skill="s"), row("a", "1", "no", dataset="y")]
    table = skills_table(rows, ["a"])
    assert table.columns == ("model", "x/s", "y", "all", "calls", "tokens")
    assert [cell.text for cell in table.rows[0]] == [
        "`a`",
        "100.0 [21, 100]",
        "0.0 [0, 79]",
        "50.0 [9, 91]",
        "1.00",
        "12",
    ]


def test_answers_without_a_score_have_no_accuracy() -> None:
    (line,) = skills_table([row("a", "1", "x", scorer=None, score=None)], ["a"]).rows
    assert [cell.text for cell in line] == ["`a`", "–", "1.00", "12"]


def test_costs_and_operations_have_columns_if_they_are_known() -> None:
    rows = [
        row("a", "1", "yes", cost_usd=0.0015, tflops=4.2, tflops_in_sequence=2.1),
        row("b", "1", "yes", score=None, error="503: down"),
    ]
    table = skills_table(rows, ["a", "b"])
    assert table.columns[-5:] == ("calls", "tokens", "US$ per 1,000 answers", "TFLOPs", "TFLOPs in sequence")
    assert [cell.text for cell in table.rows[0]][-3:] == ["1.5", "4.2", "2.1"]
    assert [cell.text for cell in table.rows[1]][-5:] == ["–"] * 5
    assert "TFLOPs" not in skills_table([row("a", "1", "yes")], ["a"]).columns
