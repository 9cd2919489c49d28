"""Trainers: weights in the layout and type of the base weights, steps that learn, and equal results for equal seeds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from deployments.adapter_files import read_adapter
from deployments.adapter_fit import check_fit, model_config, model_shapes
from deployments.adapter_spec import AdapterSpec
from tests.support.training import SPECS, WEIGHTS, text_of
from training.errors import TrainingError
from training.example import Example, PairExample
from training.trainer import Start, train_dpo, train_sft
from training.trainer_settings import TrainerSettings
from training.trajectory import PromptMessage

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*pin_memory.*")
SETTINGS = TrainerSettings(max_steps=3, batch_size=2, learning_rate=1e-3, dpo_learning_rate=1e-3)


def prompt(model: str, question: str) -> tuple[int, ...]:
    return tuple(text_of(model).prompt_ids([PromptMessage(role="user", content=question)], {}))


def rows(model: str) -> list[Example]:
    return [Example(prompt(model, f"What is {n}?"), tuple(text_of(model).answer_ids("green"))) for n in range(6)]


@pytest.mark.parametrize("model", SPECS)
def test_trained_weights_have_the_names_shapes_types_and_files_of_the_base(model: str, tmp_path: Path) -> None:
    found = train_sft(Start(str(WEIGHTS / model)), rows(model), tmp_path, SETTINGS)
    assert found["steps"] == 3
    base, trained = load_file(WEIGHTS / model / "model.safetensors"), load_file(tmp_path / "weights/model.safetensors")
    assert {name: (one.shape, one.dtype) for name, one in trained.items()} == {
        name: (one.shape, one.dtype) for name, one in base.items()
    }
    assert any(not torch.equal(base[name], trained[name]) for name in base)
    assert {one.name for one in (tmp_path / "weights").iterdir()} == {one.name for one in (WEIGHTS / model).iterdir()}
    assert not (tmp_path / "checkpoints").exists()


def test_equal_seeds_give_equal_weights(tmp_path: Path) -> None:
    start = Start(str(WEIGHTS / "tiny-qwen"))
    for name in ("one", "other"):
        train_sft(start, rows("tiny-qwen"), tmp_path / name, SETTINGS)
    one, other = (load_file(tmp_path / name / "weights/model.safetensors") for name in ("one", "other"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_preferences_move_the_chosen_text_above_the_rejected_one(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    text, asked = text_of("tiny-qwen"), prompt("tiny-qwen", "What colour?")
    chosen, rejected = tuple(text.answer_ids("green")), tuple(text.answer_ids("blue"))
    pairs = [PairExample(asked, chosen, rejected)] * 6

    def margin(folder: Path) -> float:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        found = []
        for answer in (chosen, rejected):
            ids = torch.tensor([[*asked, *answer]])
            with torch.no_grad():
                likely = model(input_ids=ids).logits[0, len(asked) - 1 : -1].log_softmax(-1)
            found.append(likely.gather(-1, torch.tensor(answer)[:, None]).sum().item())
        return found[0] - found[1]

    train_dpo(Start(str(WEIGHTS / "tiny-qwen")), pairs, tmp_path, SETTINGS)
    assert margin(tmp_path / "weights") > margin(WEIGHTS / "tiny-qwen") + 1


def test_weights_whose_config_names_no_type_keep_theirs(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(WEIGHTS / "tiny-qwen", base)
    config = json.loads((base / "config.json").read_text())
    assert config.pop("dtype") == "bfloat16"
    (base / "config.json").write_text(json.dumps(config))
    train_sft(Start(str(base)), rows("tiny-qwen"), tmp_path, replace(SETTINGS, max_steps=1))
    assert {one.dtype for one in load_file(tmp_path / "weights/model.safetensors").values()} == {torch.bfloat16}


def test_weights_that_cannot_be_loaded_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    with pytest.raises(TrainingError, match=r"^The weights '.*base' cannot be loaded: .+[^.]\.$"):
        train_sft(Start(str(tmp_path / "base")), rows("tiny-qwen"), tmp_path, SETTINGS)


@pytest.mark.parametrize("model", SPECS)
def test_adapters_are_those_that_vllm_serves(model: str, tmp_path: Path) -> None:
    lora = TrainerSettings(max_steps=1, batch_size=2, lora_rank=4)
    train_sft(Start(str(WEIGHTS / model)), rows(model), tmp_path, lora)
    spec = AdapterSpec(id="a", source=str(tmp_path / "weights"))
    files = read_adapter(spec, tmp_path / "weights")  # raises where vLLM would not serve it
    assert files.rank == 4
    check_fit(spec, files, model, model_config(WEIGHTS / model), model_shapes(WEIGHTS / model))


def test_an_adapter_is_trained_further(tmp_path: Path) -> None:
    lora = TrainerSettings(max_steps=2, batch_size=2, learning_rate=1e-2, dpo_learning_rate=1e-2, lora_rank=2)
    base = str(WEIGHTS / "tiny-qwen")
    train_sft(Start(base), rows("tiny-qwen"), tmp_path / "first", lora)
    text = text_of("tiny-qwen")
    pairs = [PairExample(one.prompt, one.completion, tuple(text.answer_ids("blue"))) for one in rows("tiny-qwen")]
    train_dpo(Start(base, tmp_path / "first" / "weights"), pairs, tmp_path / "second", lora)
    one, other = (load_file(tmp_path / name / "weights/adapter_model.safetensors") for name in ("first", "second"))
    assert set(one) == set(other)
    assert any(not torch.equal(one[name], other[name]) for name in one)
