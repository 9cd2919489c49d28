"""The pages of `python -m deployments.plan`, and its error."""

import re
from typing import Any

import pytest

from deployments.config import PROFILES, Profile, load_profile
from deployments.model_spec import ModelSpec
from deployments.plan.__main__ import main
from deployments.plan.report import COMPUTED, report
from tests.support.profiles import runnable

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


def abilities(page: str) -> dict[str, list[str]]:
    """Columns of the page's second table by model."""
    table = page[page.index("modalities\n") :].partition("\n\n")[0].splitlines()[1:]
    return {columns[0]: columns[1:] for line in table if (columns := re.split(r"\s{2,}", line))}


def with_first(**changes: Any) -> Profile:
    """The profile `large` with another first model."""
    profile = load_profile("large")
    first, *rest = profile.models
    options = {**first.engine_kwargs, **changes.pop("engine_kwargs", {})}
    changed = ModelSpec.model_validate({**first.model_dump(), "engine_kwargs": options, **changes})
    recipes = [recipe for recipe in profile.recipes if recipe != "moa-staircase"]  # gpt-oss cannot continue its answer
    return profile.model_copy(update={"models": (changed, *rest), "recipes": recipes})


@pytest.mark.parametrize(
    ("changes", "tools", "thinking"),
    [
        ({}, "no", "no"),
        ({"tools": True}, "required or named", "no"),
        ({"engine_kwargs": {"tool_call_parser": "hermes"}}, "hermes", "no"),
        ({"engine_kwargs": {"tool_call_parser": "hermes"}, "strict_tools": True}, "hermes, strict", "no"),
        ({"engine_kwargs": {"reasoning_parser": "qwen3"}}, "no", "qwen3, as the template has it"),
        (
            {"engine_kwargs": {"reasoning_parser": "qwen3"}, "thinking": {"switch_arg": "enable_thinking"}},
            "no",
            "qwen3, enable_thinking (default: on)",
        ),
        (
            {
                "engine_kwargs": {"reasoning_parser": "qwen3"},
                "thinking": {"switch_arg": "think", "effort_arg": "effort", "default": False},
            },
            "no",
            "qwen3, think (default: off); effort: effort",
        ),
        (
            {"engine_kwargs": {"reasoning_parser": "openai_gptoss"}, "thinking": {"effort_arg": "reasoning_effort"}},
            "no",
            "openai_gptoss, always on; effort: reasoning_effort",
        ),
    ],
)
def test_the_page_says_what_each_model_can_do(changes: dict[str, Any], tools: str, thinking: str) -> None:
    found = abilities(report(with_first(**changes)))
    assert found["qwen2.5-72b"] == [tools, thinking, "text"]
    assert found["mixtral-8x7b"] == ["no", "no", "text"]


def test_a_part_of_a_gpu_is_shown_and_counted() -> None:
    page = report(load_profile("gpt-oss-h200"))
    assert "0.74 x GPU" in page
    assert "0.26 x GPU" in page
    assert "Total GPUs at the minimum number of replicas: 1\n" in page


def test_computed_memory_of_gpus_is_called_computed() -> None:
    assert COMPUTED in report(load_profile("large"))
    assert COMPUTED not in report(load_profile("tiny"))


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_the_page_is_at_most_120_columns_wide(name: str) -> None:
    lines = report(runnable(name)).splitlines()
    assert max(map(len, lines)) <= 120


def test_a_graph_that_is_too_wide_continues_below() -> None:
    page = report(load_profile("qwen3"))
    plan = page[page.index("plan (plan)") :].splitlines()[1:3]
    assert plan[0].startswith("question ───> qwen3-235b-a22b (planner) ──")
    assert plan[1].startswith(" " * 9 + "───> ")
    assert plan[1].endswith("(synthesizer) ───> answer")
    assert [line.count("(executor)") for line in plan] == [2, 2]
