"""The pages of `python -m deployments.plan`, and its error."""

import pytest

from deployments.config import load_profile
from deployments.plan.__main__ import main
from deployments.plan.report import report

UNCHECKED = "Engine options were not checked: vllm is not installed."


def test_the_page_shows_models_graph_and_longest_prompts() -> None:
    page = report(load_profile("large"), asked_tokens=100, answer_tokens=1000)
    assert "2 x GPU" in page
    assert "67.7 GiB" in page, "72,706,203,648 parameters of one byte"
    assert "question ─┴─> mixtral-8x7b ──┴───> qwen2.5-72b (aggregator) ───> answer" in page
    moa = page[page.index("moa (layered)") : page.index("moa-lite (layered)")]
    [longest] = {line.split()[-2] for line in moa.splitlines() if line.split()[:2] == ["3", "aggregator"]}
    assert 3100 <= int(longest.replace(",", "").lstrip("~")) <= 3300, "the question, three answers, the paper's words"
    assert longest.startswith("~"), "no tokenizer is local"
    assert "~ estimated at 1.3 tokens per word: no tokenizer of qwen2.5-72b, llama-3.1-70b, mixtral-8x7b" in page
    assert UNCHECKED not in page


def test_without_vllm_the_page_says_that_options_were_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.plan.report.engine_option_names", frozenset)
    assert report(load_profile("large")).splitlines()[-1] == UNCHECKED


def test_the_command_prints_either_page(capsys: pytest.CaptureFixture[str]) -> None:
    main(["large", "--cost"])
    assert "one GPU per hour" in capsys.readouterr().out
    main(["large", "--asked-tokens", "7", "--answer-tokens", "9"])
    assert "assume 7 tokens from the caller and 9 from each agent" in capsys.readouterr().out


def test_a_wrong_profile_ends_the_command_with_a_sentence() -> None:
    with pytest.raises(SystemExit, match="Error: There is no profile 'huge'"):
        main(["huge"])


def test_the_page_says_which_models_have_tools_and_thinking() -> None:
    profile = load_profile("large")
    first, *rest = profile.models
    options = {**first.engine_kwargs, "tool_call_parser": "hermes", "reasoning_parser": "qwen3"}
    able = first.model_copy(update={"engine_kwargs": options})
    lines = report(profile.model_copy(update={"models": (able, *rest)})).splitlines()
    header = next(line for line in lines if line.startswith("model "))
    assert header.split()[-2:] == ["tools", "thinking"]
    shown = {
        line.split()[0]: line.split()[-2:] for line in lines if line.startswith(tuple(m.id for m in profile.models))
    }
    assert shown[able.id] == ["yes", "yes"]
    assert all(shown[model.id] == ["no", "no"] for model in rest)
