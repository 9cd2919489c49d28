"""Layers of recorded runs asked again: `python -m serving.replay`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments import replay
from evaluation.rows import AgentRow, Row, dumped
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.replay.report import as_json, table
from serving.replay.traced import traced_answer
from serving.runtime.prompts import prompt_messages
from serving.types import GenerateRequest
from tests.support.training import scripted_trio, transport_of
from training.formats import asked
from training.replay import rebuilt
from training.team import load_team
from training.trajectory import Trajectory

QUESTION = "What is 2 + 2?"
SCRIPTS = {"tiny-qwen": "four", "tiny-llama": "4", "tiny-mixtral": "it is 4"}


def echo_length(request: GenerateRequest) -> str:
    return f"read {sum(len(message.content) for message in request.messages)}"


async def answer_of(engines: Mapping[str, ScriptedEngine], recipe: str, **fields: Any) -> tuple[Any, Any]:
    body = {
        "model": recipe,
        "messages": [{"role": "user", "content": QUESTION}],
        **fields,
        "moa": {"trace": True, **fields.get("moa", {})},
    }
    async with httpx.AsyncClient(transport=transport_of(engines), base_url="http://s") as client:
        response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return body, response.json()


async def run(path: Path, *words: str, engines: Mapping[str, ScriptedEngine] | None = None) -> Any:
    given = replay.parsed([str(path), *words])
    transport = transport_of(engines or scripted_trio(SCRIPTS))
    return await replay.replayed(given, transport)


def written(tmp_path: Path, *values: Any) -> Path:
    path = tmp_path / "trace.json"
    path.write_text("\n".join(json.dumps(value) for value in values))
    return path


async def test_the_last_layer_is_asked_with_another_model(tmp_path: Path) -> None:
    engines = scripted_trio(SCRIPTS)
    body, response = await answer_of(engines, "moa-lite")
    final = engines["tiny-qwen"].requests[-1]
    again = scripted_trio({**SCRIPTS, "tiny-llama": "another four"})
    path = written(tmp_path, {"request": body, "response": response})
    price = "--price=tiny-llama=1,2"
    (found,), left_out = await run(path, "--with", "model=tiny-llama", price, engines=again)
    assert not left_out
    assert (found.layer, found.agent, found.role) == (2, 0, "aggregator")
    assert (found.before.model, found.before.text) == ("tiny-qwen", "four")
    assert (found.after.model, found.after.text, found.after.error) == ("tiny-llama", "another four", None)
    (request,) = again["tiny-llama"].requests
    assert [message.content for message in request.messages] == [
        message.content for message in prompt_messages(final)
    ], "it read what the recorded agent read"
    usage = found.after.usage
    assert found.after.cost_usd == pytest.approx((usage.prompt_tokens + 2 * usage.completion_tokens) / 1e6)
    shown = table([found])
    assert "tiny-qwen" in shown
    assert "another four" in shown
    (line,) = as_json([found])
    assert line["before"]["prompt_tokens"] == response["moa"]["trace"][1]["agents"][0]["usage"]["prompt_tokens"]
    assert line["after"]["completion_tokens"] == usage.completion_tokens


async def test_without_changes_the_same_is_asked(tmp_path: Path) -> None:
    engines = scripted_trio(dict.fromkeys(SCRIPTS, echo_length))
    body, response = await answer_of(engines, "moa", temperature=0)
    path = written(tmp_path, {"request": body, "response": response})
    for layer in (1, 2, 3):
        found, left_out = await run(path, "--layer", str(layer), engines=engines)
        assert not left_out
        assert len(found) == (1 if layer == 3 else 3)
        for one in found:
            assert one.after.text == one.before.text
            assert one.after.usage.completion_tokens == one.before.usage.completion_tokens
    assert "answers that are the same" in table([*found, *found])


async def test_another_prompt_is_written_by_the_recipe(tmp_path: Path) -> None:
    engines = scripted_trio(SCRIPTS)
    body, response = await answer_of(engines, "moa-lite", max_tokens=20)
    path = written(tmp_path, response)
    request = tmp_path / "request.json"
    request.write_text(json.dumps(body))
    words = ("--request", str(request), "--with", "layout=paper", "--with", "system=Be brief.")
    again = scripted_trio(SCRIPTS)
    (found,), _ = await run(path, *words, "--with", "temperature=0.5", engines=again)
    assert found.after.error is None
    (asked_again,) = again["tiny-qwen"].requests
    system, user = asked_again.messages
    assert "Be brief." in system.content
    assert "1. four" in system.content, "the references are in the system message"
    assert user.content == QUESTION
    assert (asked_again.sampling.temperature, asked_again.sampling.max_tokens) == (0.5, 20)


async def test_overrides_of_the_request_hold(tmp_path: Path) -> None:
    engines = scripted_trio(SCRIPTS)
    body, response = await answer_of(engines, "moa-lite", moa={"models": ["tiny-llama", "tiny-llama"]})
    found, left_out = await run(written(tmp_path, {"request": body, "response": response}), "--layer", "1")
    assert not left_out
    assert [one.before.model for one in found] == ["tiny-llama"] * 2


async def test_an_agent_that_failed_fails_again_for_the_others(tmp_path: Path) -> None:
    engines = scripted_trio(SCRIPTS)
    engines["tiny-llama"].cut_after = 0
    body, response = await answer_of(engines, "moa-lite", moa={"refill": False})
    path = written(tmp_path, {"request": body, "response": response})
    (found,), left_out = await run(path, "--with", "model=tiny-mixtral")
    assert not left_out
    assert found.after.text == "it is 4"
    found, _ = await run(path, "--layer", "1")
    assert [one.before.error for one in found] == [None, "ended as 'failed'", None]


async def test_rows_of_evaluation(tmp_path: Path) -> None:
    agents = [
        *(
            AgentRow(layer=1, agent=place, role="proposer", model=model, outcome="ok", text=text)
            for place, (model, text) in enumerate(SCRIPTS.items())
        ),
        AgentRow(layer=2, agent=0, role="aggregator", model="tiny-qwen", outcome="ok", text="four"),
    ]
    shared = {"arm": "a", "model": "moa-lite", "dataset": "d", "questions": (QUESTION,)}
    good = Row(item="one", answers=("four",), trace=tuple(agents), **shared)
    failed = Row(item="two", error="503", **shared)
    path = written(tmp_path, dumped(failed), dumped(good))
    found, left_out = await run(path, "--layer", "1", "--agent", "2", "--with", "model=tiny-qwen")
    assert not left_out
    (one,) = found
    assert one.recording == "line 2, item one"
    assert (one.before.text, one.after.text) == ("it is 4", "four")
    assert one.before.usage.prompt_tokens is None
    assert one.before.cost_usd is None
    with pytest.raises(ConfigError, match="no recorded answer in line 7"):
        await run(path, "--line", "7")


async def test_trajectories_of_training(tmp_path: Path) -> None:
    engines = scripted_trio(SCRIPTS)
    _, response = await answer_of(engines, "moa-lite")
    answer = traced_answer(response)
    turns = await rebuilt(load_team("tiny", "moa-lite"), {}, asked(QUESTION, ""), {}, answer)
    line = Trajectory(question="q", sample=0, text=answer.text, turns=turns).model_dump(mode="json")
    path = written(tmp_path, line)
    with pytest.raises(ConfigError, match="Add --recipe ID"):
        await run(path)
    found, left_out = await run(path, "--recipe", "moa-lite", "--with", "model=tiny-llama")
    assert not left_out
    assert [one.after.text for one in found] == ["4"]


async def test_another_recipe_is_left_out_with_the_reason(tmp_path: Path) -> None:
    engines = scripted_trio({**SCRIPTS, "tiny-qwen": "five"})
    body, response = await answer_of(engines, "debate")
    path = written(tmp_path, {"request": body, "response": response})
    found, (why,) = await run(path, "--recipe", "moa-lite")
    assert not found
    assert "trace.json is left out: the recipe of the profile" in why


async def test_a_server_that_refuses_is_in_the_comparison(tmp_path: Path) -> None:
    body, response = await answer_of(scripted_trio(SCRIPTS), "moa-lite")
    path = written(tmp_path, {"request": body, "response": response})
    (found,), _ = await run(path, "--with", "model=nobody")
    assert "nobody" in (found.after.error or "")
    assert "failed: " in table([found])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--with", "model"), "Write --with as FIELD=VALUE, such as model=tiny-llama, not 'model'."),
        (("--with", "seed=1", "--with", "seed=2"), "Give --with seed once."),
        (("--with", "temperature=hot"), "Set --with temperature to a number from 0 to 2, not 'hot'."),
        (("--with", "layout=sideways"), "--with layout"),
        (("--with", "min_layers=1"), "--with min_layers"),
        (("--layer", "9"), "Set --layer to one of 1, 2: trace.json has no other."),
        (("--agent", "3"), "Set --agent to one of 0: layer 2 of trace.json has no other."),
        (("--recipe", "nothing"), "Set --recipe to one of "),
        (("--url", "http://user:pw@host/v1"), "Change --url: "),
        (("--api-key-env", "NO_SUCH_KEY"), "Set the environment variable NO_SUCH_KEY"),
        (("--price", "tiny-qwen=cheap"), "Write --price as MODEL=PROMPT,COMPLETION in dollars, not 'tiny-qwen=cheap'."),
        (("--profile", "nothing"), "nothing"),
    ],
)
async def test_wrong_arguments_are_refused_in_one_sentence(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    body, response = await answer_of(scripted_trio(SCRIPTS), "moa-lite")
    path = written(tmp_path, {"request": body, "response": response})
    with pytest.raises(ConfigError) as refused:
        await run(path, *words)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no recorded answers"),
        ("{}", "has no trace; it must have"),
        ('{"choices": [{"message": {"content": "x"}}], "model": "moa"}', "has no trace; it must have"),
        ("[1]", "is no JSON object"),
        ('{"a": 1}\nnot json', "Line 2 of"),
    ],
)
async def test_a_file_without_traces_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        await run(path)


async def test_a_trace_without_its_request_says_what_to_add(tmp_path: Path) -> None:
    _, response = await answer_of(scripted_trio(SCRIPTS), "moa-lite")
    path = written(tmp_path, response)
    with pytest.raises(ConfigError, match="Add --request FILE or --question TEXT"):
        await run(path)
    (found,), _ = await run(path, "--question", QUESTION)
    assert found.after.text == "four"


def test_the_exit_status_says_that_a_file_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.main([str(tmp_path / "none.json")]) == 1
    assert capsys.readouterr().err.startswith("Error: The trace ")
