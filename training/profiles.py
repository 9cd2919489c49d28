"""Profiles that serve trained weights: the profile of the run with other weights, or with LoRA adapters.

`trained_profile` serves them under the models' own ids, to all recipes; `separate_profile` under ids that only the
trained recipe asks.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from math import ceil
from pathlib import Path
from typing import Any

import yaml

from deployments.config import PROFILE_DIRECTORY, load_profile
from serving.errors import ConfigError
from serving.recipes.loading import load_recipes, parse_recipe, resolved_recipe
from training.errors import TrainingError
from training.job import replaced

ADAPTER_CONFIG = "adapter_config.json"
SEPARATE = "separate"  # suffix of the entry `training` of `/version`: no server of a run's own profile
TEXTS = ("id", "description", "strategy", "system")  # fields of recipes and agents that name no model


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
    _name_version(raw, version)
    return raw


def separate_profile(
    profile: str, recipe: str, weights: Mapping[str, Path], version: str, number: int
) -> dict[str, Any]:
    """The profile with the trained weights as further models, `MODEL-RECIPE`, which only the recipe `recipe` asks.

    All other recipes ask the same models as before. An adapter is served by the replicas of its untrained model;
    weights are one more model, with the settings of the untrained one.

    Args:
        profile: name or path of the run's profile.
        recipe: id of the trained recipe.
        weights: folder of weights or of an adapter, by model id.
        version: entry `training` of `/version` of the iteration.
        number: of the iteration.

    Raises:
        TrainingError: the profile changed since the training, or a recipe of it hands requests over to `recipe`.
    """
    place, mapping, ids = _recipe_of(profile, recipe)
    raw = deepcopy(PROFILE_DIRECTORY.read(profile))
    renamed = {model: f"{model}-{recipe}" for model in weights}
    if missing := sorted(weights.keys() - {model["id"] for model in raw["models"]}):
        raise TrainingError(f"The profile '{profile}' has no model '{missing[0]}' any more; add it again.")
    if others := sorted(weights.keys() - parse_recipe(mapping).named_models()):
        raise TrainingError(
            f"The recipe '{recipe}' of the profile does not ask '{others[0]}', which was trained for it; give it the"
            f" agents of the training again in '{profile}'."
        )
    if taken := sorted(ids & set(renamed.values())):
        raise TrainingError(
            f"The id '{taken[0]}', under which the trained weights would be served, is taken in '{profile}'; rename"
            " that model or recipe."
        )
    before = len(raw["models"])
    for model in list(raw["models"]):
        if (folder := weights.get(model["id"])) is None:
            continue
        changed = {"id": renamed[model["id"]], "source": str(folder.absolute())}
        changed["description"] = f"{model.get('description', model['id'])}, trained for the recipe '{recipe}'"
        if (folder / ADAPTER_CONFIG).is_file():
            model["adapters"] = [*model.get("adapters", ()), changed]
        else:
            left_out = ("fetch_command", "adapters")
            own = {name: value for name, value in deepcopy(model).items() if name not in left_out}
            raw["models"].append({**own, **changed})
    raw["recipes"][place] = _asking(mapping, renamed)
    if raw.get("memory_gib"):
        raw["memory_gib"] = ceil(raw["memory_gib"] * len(raw["models"]) / before)
    raw["name"] = f"{raw['name']}-{recipe}-iteration-{number}"
    description = f"the recipe '{recipe}' trained for {number} iterations: {raw.get('description', '')}"
    raw["description"] = description.rstrip(": ")
    _name_version(raw, f"{version}/{SEPARATE}")
    return raw


def _recipe_of(profile: str, recipe: str) -> tuple[int, dict[str, Any], set[str]]:
    """Place of a recipe in the profile's list, its mapping with models in place of roles, and all ids of the profile.

    Raises:
        TrainingError: the profile cannot be served, has no such recipe, or another recipe hands requests over to it.
    """
    try:
        loaded = load_profile(profile)
        recipes = load_recipes(loaded.recipes, loaded.team)
    except ConfigError as error:
        raise TrainingError(f"The profile '{profile}' of the run cannot be served: {error}") from None
    if recipe not in recipes:
        raise TrainingError(f"The profile '{profile}' has no recipe '{recipe}' any more; add it again.")
    if asking := [name for name, other in recipes.items() if recipe in other.delegates()]:
        raise TrainingError(
            f"The recipe '{asking[0]}' of the profile hands requests over to '{recipe}', so that its answers would"
            f" change too; have it ask another recipe in '{profile}', or leave out --separate."
        )
    place = list(recipes).index(recipe)  # recipes have the order of the list
    ids = {model.id for model in (*loaded.served, *loaded.pooling)} | recipes.keys()
    return place, resolved_recipe(loaded.recipes[place], loaded.team)[0], ids


def _asking(value: Any, renamed: Mapping[str, str]) -> Any:
    """A setting of a recipe, with other ids of its models."""
    if isinstance(value, Mapping):
        return {key: item if key in TEXTS else _asking(item, renamed) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_asking(item, renamed) for item in value]
    return renamed.get(value, value) if isinstance(value, str) else value


def _name_version(raw: dict[str, Any], version: str) -> None:
    """Have the server report `version` at `/version`."""
    api = raw.setdefault("api", {})
    api["versions"] = {**api.get("versions", {}), "training": version}


def write_profile(path: Path, raw: Mapping[str, Any]) -> None:
    """Write a profile as YAML and check that it can be served. Raises `TrainingError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replaced(path, yaml.safe_dump(dict(raw), sort_keys=False, allow_unicode=True))
    try:
        load_profile(str(path))
    except ConfigError as error:
        raise TrainingError(f"The profile of the trained models cannot be served: {error}") from None
