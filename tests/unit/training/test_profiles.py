"""Profiles of trained teams: weights and adapters; all else stays as it was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.config import PROFILE_DIRECTORY, load_profile
from serving.recipes import Recipe, load_recipes
from training.errors import TrainingError
from training.profiles import ADAPTER_CONFIG, separate_profile, trained_profile, write_profile


def test_trained_weights_replace_the_source_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    write_profile(path, trained_profile("tiny", {"tiny-qwen": tmp_path / "w"}, "abc/2", 2))
    before, after = PROFILE_DIRECTORY.read("tiny"), yaml.safe_load(path.read_text())
    assert [model.pop("source") for model in after["models"]] == [
        str(tmp_path / "w"),
        "models/tiny/weights/tiny-llama",
        "models/tiny/weights/tiny-mixtral",
    ]
    assert after["name"] == "tiny-iteration-2"
    assert after["api"]["versions"] == {"training": "abc/2"}
    for model in before["models"]:
        del model["source"]
    assert after["models"] == before["models"]
    assert after["recipes"] == before["recipes"]
    assert load_profile(str(path)).api.versions == {"training": "abc/2"}


def test_a_profile_of_a_profile_has_the_last_weights(tmp_path: Path) -> None:
    first = tmp_path / "first.yaml"
    write_profile(first, trained_profile("tiny", {"tiny-qwen": tmp_path / "one"}, "abc/1", 1))
    again = trained_profile(str(first), {"tiny-qwen": tmp_path / "two"}, "abc/2", 2)
    assert again["models"][0]["source"] == str(tmp_path / "two")
    assert again["api"]["versions"] == {"training": "abc/2"}


def test_an_adapter_is_served_under_the_models_own_id(tmp_path: Path) -> None:
    (tmp_path / ADAPTER_CONFIG).write_text("{}")
    path = tmp_path / "profile.yaml"
    write_profile(path, trained_profile("tiny", {"tiny-qwen": tmp_path}, "abc/1", 1))
    profile = load_profile(str(path))
    assert profile.parents == {"tiny-qwen": "tiny-qwen-base"}
    assert profile.models[0].source == "models/tiny/weights/tiny-qwen"
    assert profile.models[0].adapters[0].source == str(tmp_path)


def test_a_profile_that_cannot_be_served_is_one_sentence(tmp_path: Path) -> None:
    raw = trained_profile("tiny", {}, "abc/1", 1)
    raw["models"][0]["id"] = "tiny-llama"
    with pytest.raises(TrainingError, match=r"The profile of the trained models cannot be served: .*tiny-llama"):
        write_profile(tmp_path / "profile.yaml", raw)


def recipes_of(profile: str) -> dict[str, Recipe]:
    loaded = load_profile(profile)
    return load_recipes(loaded.recipes, loaded.team)


def own_profile(path: Path, **changes: Any) -> str:
    path.write_text(yaml.safe_dump({**PROFILE_DIRECTORY.read("tiny"), **changes}))
    return str(path)


@pytest.mark.parametrize(
    ("recipe", "models"),
    [
        ("debate", ["tiny-qwen"]),
        ("plan", ["tiny-qwen", "tiny-llama", "tiny-mixtral"]),
        ("rank", ["tiny-mixtral"]),  # some of its models were trained
        ("moa", ["tiny-qwen", "tiny-llama", "tiny-mixtral"]),  # a list of layers, and an agent with settings
        ("vote", ["tiny-qwen", "tiny-llama"]),
    ],
)
def test_separate_weights_are_asked_by_the_trained_recipe_alone(recipe: str, models: list[str], tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    weights = {model: tmp_path / model for model in models}
    write_profile(path, separate_profile("tiny", recipe, weights, "abc/2", 2))
    before, after = load_profile("tiny"), load_profile(str(path))
    assert after.models[:3] == before.models
    added = {model.id: model for model in after.models[3:]}
    assert set(added) == {f"{model}-{recipe}" for model in models}
    for model in before.models:
        if model.id in models:
            own = added[f"{model.id}-{recipe}"]
            assert own.source == str(tmp_path / model.id)
            same = {"id": model.id, "source": model.source, "description": model.description}
            assert own.model_copy(update=same) == model
    assert after.memory_gib == {1: 10, 2: 12, 3: 14}[len(models)]  # 7 GiB for three models

    then, now = recipes_of("tiny"), recipes_of(str(path))
    assert list(now) == list(then)
    assert {name: one for name, one in now.items() if name != recipe} == {
        name: one for name, one in then.items() if name != recipe
    }
    assert now[recipe].models() == {f"{one}-{recipe}" if one in models else one for one in then[recipe].models()}
    back = yaml.safe_dump(now[recipe].model_dump(mode="json")).replace(f"-{recipe}", "")
    assert yaml.safe_load(back) == then[recipe].model_dump(mode="json")
    assert after.api.versions == {"training": "abc/2/separate"}  # no server for the next iteration of the run
    assert after.team == before.team


def test_a_separate_adapter_is_served_by_the_untrained_model(tmp_path: Path) -> None:
    (tmp_path / ADAPTER_CONFIG).write_text("{}")
    path = tmp_path / "profile.yaml"
    write_profile(path, separate_profile("tiny", "debate", {"tiny-qwen": tmp_path}, "abc/1", 1))
    profile = load_profile(str(path))
    assert profile.parents == {"tiny-qwen-debate": "tiny-qwen"}
    assert len(profile.models) == 3
    assert profile.memory_gib == 7
    assert recipes_of(str(path))["debate"].models() == {"tiny-qwen-debate"}
    assert recipes_of(str(path))["plan"] == recipes_of("tiny")["plan"]


def test_every_setting_that_names_a_model_is_changed_and_no_other_text(tmp_path: Path) -> None:
    mine = {
        "id": "tiny-qwen-team",
        "description": "tiny-qwen",
        "strategy": "debate",
        "solver": {"model": "tiny-qwen", "system": "tiny-qwen"},
        "critic": "tiny-qwen",
        "fallbacks": ["tiny-llama", {"model": "tiny-qwen", "temperature": 0.5}],
        "small_tasks": {"model": "tiny-qwen"},
    }
    profile = own_profile(tmp_path / "mine.yaml", recipes=["plan", mine])
    raw = separate_profile(profile, "tiny-qwen-team", {"tiny-qwen": tmp_path / "w"}, "abc/1", 1)
    new = "tiny-qwen-tiny-qwen-team"
    assert raw["recipes"] == [
        "plan",
        {
            **mine,
            "solver": {"model": new, "system": "tiny-qwen"},
            "critic": new,
            "fallbacks": ["tiny-llama", {"model": new, "temperature": 0.5}],
            "small_tasks": {"model": new},
        },
    ]


@pytest.mark.parametrize(
    ("recipe", "changes", "sentence"),
    [
        # `auto` and `cascade` of the profile ask it.
        ("moa-lite", {}, r"The recipe 'cascade' of the profile hands requests over to 'moa-lite', so that its answers"),
        ("debate", {"recipes": ["plan"]}, "has no recipe 'debate' any more; add it again"),
        ("debate", {"recipes": ["debate", {"preset": "plan", "id": "tiny-qwen-debate"}]}, "'tiny-qwen-debate', under"),
        ("debate", {"recipes": ["debate"], "team": {"solo": "tiny-qwen"}}, "of the run cannot be served: .*'judge'"),
        (
            "debate",
            {"recipes": ["debate"], "team": {"solo": "tiny-llama", "judge": "tiny-llama"}},
            "The recipe 'debate' of the profile does not ask 'tiny-qwen'",
        ),
    ],
)
def test_a_separation_that_is_not_possible_is_refused(
    recipe: str, changes: Mapping[str, Any], sentence: str, tmp_path: Path
) -> None:
    profile = own_profile(tmp_path / "mine.yaml", **changes)
    with pytest.raises(TrainingError, match=sentence):
        separate_profile(profile, recipe, {"tiny-qwen": tmp_path}, "abc/1", 1)


def test_a_model_or_profile_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"The profile '.*gone\.yaml' of the run cannot be served: "):
        separate_profile(str(tmp_path / "gone.yaml"), "debate", {"tiny-qwen": tmp_path}, "abc/1", 1)
    with pytest.raises(TrainingError, match=r"The profile 'tiny' has no model 'tiny-opt' any more; add it again\."):
        separate_profile("tiny", "debate", {"tiny-opt": tmp_path}, "abc/1", 1)
