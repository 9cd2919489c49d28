"""Profiles with models that embed or rank: what is accepted, what is planned, what reaches vLLM."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from deployments.app import llm_config
from deployments.cluster.progress import how_to_ask
from deployments.config import Profile, load_profile
from deployments.ingress.capacity import QUEUE, max_in_flight
from deployments.model_spec import ModelSpec
from deployments.plan.answer_tokens import tokens_per_answer
from deployments.plan.checks import check_profile
from deployments.plan.prices import load_prices
from deployments.plan.report import report
from serving.errors import ConfigError
from serving.recipes import load_recipes
from tests.support.paths import ROOT

POOLING = "tests/support/pooling.yaml"
TINY = load_profile("tiny")
BOTH = TINY.model_copy(update={"models": (*TINY.models, *load_profile(POOLING).models)})


def spec(task: str, *, options: dict[str, Any] | None = None, **fields: Any) -> ModelSpec:
    return ModelSpec(id="m", source="org/m", task=task, engine_kwargs={"max_model_len": 8, **(options or {})}, **fields)


@pytest.mark.parametrize(
    ("task", "options", "fields", "sentence"),
    [
        ("chat", {}, {}, "Input should be 'generate', 'embed' or 'rerank'"),
        (
            "generate",
            {"pooler_config": {}},
            {},
            "set task of model 'm' to embed or rerank; engine_kwargs.pooler",
        ),
        ("generate", {"runner": "pooling"}, {}, "engine_kwargs.runner needs it"),
        ("embed", {"runner": "pooling"}, {}, "remove runner of model 'm' from engine_kwargs; `task` sets it"),
        ("embed", {"convert": "classify"}, {}, "change engine_kwargs.convert of model 'm'; classify does not fit"),
        ("rerank", {"convert": "embed"}, {}, "embed does not fit task: rerank"),
        ("embed", {"chat_template": "{{ x }}"}, {}, "remove engine_kwargs.chat_template of model 'm'"),
        ("rerank", {"reasoning_parser": "qwen3"}, {}, "remove engine_kwargs.reasoning_parser of model 'm'"),
        ("embed", {"tool_call_parser": "hermes"}, {}, "remove engine_kwargs.tool_call_parser of model 'm'; a model"),
        ("embed", {}, {"tools": False}, "remove tools of model 'm'; a model with task: embed generates no text"),
    ],
)
def test_options_fit_the_task(task: str, options: dict[str, Any], fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(sentence)):
        spec(task, options=options, **fields)


def test_a_template_of_pairs_and_a_conversion_are_accepted() -> None:
    reranker = spec("rerank", options={"chat_template": "{{ messages }}", "convert": "classify"})
    assert not reranker.generates
    assert reranker.chat_template == "{{ messages }}"
    assert spec("embed", options={"convert": "embed"}).task == "embed"
    assert ModelSpec(id="m", source="s", engine_kwargs={"max_model_len": 8}).generates


def test_vllm_gets_its_runner_from_the_task() -> None:
    profile = load_profile(POOLING)
    embed, rerank = (llm_config(profile, model).engine_kwargs for model in profile.models)
    assert (embed["runner"], rerank["runner"]) == ("pooling", "pooling")
    assert embed["pooler_config"] == {"pooling_type": "MEAN"}
    assert "chat_template" not in rerank
    assert "runner" not in llm_config(TINY, TINY.models[0]).engine_kwargs


def test_the_page_says_their_task_and_counts_no_answers_of_theirs() -> None:
    page = report(BOTH)
    assert re.search(r"^tiny-embed +embed +/v1/embeddings, /v1/rerank$", page, re.MULTILINE)
    assert re.search(r"^tiny-rerank +rerank +/v1/rerank$", page, re.MULTILINE)
    assert re.search(r"^tiny-embed +4\.2 MiB", page, re.MULTILINE), "their memory counts"
    assert "tiny-embed" not in page[page.index("moa (layered)") :]


def test_a_recipe_that_names_one_is_refused() -> None:
    team = {**TINY.team, "proposers": ["tiny-qwen", "tiny-embed"]}
    with pytest.raises(ConfigError, match="names 'tiny-embed' as an agent, which generates no text"):
        check_profile(BOTH.model_copy(update={"team": team}))
    with pytest.raises(ValidationError, match="several models have the id 'tiny-embed'"):
        Profile.model_validate({**yaml.safe_load((ROOT / POOLING).read_text()), "models": [_raw(), _raw()]})


def _raw() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load((ROOT / POOLING).read_text())["models"][0]
    return raw


def test_admission_counts_the_models_that_generate() -> None:
    recipes = load_recipes(TINY.recipes, TINY.team)
    assert max_in_flight(BOTH, recipes) == max_in_flight(TINY, recipes)
    assert max_in_flight(load_profile(POOLING), {}) == 64 * QUEUE


async def test_costs_of_answers_are_those_of_recipes() -> None:
    found = await tokens_per_answer(BOTH, load_prices().assumed)
    assert "tiny-embed" not in {model for work in found.values() for model in work}
    assert await tokens_per_answer(load_profile(POOLING), load_prices().assumed) == {}


@pytest.mark.parametrize(("kept", "path"), [(2, "embeddings"), (1, "rerank")])
def test_the_printed_command_asks_for_what_is_served(kept: int, path: str) -> None:
    profile = load_profile(POOLING)
    some = profile.model_copy(update={"models": profile.models[-kept:]})
    line = "\n".join(how_to_ask(some, "http://h"))
    assert f"curl http://h/v1/{path} " in line
    assert f'"model": "{some.models[0].id}"' in line


def test_the_documents_examples_are_valid() -> None:
    section = Path("docs/models.md").read_text().split("## Models that embed or rank\n")[1]
    block = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert block is not None
    models = [ModelSpec.model_validate(one) for one in yaml.safe_load(block[1])["models"]]
    assert {model.task for model in models} == {"embed", "rerank"}
