"""Floating-point operations of an answer, from its agents' tokens and their models' parameters.

A token takes two operations per parameter that it uses (arXiv 2001.08361, section 2.1): in a mixture of experts, per
active parameter. All tokens count, those of prompts too, as if no prefix cache had any. Attention's own operations are
left out: 2% at 2,000 tokens of a model of 70 billion parameters.

The Mixture-of-Agents paper (arXiv 2406.04692, figure 5b) plots quality against operations as a proxy for latency: the
sum over layers of the largest number among the layer's agents, which run at the same time. `tflops_in_sequence` is that
number, `tflops_per_answer` the sum over all agents.
"""

import json
import math
from collections.abc import Mapping, Sequence

from deployments.adapter_fit import model_shapes
from deployments.config import load_profile
from deployments.model_spec import ModelSpec
from deployments.plan.memory import shape_of
from evaluation.errors import EvaluationError
from evaluation.rows import Row
from serving.errors import ConfigError

Parameters = Mapping[str, int]  # parameters that one token uses, by model id
TERA = 1e12
UNPACKED = (None, "fp8")  # methods of quantization that store each parameter as a value of its own
EXPERTS = ".experts."  # in the names of expert weights


def parameters_of(profile: str) -> dict[str, int]:
    """Return the active parameters of each model of a profile that generates; models of unknown size are left out.

    Args:
        profile: name of a profile, or path of a YAML file.

    Raises:
        EvaluationError: There is no such profile, or it knows no model's size.
    """
    found: dict[str, int] = {}
    try:
        loaded = load_profile(profile)
    except ConfigError as error:
        raise EvaluationError(str(error)) from None
    for model in loaded.generating:
        try:
            found[model.id] = _active(model)
        except ConfigError:
            continue
    found |= {adapter: found[base] for adapter, base in loaded.parents.items() if base in found}
    if not found:
        raise EvaluationError(f"Profile '{profile}' gives no model's number of parameters: set 'shape' of its models.")
    return found


def _active(model: ModelSpec) -> int:
    """Active parameters of a model. Raises `ConfigError` if the profile does not give its size."""
    shape = shape_of(model)
    if shape.active_parameters is not None or model.path is None or model.shape is not None:
        return shape.active_parameters or shape.parameters
    config = json.loads((model.path / "config.json").read_text())
    if (config.get("quantization_config") or {}).get("quant_method") not in UNPACKED:
        raise ConfigError(f"The weights of '{model.id}' are packed, which hides their number; set its 'shape'.")
    experts = config.get("num_local_experts") or config.get("num_experts")
    if not experts:
        return shape.parameters
    routed = sum(math.prod(shape) for name, shape in model_shapes(model.path).items() if EXPERTS in name)
    return shape.parameters - routed + round(routed * int(config["num_experts_per_tok"]) / int(experts))


def tflops_per_answer(row: Row, parameters: Parameters) -> float | None:
    """Return the tera operations of all agents of an answer; `None` if a model's size or a token count is unknown."""
    layers = _layers(row, parameters)
    return None if layers is None else sum(sum(layer) for layer in layers)


def tflops_in_sequence(row: Row, parameters: Parameters) -> float | None:
    """Return the sum over layers of the largest tera operations of one agent; `None` as in `tflops_per_answer`."""
    layers = _layers(row, parameters)
    return None if layers is None else sum(max(layer) for layer in layers)


def _layers(row: Row, parameters: Parameters) -> list[list[float]] | None:
    """Tera operations of each agent, by layer of each request."""
    layers: dict[tuple[int, int, int], list[float]] = {}
    if not row.trace:
        spent = _tflops(parameters.get(row.model), row.prompt_tokens, row.completion_tokens)
        return None if spent is None else [[spent]]
    for agent in row.trace:
        spent = _tflops(parameters.get(agent.model), agent.prompt_tokens, agent.completion_tokens)
        if spent is None:
            return None
        layers.setdefault((agent.turn, agent.step, agent.layer), []).append(spent)
    return list(layers.values())


def _tflops(parameters: int | None, prompt: int | None, completion: int | None) -> float | None:
    if parameters is None or prompt is None or completion is None:
        return None
    return 2 * parameters * (prompt + completion) / TERA


def with_tflops(rows: Sequence[Row], parameters: Parameters) -> list[Row]:
    """Return `rows` with the operations of each answer."""
    return [
        row.model_copy(
            update={
                "tflops": tflops_per_answer(row, parameters),
                "tflops_in_sequence": tflops_in_sequence(row, parameters),
            }
        )
        for row in rows
    ]
