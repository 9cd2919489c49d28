"""Check of a request with tools, before any work: the agents that would call them must be able to."""

from collections.abc import Mapping

from serving.conversation import Message
from serving.engine import EngineInfo
from serving.errors import UnsupportedField
from serving.recipes.base import Recipe


def check_tools(
    name: str, recipes: Mapping[str, Recipe], models: Mapping[str, EngineInfo], messages: tuple[Message, ...]
) -> None:
    """Check that the model or recipe `name` can answer a conversation with tools.

    Raises:
        UnsupportedField: its strategy refuses tools, or a model that would call the tools does not support them.
    """
    if name in models:
        if not models[name].tools:
            raise UnsupportedField("tools", f"'{name}' does not support them")
        return
    recipe = recipes[name]
    agent, following = recipe.final_agent(), recipe.handover(messages)
    if not recipe.tool_modes or (agent is None and following is None and not recipe.picks):
        raise UnsupportedField("tools", f"'{name}' does not support them (strategy '{recipe.strategy}')")
    if following is not None:
        check_tools(following, recipes, models, messages)
    if agent is not None and not models[agent.model].tools:
        raise UnsupportedField("tools", f"the final agent '{agent.model}' of '{name}' does not support them")
    if (why := lacking_voters(recipe, models)) is not None:
        raise UnsupportedField("tools", why)


def lacking_voters(recipe: Recipe, models: Mapping[str, EngineInfo]) -> str | None:
    """Reason why no vote on tool calls is possible; None if one is, or the recipe has none (`tools: final`).

    A strategy that picks a proposal needs one proposer with tools; a vote that can skip the final agent needs two.
    """
    if recipe.tools != "vote":
        return None
    able = max(sum(models[agent.model].tools for agent in layer) for layer in recipe.proposer_layers())
    if able >= (1 if recipe.picks else 2):
        return None
    if recipe.picks:
        return f"no proposer of '{recipe.id}' supports them"
    return f"with 'tools: vote', '{recipe.id}' needs a layer of two proposers or more that support them"


def final_models(name: str, recipes: Mapping[str, Recipe], *, tools: bool = False) -> frozenset[str]:
    """Ids of the models that may write the answer of `name`; with `tools`, the answer of a request with tools."""
    if name not in recipes:
        return frozenset({name})
    recipe = recipes[name]
    if tools and not recipe.tool_modes:
        return frozenset()
    if (agent := recipe.final_agent()) is not None:
        return frozenset({agent.model})
    if tools and recipe.picks:
        return frozenset(agent.model for agent in recipe.proposers_of_all_layers())
    return frozenset().union(*(final_models(other, recipes, tools=tools) for other in recipe.delegates()))
