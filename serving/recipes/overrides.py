"""JSON schemas of the settings that a request may change, for clients that show them in a form."""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.recipes.base import Recipe
from serving.runtime.agents import MAX_AGENTS, Agent
from serving.runtime.policy import ADVISE, AdviseSetting

Json = dict[str, Any]
SHOWN = ("type", "enum", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minItems", "maxItems")


def override_schemas(recipe: Recipe, models: Sequence[str]) -> dict[str, Json]:
    """Schemas of the fields of the `moa` object for `recipe`, by name, in which agents are ids of `models`.

    Each has the recipe's own value as `default`, if it has one. A field that is a second name of another is left out.
    Richer values that a request may also send (agents with settings, a team for each layer) are left out, too.
    """
    properties = type(recipe).model_json_schema()["properties"]
    named = {name: _schema(recipe, name, properties, models) for name in _order(recipe)}
    return {name: schema for name, schema in named.items() if schema is not None}


def _order(recipe: Recipe) -> list[str]:
    """The team first, then the strategy's own fields, then those of every recipe, as they are declared."""
    declared = [*type(recipe).model_fields]
    own = [name for name in declared if name not in Recipe.model_fields]
    names = ["models", *own, *declared]
    return [name for name in dict.fromkeys(names) if name in recipe.per_request]


def _schema(recipe: Recipe, name: str, properties: Mapping[str, Json], models: Sequence[str]) -> Json | None:
    if name == "models":
        return _team(recipe, models)
    value, schema = getattr(recipe, name), properties[name]
    described = {"description": schema["description"]} if "description" in schema else {}
    if isinstance(value, Agent):
        return {"type": "string", "enum": [*models], "default": value.model, **described}
    if isinstance(value, AdviseSetting):
        default = {} if str(value) not in ADVISE else {"default": str(value)}
        return {"type": "string", "enum": [*ADVISE], **default, **described}
    if isinstance(value, tuple):  # of teams: a request may give their number
        return {
            "type": "integer",
            "minimum": schema["minItems"],
            "maximum": schema["maxItems"],
            "default": len(value),
            "description": "Number of proposer layers.",
        }
    simple = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    default = {} if value is None else {"default": value}
    return {**{key: simple[key] for key in SHOWN if key in simple}, **default, **described}


def _team(recipe: Recipe, models: Sequence[str]) -> Json:
    """Schema of `models`: the team, or the agents that a strategy without a team has instead."""
    agents: Sequence[Agent]
    if recipe.team:
        agents = getattr(recipe, recipe.team)
    elif recipe.cast:
        agents = [getattr(recipe, field) for field in recipe.cast]
    else:
        agents = next(iter(recipe.proposer_layers()), ())
    default = {"default": [agent.model for agent in agents]} if agents else {}
    return {
        "type": "array",
        "items": {"type": "string", "enum": [*models]},
        "minItems": 1,
        "maxItems": len(recipe.cast) or MAX_AGENTS,
        **default,
        "description": f"Models, in this order: {', '.join(recipe.cast)}." if recipe.cast else "Models of the team.",
    }
