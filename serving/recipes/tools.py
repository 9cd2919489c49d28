"""Check of a request with tools, before any work: the agent that would call them must be able to."""

from collections.abc import Mapping

from serving.engine import EngineInfo
from serving.errors import UnsupportedField
from serving.recipes.base import Recipe
from serving.types import Message


def check_tools(
    name: str, recipes: Mapping[str, Recipe], models: Mapping[str, EngineInfo], messages: tuple[Message, ...]
) -> None:
    """Check that the model or recipe `name` can answer a conversation with tools.

    Raises:
        UnsupportedField: its strategy picks a proposal, or the model that would call the tools does not support them.
    """
    if name in models:
        if not models[name].tools:
            raise UnsupportedField("tools", f"'{name}' does not support them")
        return
    recipe = recipes[name]
    agent, following = recipe.final_agent(), recipe.handover(messages)
    if recipe.tools == "refuse" or (agent is None and following is None):
        raise UnsupportedField("tools", f"'{name}' does not support them (strategy '{recipe.strategy}')")
    if agent is None:
        check_tools(str(following), recipes, models, messages)
    elif not models[agent.model].tools:
        raise UnsupportedField("tools", f"the final agent '{agent.model}' of '{name}' does not support them")


def final_models(name: str, recipes: Mapping[str, Recipe], *, tools: bool = False) -> frozenset[str]:
    """Ids of the models that may write the answer of `name`; with `tools`, the answer of a request with tools."""
    if name not in recipes:
        return frozenset({name})
    recipe = recipes[name]
    if tools and recipe.tools == "refuse":
        return frozenset()
    if (agent := recipe.final_agent()) is not None:
        return frozenset({agent.model})
    return frozenset().union(*(final_models(other, recipes, tools=tools) for other in recipe.delegates()))
