"""Auto: rules, classifier, default."""

import json
from pathlib import Path

import pytest

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
