"""Modalities of recipes."""

from collections.abc import Mapping

from serving.conversation import Modality
from serving.engine import EngineInfo
from serving.recipes.base import Recipe


def modalities_of(name: str, recipes: Mapping[str, Recipe], models: Mapping[str, EngineInfo]) -> tuple[Modality, ...]:
    """Modalities that any model of the model or recipe `name` reads, those of its delegates included."""
    if name in models:
        return models[name].modalities
    recipe = recipes[name]
    members = sorted(recipe.models() | recipe.delegates())
    read = {modality for member in members for modality in modalities_of(member, recipes, models)}
    return ("text", "image") if "image" in read else ("text",)
