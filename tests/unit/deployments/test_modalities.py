"""Modalities in profiles: what is refused, what reaches vLLM, and what the plan says."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.app import llm_config
from deployments.config import Profile
from deployments.external_spec import ExternalSpec
from deployments.model_spec import ModelSpec
from deployments.plan.checks import check_profile
from deployments.plan.engine_options import check_modalities, seeing_architectures
from deployments.plan.report import _models
from serving.errors import ConfigError

SHAPE = {"parameters": 1000, "layers": 1, "kv_heads": 1, "head_dim": 8}


def model(name: str = "m", **fields: Any) -> ModelSpec:
    options = {"max_model_len": 64, **fields.pop("engine_kwargs", {})}
    return ModelSpec.model_validate(
        {"id": name, "source": f"org/{name}", "engine_kwargs": options, "shape": SHAPE, **fields}
    )


def profile(*models: ModelSpec, **fields: Any) -> Profile:
    return Profile.model_validate({"name": "p", "models": models, **fields})


@pytest.mark.parametrize("modalities", [["image"], ["text", "text"], ["text", "audio"], []])
def test_modalities_are_text_with_or_without_images(modalities: list[str]) -> None:
    with pytest.raises(ValueError, match=r"modalities are|'text' or 'image'"):
        model(modalities=modalities)
    with pytest.raises(ValueError, match=r"modalities are|'text' or 'image'"):
        ExternalSpec.model_validate(
            {"id": "e", "base_url": "http://e/v1", "context_tokens": 9, "modalities": modalities}
        )


def test_their_order_does_not_matter() -> None:
    assert model(modalities=["image", "text"]).modalities == ("text", "image")
    given = {"id": "e", "base_url": "http://e/v1", "context_tokens": 9, "modalities": ["image", "text"]}
    assert ExternalSpec.model_validate(given).engine().info.modalities == ("text", "image")
    assert not model().sees


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 5),
        ({"limit_mm_per_prompt": {"image": 2}}, 2),
        ({"limit_mm_per_prompt": {"image": {"count": 3, "width": 512}}}, 3),
        ({"limit_mm_per_prompt": {"video": 0}}, None),
    ],
)
def test_a_prompt_may_have_as_many_images_as_a_request(options: dict[str, Any], limit: int | None) -> None:
    seeing = model(modalities=["text", "image"], engine_kwargs=options)
    assert seeing.image_limit(5) == limit
    served = profile(seeing, model("blind"), api={"images": {"max_images": 5}})
    reaching = llm_config(served, seeing).engine_kwargs
    assert reaching["limit_mm_per_prompt"] == options.get("limit_mm_per_prompt", {"image": 5, "video": 0, "audio": 0})
    assert "limit_mm_per_prompt" not in llm_config(served, served.models[1]).engine_kwargs


def test_the_plan_says_modalities_and_counts() -> None:
    seeing = {"modalities": ["text", "image"]}
    table = "\n".join(
        _models(
            profile(
                model("many", **seeing),
                model("one", engine_kwargs={"limit_mm_per_prompt": {"image": 1}}, **seeing),
                model("any", engine_kwargs={"limit_mm_per_prompt": {}}, **seeing),
                model("blind"),
            )
        )
    )
    rows = {row.split()[0]: row for row in table.splitlines()[-4:]}
    assert rows["many"].endswith("text, up to 16 images")
    assert rows["one"].endswith("text, up to 1 image")
    assert rows["any"].endswith("text, images")
    assert rows["blind"].endswith(" text")


def test_a_model_whose_config_has_no_images_is_refused_before_it_starts(tmp_path: Path) -> None:
    assert "Qwen2_5_VLForConditionalGeneration" in seeing_architectures()
    config = tmp_path / "config.json"
    seeing = model(source=str(tmp_path), modalities=["text", "image"])
    check_modalities(seeing)  # nothing local to read
    config.write_text(json.dumps({"architectures": ["Qwen2_5_VLForConditionalGeneration"]}))
    check_modalities(seeing)
    config.write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    check_modalities(model(source=str(tmp_path)))
    with pytest.raises(ConfigError) as refused:
        check_profile(profile(seeing))
    assert str(refused.value) == (
        "'m' reads no images: its config.json has the architecture LlamaForCausalLM; remove 'image' from its"
        " modalities."
    )
