"""Auto: rules, classifier, default."""

import json
from pathlib import Path

import pytest

from serving.errors import ConfigError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.recipes import Ask, Trio, run


async def test_auto_follows_its_rules_then_its_default(trio: Trio, ask: Ask) -> None:
    auto = {"id": "auto", "strategy": "auto", "rules": [{"to": "b", "pattern": r"\d+"}], "otherwise": "moa-lite"}
    assert (await run(trio, ask("what is 2+2"), auto, "moa-lite")).text == "b says 0"
    assert (await run(trio, ask("why"), auto, "moa-lite")).text == "a says 3"


async def test_auto_by_a_trained_classifier(trio: Trio, ask: Ask, tmp_path: Path) -> None:
    router = {"idf": {"sum": 1.0, "capital": 1.0}, "bias": {"a": 0.0, "b": 0.1}, "weights": {"a": {"sum": 2}, "b": {}}}
    path = tmp_path / "router.json"
    path.write_text(json.dumps(router))
    auto = {"id": "auto", "strategy": "auto", "classifier": str(path), "otherwise": "a"}
    assert (await run(trio, ask("the sum please"), auto)).text == "a says 0"
    assert (await run(trio, ask("the capital please"), auto)).text == "b says 0"


@pytest.mark.parametrize(
    ("question", "answers"),
    [("What is 2 + 2?", "b says 0"), ("Explain tides.", "a says 3"), ("which one " * 20, "a says 3")],
)
async def test_auto_is_a_model_id_of_its_own(trio: Trio, ask: Ask, question: str, answers: str) -> None:
    assert (await run(trio, ask(question), "auto", "moa-lite")).text == answers


ROUTER = {"idf": {"sum": 1.0}, "bias": {"a": 0.0, "b": 0.1}, "weights": {"a": {"sum": 2}, "b": {}}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read: "),
        ("{", "cannot be read: "),
        ("[" * 100_000, "is nested too deeply"),
        (json.dumps({**ROUTER, "bias": {}, "weights": {}}), "has no routes"),
        (
            json.dumps({**ROUTER, "weights": {"a": {}}}),
            "cannot be used: .*the route 'b' is not in both bias and weights",
        ),
        (
            json.dumps({**ROUTER, "bias": {"a": "much", "b": 0}}),
            r"cannot be used: Set 'bias\.a' to a number, not a string",
        ),
        (
            json.dumps({**ROUTER, "bias": {"a": float("nan"), "b": 0}}),
            r"cannot be used: Set 'bias\.a' to a finite number",
        ),
        (json.dumps({**ROUTER, "colour": 1}), "cannot be used: Remove 'colour': there is no such field"),
        (json.dumps({"idf": {}, "bias": {"z": 0}, "weights": {"z": {}}}), "delegates to 'z', which is neither a model"),
    ],
)
def test_a_router_file_that_cannot_work_is_refused_at_start(
    trio: Trio, tmp_path: Path, text: str | None, sentence: str
) -> None:
    path = tmp_path / "router.json"
    if text is not None:
        path.write_text(text)
    auto = {"id": "auto", "strategy": "auto", "classifier": str(path), "otherwise": "a"}
    with pytest.raises(ConfigError, match=sentence) as caught:
        Orchestrator(trio, load_recipes([auto]))
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)
