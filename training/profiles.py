"""Profiles that serve trained weights: the profile of the run with other weights, or with LoRA adapters."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from deployments.config import PROFILE_DIRECTORY, load_profile
from serving.errors import ConfigError
from training.errors import TrainingError
from training.job import replaced

ADAPTER_CONFIG = "adapter_config.json"


def trained_profile(profile: str, weights: Mapping[str, Path], version: str, number: int) -> dict[str, Any]:
    """The profile with the trained weights of each model, by id.

    A model whose folder holds a LoRA adapter is renamed to `ID-base`, and the adapter is served under the model's own
    id: all recipes ask it without a change.

    Args:
        profile: name or path of the run's profile.
        weights: folder of weights or of an adapter, by model id.
        version: entry `training` of `/version`.
        number: of the iteration.
    """
    raw = deepcopy(PROFILE_DIRECTORY.read(profile))
    for model in raw["models"]:
        if (folder := weights.get(model["id"])) is None:
            continue
        if (folder / ADAPTER_CONFIG).is_file():
            adapter = {"id": model["id"], "source": str(folder.absolute())}
            model["id"] = f"{model['id']}-base"
            model["adapters"] = [*model.get("adapters", ()), adapter]
        else:
            model["source"] = str(folder.absolute())
            model.pop("fetch_command", None)
    raw["name"] = f"{raw['name']}-iteration-{number}"
    raw["description"] = f"trained for {number} iterations: {raw.get('description', '')}".rstrip(": ")
    api = raw.setdefault("api", {})
    api["versions"] = {**api.get("versions", {}), "training": version}
    return raw


def write_profile(path: Path, raw: Mapping[str, Any]) -> None:
    """Write a profile as YAML and check that it can be served. Raises `TrainingError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replaced(path, yaml.safe_dump(dict(raw), sort_keys=False, allow_unicode=True))
    try:
        load_profile(str(path))
    except ConfigError as error:
        raise TrainingError(f"The profile of the trained models cannot be served: {error}") from None
