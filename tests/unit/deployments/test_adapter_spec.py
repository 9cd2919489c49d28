"""LoRA adapters in a profile: what is accepted, and what reaches vLLM."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from deployments.adapter_spec import AdapterSpec, needed_rank
from deployments.app import llm_config
from deployments.config import Profile, load_profile
from deployments.ingress.capacity import max_in_flight
from deployments.model_spec import ModelSpec
from deployments.plan.answer_tokens import tokens_per_answer
from deployments.plan.checks import check_profile
from deployments.plan.prices import load_prices
from deployments.plan.worst_case import counters_of
from serving.errors import ConfigError
from serving.recipes import load_recipes
from tests.support.adapters import write_adapter

TINY = load_profile("tiny")
ADAPTERS = ({"id": "a", "source": "org/a"}, {"id": "b", "source": "s3://bucket/b"})


def spec(*, adapters: Any = ADAPTERS, options: dict[str, Any] | None = None, **fields: Any) -> ModelSpec:
    engine_kwargs = {"max_model_len": 64, **(options or {})}
    return ModelSpec(id="m", source="org/m", adapters=adapters, engine_kwargs=engine_kwargs, **fields)


def profile(*adapters: dict[str, Any], team: dict[str, Any] | None = None, **options: Any) -> Profile:
    """The tiny profile, whose first model has these adapters."""
    raw = TINY.model_dump()
    first, *others = raw["models"]
    changed = {"adapters": adapters, "engine_kwargs": {**first["engine_kwargs"], **options}}
    raw["models"] = [{**first, **changed}, *others]
    return Profile.model_validate({**raw, "team": {**TINY.team, **(team or {})}})


@pytest.mark.parametrize(
    ("options", "fields", "sentence"),
    [
        ({"enable_lora": True}, {}, "remove enable_lora of model 'm' from engine_kwargs; list its LoRA adapters in"),
        ({"default_mm_loras": {"image": "x"}}, {}, "remove default_mm_loras of model 'm'"),
        ({"max_loras": 2}, {"adapters": ()}, "remove max_loras of model 'm' from engine_kwargs; it has no `adapters`"),
        ({"max_lora_rank": 8}, {"adapters": ()}, "remove max_lora_rank of model 'm' from engine_kwargs; it has no"),
        ({}, {"task": "embed"}, "remove adapters of model 'm'; only models that generate text can have them, not task"),
        ({"max_lora_rank": 24}, {}, "set max_lora_rank of model 'm' to one of 1, 8, 16, 32, 64, 128, 256, 320, 512"),
        (
            {"max_loras": 2},
            {"accelerator": "cpu"},
            "set max_loras of model 'm' to at least 3: on the CPU one place must stay free for requests without",
        ),
        ({"max_loras": 0}, {}, "max_loras must be an integer above 0, not 0"),
        (
            {"max_cpu_loras": 1},
            {},
            "set max_cpu_loras of model 'm' to at least 2, so that all its adapters stay in mem",
        ),
        ({}, {"adapters": [{"id": "a b", "source": "x"}]}, "String should match pattern"),
        ({}, {"adapters": [{"id": "a", "source": ""}]}, "at least 1 character"),
        ({}, {"adapters": [{"id": "a", "path": "x"}]}, "Extra inputs are not permitted"),
    ],
)
def test_what_vllm_cannot_serve_is_refused(options: dict[str, Any], fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(sentence)):
        spec(options=options, **fields)


def test_vllm_gets_its_options_from_the_adapters() -> None:
    found = llm_config(TINY, spec()).engine_kwargs
    assert {name: found[name] for name in found if "lora" in name} == {
        "enable_lora": True,
        "max_loras": 2,
        "max_cpu_loras": 2,
    }
    many = tuple({"id": f"a{number}", "source": "org/a"} for number in range(12))
    found = llm_config(TINY, spec(adapters=many, options={"max_lora_rank": 64})).engine_kwargs
    assert (found["max_loras"], found["max_cpu_loras"], found["max_lora_rank"]) == (8, 12, 64)
    found = llm_config(TINY, spec(options={"max_loras": 1, "max_cpu_loras": 4})).engine_kwargs
    assert (found["max_loras"], found["max_cpu_loras"]) == (1, 4)
    many_on_cpu = spec(adapters=many, accelerator="cpu")
    found = llm_config(TINY, many_on_cpu).engine_kwargs
    assert (found["max_loras"], found["max_cpu_loras"]) == (13, 13), "the last place of the batch is nobody's"
    assert not [name for name in llm_config(TINY, TINY.models[0]).engine_kwargs if "lora" in name]


@pytest.mark.parametrize(("ranks", "needed"), [([1], 1), ([4], 8), ([8, 16, 2], 16), ([33], 64), ([300], 320)])
def test_the_rank_of_the_engine_holds_all_adapters(ranks: list[int], needed: int) -> None:
    assert needed_rank(ranks) == needed


def test_ids_of_adapters_are_ids_of_models(tmp_path: Path) -> None:
    for taken in ("tiny-qwen", "tiny-llama"):
        with pytest.raises(ValidationError, match=f"several models have the id '{taken}'; rename all but one"):
            profile({"id": taken, "source": "org/a"})
    adapted = profile({"id": "sql", "source": str(write_adapter(tmp_path))}, team={"aggregator": "moa"})
    with pytest.raises(ConfigError, match="needs the model 'moa'"):
        check_profile(adapted)
    clash = adapted.model_copy(update={"recipes": ({"preset": "vote", "id": "sql"},), "team": TINY.team})
    with pytest.raises(ConfigError, match="'sql' is the id of a model and of a recipe; rename the recipe"):
        check_profile(clash)


def test_recipes_and_aliases_name_adapters_as_models(tmp_path: Path) -> None:
    team = {"proposers": ["sql", "tiny-llama"], "aggregator": "sql"}
    adapted = profile({"id": "sql", "source": str(write_adapter(tmp_path))}, team=team)
    api = adapted.api.model_copy(update={"aliases": {"gpt-4o": "sql"}})
    recipes = check_profile(adapted.model_copy(update={"api": api}))
    assert "sql" in recipes["moa-lite"].named_models()


def test_an_adapter_takes_everything_else_from_its_model() -> None:
    price = {"prompt": 1, "completion": 2}
    model = spec(adapters=({**ADAPTERS[0], "description": "of SQL", "usd_per_million_tokens": price}, ADAPTERS[1]))
    model = model.model_copy(update={"usd_per_million_tokens": None, "deadline_s": 7.0})
    first, second = model.as_adapters
    assert (first.id, first.description, first.deadline_s, first.context_tokens) == ("a", "of SQL", 7.0, 64)
    assert first.usd_per_million_tokens is not None
    assert first.usd_per_million_tokens.completion == 2
    assert (second.id, second.usd_per_million_tokens, second.adapters) == ("b", None, ())


def test_adapters_take_slots_of_their_model(tmp_path: Path) -> None:
    one = profile({"id": "sql", "source": str(write_adapter(tmp_path))}, max_num_seqs=8)
    alone = load_recipes([{"preset": "vote", "id": "v"}], {**TINY.team, "proposers": ["tiny-qwen"]})
    shared = load_recipes([{"preset": "vote", "id": "v"}], {**TINY.team, "proposers": ["tiny-qwen", "sql"]})
    assert max_in_flight(one, shared) == (max_in_flight(one, alone) or 0) // 2


async def test_costs_count_an_adapters_tokens_for_its_model(tmp_path: Path) -> None:
    team = {"proposers": ["tiny-qwen", "sql"], "aggregator": "sql"}
    one = profile({"id": "sql", "source": str(write_adapter(tmp_path))}, team=team)
    plain = TINY.model_copy(update={"team": {**TINY.team, "proposers": ["tiny-qwen", "tiny-llama"]}})
    found = (await tokens_per_answer(one, load_prices().assumed))["moa-lite"]
    split = (await tokens_per_answer(plain, load_prices().assumed))["moa-lite"]
    assert [*found] == ["tiny-qwen"]
    assert found["tiny-qwen"] == tuple(map(sum, zip(*split.values(), strict=True)))


def test_the_documents_example_is_valid() -> None:
    section = Path("docs/models.md").read_text().split("## LoRA adapters\n")[1]
    block = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert block is not None
    [model] = (ModelSpec.model_validate(one) for one in yaml.safe_load(block[1])["models"])
    assert len(model.adapters) == 3
    assert all(isinstance(adapter, AdapterSpec) for adapter in model.adapters)


def test_adapters_are_counted_by_their_models_tokenizer(tmp_path: Path) -> None:
    one = profile({"id": "sql", "source": str(write_adapter(tmp_path))})
    counters = counters_of(one)
    assert [*counters] == ["tiny-qwen", "sql", "tiny-llama", "tiny-mixtral"]
    assert counters["sql"] is counters["tiny-qwen"]
