"""Loading of recipes: presets by name, YAML files by path, or mappings.

Presets name roles instead of models: `@proposers` is replaced by the models that the profile's `team` has for that
role, so that one preset works with every profile. A mapping with `preset: NAME` overrides fields of that preset.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serving.config import YamlDirectory
from serving.errors import ConfigError
from serving.recipes.base import Recipe
from serving.recipes.custom import import_strategy, start_failures
from serving.recipes.strategies.adaptive import Adaptive
from serving.recipes.strategies.auto import Auto
from serving.recipes.strategies.blend import Blend
from serving.recipes.strategies.cascade import Cascade
from serving.recipes.strategies.debate import Debate
from serving.recipes.strategies.layered import Layered
from serving.recipes.strategies.plan import Plan
from serving.recipes.strategies.rank import Rank
from serving.recipes.strategies.self_moa import SelfMoa, SelfMoaSeq
from serving.recipes.strategies.staircase import Staircase
from serving.recipes.strategies.vote import Vote
from serving.suggestions import nearest
from serving.validation import first_issue

PRESETS = Path(__file__).parent / "presets"
RECIPES = YamlDirectory(PRESETS, "recipe", required_keys=("id", "strategy"))
STRATEGIES: Mapping[str, type[Recipe]] = {
    "layered": Layered,
    "self_moa": SelfMoa,
    "self_moa_seq": SelfMoaSeq,
    "rank": Rank,
    "blend": Blend,
    "vote": Vote,
    "debate": Debate,
    "plan": Plan,
    "cascade": Cascade,
    "auto": Auto,
    "adaptive": Adaptive,
    "staircase": Staircase,
}


def strategy_class(name: str) -> type[Recipe]:
    """Strategy class by the name of a built-in strategy, or as `module:Class`.

    Raises:
        ConfigError: there is no such strategy; see `import_strategy` for others.
    """
    if ":" in name:
        return import_strategy(name)
    if name in STRATEGIES:
        return STRATEGIES[name]
    if alike := nearest(name, STRATEGIES):
        raise ConfigError(f"There is no strategy '{name}'; write '{alike}'.")
    known = ", ".join(sorted(STRATEGIES))
    module, _, attribute = name.rpartition(".")
    own = f"'{module}:{attribute}' for a class of your own" if module and "/" not in name else "'module:Class'"
    raise ConfigError(f"There is no strategy '{name}'; choose one of {known}, or write {own}.")


def parse_recipe(raw: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Recipe from a mapping. Raises `ConfigError`, which names `source` and the invalid field."""
    name = str(raw.get("strategy", "layered"))
    try:
        strategy = strategy_class(name)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error.__cause__
    try:
        with start_failures(source, "its class"):
            return strategy.model_validate(raw)
    except ValidationError as error:
        issue = first_issue(error, whole="the recipe")
        sentence = issue.sentence
        if ":" in name and issue.location == ("strategy",):  # its class allows the value "twice" alone
            sentence = f"Remove 'strategy' from the fields of '{name}': its value is that name."
        raise ConfigError(f"{source}: {sentence}") from None


def load_recipes(
    sources: Iterable[str | Mapping[str, Any]], team: Mapping[str, str | Sequence[str]] | None = None
) -> dict[str, Recipe]:
    """Load recipes; returns them by id.

    Args:
        sources: preset names, paths of YAML files, or mappings.
        team: models by role name, for `@role` values: one model id, or a list, which is inserted into the list that
            contains the `@role`.

    Raises:
        ConfigError: a source does not exist or is invalid, a role has no models, or two recipes have the same id.
    """
    recipes: dict[str, Recipe] = {}
    for source in sources:
        raw, name = resolved_recipe(source, team or {})
        recipe = parse_recipe(raw, name)
        if recipe.id in recipes:
            raise ConfigError(f"Two recipes have the id '{recipe.id}'; rename one.")
        recipes[recipe.id] = recipe
    return recipes


def resolved_recipe(
    source: str | Mapping[str, Any], team: Mapping[str, str | Sequence[str]]
) -> tuple[dict[str, Any], str]:
    """Mapping of a recipe with models in place of roles, and its name for error messages. Raises `ConfigError`."""
    raw, name = _read(source)
    return {key: _resolved(value, team, name) for key, value in raw.items()}, name


def _read(source: str | Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Mapping of a recipe, and its name for error messages."""
    if isinstance(source, str) and ".py" in source:
        module = source.partition(".py")[0].removeprefix("./").replace("/", ".")
        raise ConfigError(f"Write the recipe '{source}' as {{id: NAME, strategy: '{module}:CLASS'}} with its settings.")
    if isinstance(source, str):
        return RECIPES.read(source), source
    name = str(source.get("id", source.get("preset", "recipe")))
    if "preset" not in source:
        return source, name
    changes = {key: value for key, value in source.items() if key != "preset"}
    return {**RECIPES.read(str(source["preset"])), **changes}, name


def _resolved(value: Any, team: Mapping[str, str | Sequence[str]], recipe: str) -> Any:
    """`value` with every `@role` replaced by the models of that role."""
    if isinstance(value, str) and value.startswith("@"):
        if value[1:] not in team:
            known = ", ".join(sorted(team)) or "none"
            raise ConfigError(f"The recipe '{recipe}' needs '{value[1:]}' in the profile's team, which has: {known}.")
        models = team[value[1:]]
        return models if isinstance(models, str) else list(models)
    if isinstance(value, Mapping):
        return {key: _resolved(item, team, recipe) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items: list[Any] = []
        for item in value:
            resolved = _resolved(item, team, recipe)
            if isinstance(item, str) and isinstance(resolved, list):
                items.extend(resolved)
            else:
                items.append(resolved)
        return items
    return value
