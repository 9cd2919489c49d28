"""Aliases: further ids of models and recipes, for programs whose code names a model."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from serving.errors import ConfigError, InvalidRequest
from serving.types import GenerateRequest
from serving.validation import shown

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


def check_models(request: GenerateRequest, served: Collection[str], allowed: Collection[str]) -> None:
    """Check that the `moa` options of a request name only models in `allowed`; others look as if they did not exist.

    Raises:
        InvalidRequest: they name another one.
    """
    moa = request.moa
    named = [(f"moa.{field}", name) for field, value in moa.overrides.items() for name in _named(field, value, served)]
    if moa.recipe is not None:
        named.append(("moa.recipe", moa.recipe))
    for field, name in named:
        if name not in allowed:
            known = ", ".join(one for one in served if one in allowed)
            raise InvalidRequest(f"Change '{field}': {shown(name)} is not one of {known}.", field)


def _named(field: str, value: Any, served: Collection[str]) -> Iterator[str]:
    """Models that a value of `moa` names: agents, and texts that are the id of a model."""
    if isinstance(value, str):
        if field in AGENT_SETTINGS or value in served:
            yield value
    elif isinstance(value, Mapping):
        for inner, one in value.items():
            yield from _named("models" if inner == "model" else "", one, served)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _named(field, one, served)


def _real(agents: Any, aliases: Mapping[str, str]) -> Any:
    """Agents as a request names them, with real model ids; other values, which the recipe refuses, as they are."""
    if isinstance(agents, str):
        return aliases.get(agents, agents)
    if isinstance(agents, list | tuple):
        return [_real(agent, aliases) for agent in agents]
    if isinstance(agents, dict) and isinstance(agents.get("model"), str):
        return {**agents, "model": aliases.get(agents["model"], agents["model"])}
    return agents
