"""docs/models.md against vLLM's registries and the profiles."""

from unittest.mock import MagicMock

import pytest
import yaml
from vllm.reasoning import ReasoningParserManager
from vllm.renderers.registry import _VLLM_RENDERERS

from deployments.config import PROFILES, load_profile
from deployments.model_spec import ModelSpec, ThinkingSpec
from deployments.plan.engine_options import parser_names
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table after `heading`, without backticks."""
    lines = PAGE.partition(f"## {heading}\n")[2].splitlines()
    table = [line for line in lines[: _end(lines)] if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def _end(lines: list[str]) -> int:
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    return next(number for number in range(first, len(lines)) if not lines[number].startswith("|"))


FAMILIES = [pytest.param(*row, id=row[0]) for row in rows("Families")]


class Vocabulary(dict[str, int]):
    """Has every token."""

    def __missing__(self, token: str) -> int:
        return 1

    def get(self, token: str, default: object = None) -> int:  # type: ignore[override]
        return 1

    def __contains__(self, token: object) -> bool:
        return True


@pytest.mark.parametrize(("family", "tools", "reasoning", "thinking", "budget", "mode"), FAMILIES)
def test_a_familys_settings_are_accepted(
    family: str, tools: str, reasoning: str, thinking: str, budget: str, mode: str
) -> None:
    assert not tools or tools in parser_names("tool_call_parser")
    assert not reasoning or reasoning in parser_names("reasoning_parser")
    assert not mode or mode in _VLLM_RENDERERS
    options = {
        name: value
        for name, value in (("tool_call_parser", tools), ("reasoning_parser", reasoning), ("tokenizer_mode", mode))
        if value
    }
    spec = None if not thinking else ThinkingSpec.model_validate(yaml.safe_load(thinking))
    model = ModelSpec(id="m", source="org/m", engine_kwargs={"max_model_len": 8, **options}, thinking=spec)
    assert model.thinks == bool(reasoning)


@pytest.mark.parametrize(("family", "tools", "reasoning", "thinking", "budget", "mode"), FAMILIES)
def test_a_budget_needs_a_parser_that_knows_the_tags(
    family: str, tools: str, reasoning: str, thinking: str, budget: str, mode: str
) -> None:
    assert bool(budget) == bool(reasoning)
    if reasoning:
        tokenizer = MagicMock()
        tokenizer.get_vocab.return_value = Vocabulary()
        parser = ReasoningParserManager.get_reasoning_parser(reasoning)(tokenizer)
        assert (budget == "yes") == bool(parser.reasoning_start_str and parser.reasoning_end_str)


def test_the_profiles_use_the_settings_of_their_families() -> None:
    by_parsers = {(row[1], row[2]): yaml.safe_load(row[3]) if row[3] else None for row in rows("Families") if row[2]}
    seen = 0
    for path in PROFILES.glob("*.yaml"):
        for model in load_profile(path.stem).models:
            if model.thinks and not model.source.startswith(("models/", "build/")):
                settings = by_parsers[model.tool_call_parser or "", model.reasoning_parser or ""]
                assert model.thinking == ThinkingSpec.model_validate(settings), (path.stem, model.id)
                seen += 1
    assert seen >= 10


@pytest.mark.parametrize("row", rows("Profiles"), ids=lambda row: row[0])
def test_the_table_of_profiles_has_their_gpus(row: list[str]) -> None:
    profile = load_profile(row[0])
    assert row[2] == (f"{profile.gpus:g}" if profile.gpus else "none")
    memory_gib = [model.gpu_memory_gib for model in profile.models if model.gpu_memory_gib is not None]
    if memory_gib:
        assert max(memory_gib) == pytest.approx(0.97 * float(row[3].split()[0]), rel=0.04)


def test_every_profile_for_gpus_is_in_the_table() -> None:
    on_gpus = {path.stem for path in PROFILES.glob("*.yaml") if load_profile(path.stem).gpus}
    assert on_gpus <= {row[0] for row in rows("Profiles")}
