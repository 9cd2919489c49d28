"""docs/profiles.md: its links lead to headings, its examples can be planned."""

import re
from pathlib import Path

import pytest
import yaml

from deployments.config import PROFILES, Profile, load_profile
from deployments.model_spec import ModelSpec
from deployments.plan.checks import check_profile
from deployments.plan.report import report
from scripts.profiles_page import EXAMPLES
from scripts.schema_tables import anchor, bounds_of, type_of
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "profiles.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_each_link_to_a_section_has_its_heading() -> None:
    headings = {anchor(title) for title in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    linked = set(re.findall(r"\]\(#([\w-]+)\)", PAGE))
    assert len(linked) > 10
    assert linked <= headings


def test_a_field_is_listed_with_type_default_bounds_and_meaning() -> None:
    row = "| `num_cpus` | number | `1` | ≥ 0 | CPUs that Ray reserves for the replica, without its engine. |"
    assert row in PAGE.partition("### `models[]`\n")[2].partition("\n### ")[0]
    assert "| `context_tokens` | integer | required | ≥ 1 | Length of the model's context. |" in PAGE
    assert '| `task` | `generate`, `embed`, `rerank` | `"generate"` |' in PAGE


def test_every_field_of_a_model_is_in_its_section() -> None:
    section = PAGE.partition("### `models[]`\n")[2].partition("\n### ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [*ModelSpec.model_fields]


def test_the_smallest_profile_can_be_planned(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(BLOCKS[0])
    profile = load_profile(str(path))
    assert [model.id for model in profile.served] == ["qwen2.5-7b"]
    assert check_profile(profile, weights_here=False) == {}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_profile_of_the_package(name: str) -> None:
    text = (PROFILES / f"{name}.yaml").read_text()
    assert text in BLOCKS
    assert Profile.model_validate(yaml.safe_load(text)) == load_profile(name)


def test_the_small_profile_fits_on_one_gpu_of_24_gb() -> None:
    profile = load_profile("small")
    assert profile.gpus == 1
    assert {model.gpu_memory_gib for model in profile.models} == {22.5}
    used = sum(float(model.engine_kwargs["gpu_memory_utilization"]) for model in profile.models)
    assert used <= 0.96, "each engine has a CUDA context besides"
    assert "qwen2.5-7b              5.2 GiB       37,449    16,384     0.48 x GPU" in report(profile)


def test_the_profile_of_endpoints_needs_no_gpu_no_weights_and_no_key() -> None:
    profile = load_profile("endpoints")
    assert (profile.models, profile.gpus, profile.cpus) == ((), 0, 0)
    assert [external.engine().model for external in profile.external] == ["qwen2.5-7b", "llama-3.1-8b", "mistral-7b"]
    page = report(profile)
    assert "mistral-7b                    -            -    16,384       endpoint" in page
    assert "thinking" not in page


def test_types_and_bounds_are_in_plain_words() -> None:
    sections = {"Shape": "`shape`"}
    number = {"anyOf": [{"type": "number", "minimum": 0.5}, {"type": "null"}]}
    assert type_of(number, sections) == "number"
    assert type_of({"type": "array", "items": {"$ref": "#/$defs/Shape"}}, sections) == "list of [`shape`](#shape)"
    several = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    assert (
        type_of({"type": "object", "additionalProperties": several}, {})
        == "mapping of names to string or list of string"
    )
    assert bounds_of({"type": "integer", "exclusiveMinimum": 0, "maximum": 9}) == "> 0, ≤ 9"
    assert bounds_of({"type": "string", "minLength": 1, "maxLength": 64}) == "≤ 64 characters"
