"""The cost of prompts: it is measured for each tokenizer and text."""

from pathlib import Path

import pytest

from loadtest import prompt_cost
from tests.support.paths import ROOT

WEIGHTS = ROOT / "models" / "tiny" / "weights"


@pytest.mark.parametrize("control", ["tokens", "all"])
def test_every_text_is_measured(
    control: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prompt_cost, "CHARACTERS", 1000)
    monkeypatch.setattr(prompt_cost, "REPETITIONS", 1)
    assert prompt_cost.main([str(WEIGHTS / "tiny-qwen"), "--control", control]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert head.count("|") == row.count("|") == len(prompt_cost.TEXTS) + 3
    assert row.startswith("| tiny-qwen | ")


def test_a_directory_must_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert prompt_cost.main([str(WEIGHTS / "none")]) == 2
    assert "is no directory" in capsys.readouterr().err


def test_a_tokenizer_has_the_name_of_its_package() -> None:
    assert prompt_cost.name_of(Path("/x/tokenizer-gemma3/models")) == "tokenizer-gemma3"
