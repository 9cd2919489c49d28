"""Profiles of trained teams: weights and adapters; all else stays as it was."""

from pathlib import Path

import pytest
import yaml

from deployments.config import PROFILE_DIRECTORY, load_profile
from training.errors import TrainingError
from training.profiles import ADAPTER_CONFIG, trained_profile, write_profile


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
