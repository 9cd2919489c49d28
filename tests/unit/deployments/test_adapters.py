"""Files of LoRA adapters: each wrong one is an error that names the adapter and the change to make."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deployments.adapter_spec import AdapterSpec
from deployments.adapters import check_adapters, local_folders
from deployments.config import load_profile
from deployments.model_spec import ModelSpec
from deployments.plan.checks import check_profile
from serving.errors import ConfigError
from tests.support.adapters import write_adapter

TINY = load_profile("tiny")
QWEN = TINY.models[0]


def adapted(folder: Path, model: ModelSpec = QWEN, **options: Any) -> ModelSpec:
    adapter = AdapterSpec(id="sql", source=str(folder))
    return model.model_copy(update={"adapters": (adapter,), "engine_kwargs": {**model.engine_kwargs, **options}})


def check(model: ModelSpec) -> Any:
    return check_adapters(model, local_folders(model), " on node a")


def refused(model: ModelSpec, *sentences: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(model)
    for sentence in ("'sql'", *sentences):
        assert sentence in str(caught.value)


def test_a_fitting_adapter_is_read(tmp_path: Path) -> None:
    found = check(adapted(write_adapter(tmp_path, rank=4)))["sql"]
    assert (found.rank, found.trained_on, found.chat_template) == (4, "tiny-qwen", None)
    assert {*found.shapes.values()} == {(4, 256), (128, 4)}


def test_missing_files_are_named_with_the_node(tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    refused(adapted(lost), f"The folder '{lost}'", "does not exist on node a; correct its source")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (write_adapter(tmp_path) / file).unlink()
        refused(adapted(tmp_path), f"has no {file}", "on node a", "save_pretrained")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"peft_type": "IA3"}, "is of PEFT's type IA3; only LORA is served"),
        ({"use_dora": True}, "has weights of DoRA, which vLLM does not serve; merge it into the model's weights"),
        ({"modules_to_save": ["lm_head"]}, "has whole modules beside its LoRA weights"),
        ({"rank_pattern": {"q_proj": 4}}, "has modules of other ranks"),
        ({"alpha_pattern": {"q_proj": 4}}, "has modules of other scales"),
        ({"bias": "all"}, "has biases"),
        ({"r": 1024}, "has the rank 1024, but vLLM serves ranks from 1 to 512"),
        ({"r": 0}, "has the rank 0"),
        ({"r": "8"}, "without r, lora_alpha and target_modules"),
        ({"r": 16}, "has rank 8 at 'model.layers.5.mlp.down_proj', but r is 16"),
    ],
)
def test_what_vllm_does_not_serve_is_refused(tmp_path: Path, config: dict[str, Any], sentence: str) -> None:
    refused(adapted(write_adapter(tmp_path, **config)) if "r" not in config else _with(tmp_path, config), sentence)


def _with(folder: Path, config: dict[str, Any]) -> ModelSpec:
    path = write_adapter(folder) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return adapted(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"r": 8}'])
def test_a_config_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (write_adapter(tmp_path) / "adapter_config.json").write_text(text)
    refused(adapted(tmp_path), "adapter_config.json without r, lora_alpha and target_modules")


def test_a_broken_file_of_weights_is_refused(tmp_path: Path) -> None:
    (write_adapter(tmp_path) / "adapter_model.safetensors").write_bytes(b"short")
    refused(adapted(tmp_path), "that cannot be read", "copy it again")


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ({"inputs": 255}, "has 255 inputs for 'model.layers.5.mlp.down_proj', but 'tiny-qwen' has 256"),
        ({"outputs": 64}, "has 64 outputs for 'model.layers.5.mlp.down_proj', but 'tiny-qwen' has 128"),
        ({"layer": 6}, "has weights for layer 6, but 'tiny-qwen' has 6 layers"),
        ({"module": "self_attn.q_proj"}, "has 256 inputs for 'model.layers.5.self_attn.q_proj', but 'tiny-qwen' has"),
    ],
)
def test_an_adapter_of_another_model_is_refused_with_both_sizes(
    tmp_path: Path, shape: dict[str, Any], sentence: str
) -> None:
    refused(adapted(write_adapter(tmp_path, **shape)), sentence, "trained on 'tiny-qwen'", "set its source to")


def test_without_the_models_weights_its_config_still_tells(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text((QWEN.folder / "config.json").read_text())
    base = QWEN.model_copy(update={"source": str(model)})
    refused(adapted(write_adapter(tmp_path / "a", outputs=64), base), "has 64 outputs")
    refused(adapted(write_adapter(tmp_path / "b", layer=9), base), "has weights for layer 9")
    check(adapted(write_adapter(tmp_path / "c", module="visual.attn.q_proj"), base))
    check(adapted(write_adapter(tmp_path / "d", module="mlp.experts.3.down_proj", outputs=64), base))


def test_a_rank_above_the_engines_is_refused_with_the_value_to_set(tmp_path: Path) -> None:
    model = adapted(write_adapter(tmp_path, rank=12), max_lora_rank=8)
    refused(model, "has the rank 12, but engine_kwargs.max_lora_rank of 'tiny-qwen' is 8; set it to 16, or remove it")
    check(adapted(tmp_path, max_lora_rank=16))


def test_the_chat_template_of_the_folder_is_found_where_trainers_save_it(tmp_path: Path) -> None:
    model = adapted(write_adapter(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "of the tokenizer"}))
    assert check(model)["sql"].chat_template == "of the tokenizer"
    named = [{"name": "tool_use", "template": "with tools"}, {"name": "default", "template": "the default"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert check(model)["sql"].chat_template == "the default"
    (tmp_path / "chat_template.jinja").write_text("of the file")
    assert check(model)["sql"].chat_template == "of the file"
    base = model.adapters[0].model_copy(update={"chat_template": "base"})
    assert check(model.model_copy(update={"adapters": (base,)}))["sql"].chat_template is None
    (tmp_path / "chat_template.jinja").unlink()
    for wrong in ("no JSON", '{"chat_template": ["default"]}'):
        (tmp_path / "tokenizer_config.json").write_text(wrong)
        refused(model, "tokenizer_config.json whose chat_template cannot be read", "chat_template: base")


def test_a_machine_that_loads_the_adapters_checks_them_before_anything_starts(tmp_path: Path) -> None:
    model = adapted(write_adapter(tmp_path, outputs=64))
    profile = TINY.model_copy(update={"models": (model, *TINY.models[1:])})
    with pytest.raises(ConfigError, match=re.escape("'sql' has 64 outputs")):
        check_profile(profile)
    remote = model.model_copy(update={"adapters": (AdapterSpec(id="sql", source="org/sql"),)})
    check_profile(profile.model_copy(update={"models": (remote, *TINY.models[1:])}), weights_here=True)
