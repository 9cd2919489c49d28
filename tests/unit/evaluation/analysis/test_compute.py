"""Operations of an answer."""

import json
import shutil
from pathlib import Path

import pytest

from evaluation.analysis.compute import (
    parameters_of,
    tflops_in_sequence,
    tflops_per_answer,
    with_tflops,
)
from evaluation.analysis.cost import costs
from evaluation.errors import EvaluationError
from tests.support.paths import ROOT
from tests.support.rows import agent, row

BILLIONS = {"small": 1_000_000_000, "large": 70_000_000_000}
# Layer 1: 2 * 1e9 * 12 and 2 * 70e9 * 30 operations; layer 2: 2 * 1e9 * 45.
TEAM = row(
    "team",
    "1",
    "x",
    trace=[
        agent("small", "x", prompt_tokens=10, completion_tokens=2),
        agent("large", "y", position=1, prompt_tokens=10, completion_tokens=20),
        agent("small", "x", layer=2, role="aggregator", prompt_tokens=40, completion_tokens=5),
    ],
)


def test_two_operations_per_parameter_and_token() -> None:
    assert tflops_per_answer(TEAM, BILLIONS) == pytest.approx(0.024 + 4.2 + 0.09)
    assert tflops_in_sequence(TEAM, BILLIONS) == pytest.approx(4.2 + 0.09)


def test_an_answer_without_a_trace_is_of_its_model() -> None:
    alone = row("arm", "1", "x", model="large", prompt_tokens=10, completion_tokens=5)
    assert tflops_per_answer(alone, BILLIONS) == tflops_in_sequence(alone, BILLIONS) == pytest.approx(2.1)
    assert tflops_per_answer(row("arm", "1", "x", model="team"), BILLIONS) is None


def test_what_is_unknown_is_not_zero() -> None:
    assert tflops_per_answer(TEAM, {"small": 1}) is None
    lost = TEAM.model_copy(update={"trace": (*TEAM.trace, agent("small", "", outcome="timeout", prompt_tokens=None))})
    assert tflops_per_answer(lost, BILLIONS) is None
    assert tflops_in_sequence(lost, BILLIONS) is None


def test_the_mean_of_an_arm() -> None:
    (cost,) = costs(with_tflops([TEAM, TEAM.model_copy(update={"item": "2"})], BILLIONS))
    assert (cost.tflops, cost.tflops_in_sequence) == (pytest.approx(4.314), pytest.approx(4.29))
    assert costs([TEAM])[0].tflops is None


def test_parameters_are_those_that_a_token_uses() -> None:
    found = parameters_of("tiny")
    config = json.loads((ROOT / "models/tiny/weights/tiny-mixtral/config.json").read_text())
    assert (config["num_local_experts"], config["num_experts_per_tok"]) == (4, 2)
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    experts = layers * 4 * 3 * hidden * inner  # three matrices each
    every = _stored(ROOT / "models/tiny/weights/tiny-mixtral/model.safetensors")
    assert found["tiny-mixtral"] == every - experts // 2
    assert parameters_of("qwen3")["qwen3-235b-a22b"] < 23_000_000_000


def test_packed_weights_have_no_number(tmp_path: Path) -> None:
    """Eight parameters in one stored integer would count as one."""
    weights = tmp_path / "weights"
    shutil.copytree(ROOT / "models/tiny/weights/tiny-qwen", weights)
    profile = tmp_path / "profile.yaml"
    profile.write_text(
        f"name: x\ndescription: x\nmodels: [{{id: q, source: '{weights}', accelerator: cpu,"
        " engine_kwargs: {max_model_len: 1024}}]\n"
    )
    assert parameters_of(str(profile)) == {"q": parameters_of("tiny")["tiny-qwen"]}
    config = json.loads((weights / "config.json").read_text())
    (weights / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq"}}))
    with pytest.raises(EvaluationError, match="gives no model's number of parameters"):
        parameters_of(str(profile))


def _stored(path: Path) -> int:
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in shapes)


def test_an_unknown_profile_is_one_sentence() -> None:
    with pytest.raises(EvaluationError, match="profile"):
        parameters_of("nosuch")
