"""Aliases: further ids of models and recipes, for programs whose code names a model."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from serving.errors import ConfigError
from serving.types import GenerateRequest

AGENT_SETTINGS = ("models", "layers", "aggregator")  # of `moa`: teams, layers of teams, one agent
MODEL_SETTINGS = ("small_tasks",)  # of `moa`: an object with `model`, or a word


def check_aliases(aliases: Mapping[str, str], served: Collection[str]) -> None:
    """Check that each alias is a new id for one of the ids in `served`.

    Raises:
        ConfigError: an alias is a served id itself, or names another alias or an id that is not served.
    """
    for alias, target in aliases.items():
        if alias in served:
            raise ConfigError(f"Rename the alias '{alias}' in api.aliases: a model or recipe has this id.")
        if target in aliases:
            raise ConfigError(
                f"Set the alias '{alias}' in api.aliases to a model or recipe: '{target}' is an alias itself."
            )
        if target not in served:
            raise ConfigError(
                f"Set the alias '{alias}' in api.aliases to a served model or recipe ({', '.join(served)}), not"
                f" '{target}'."
            )


def without_aliases(request: GenerateRequest, aliases: Mapping[str, str]) -> GenerateRequest:
    """`request` with real ids in its `moa` options: the recipe, and the models of its agents."""
    moa = request.moa
    if not (moa.recipe or moa.overrides):
        return request
    overrides = {
        name: _real(value, aliases)
        if name in AGENT_SETTINGS or (name in MODEL_SETTINGS and not isinstance(value, str))
        else value
        for name, value in moa.overrides.items()
    }
    recipe = None if moa.recipe is None else aliases.get(moa.recipe, moa.recipe)
    return replace(request, moa=replace(moa, recipe=recipe, overrides=overrides))


def _real(agents: Any, aliases: Mapping[str, str]) -> Any:
    """Agents as a request names them, with real model ids; other values, which the recipe refuses, as they are."""
    if isinstance(agents, str):
        return aliases.get(agents, agents)
    if isinstance(agents, list | tuple):
        return [_real(agent, aliases) for agent in agents]
    if isinstance(agents, dict) and isinstance(agents.get("model"), str):
        return {**agents, "model": aliases.get(agents["model"], agents["model"])}
    return agents
