"""Checks of what shapes the answer itself, before any work: a recipe must be able to honour it."""

from collections.abc import Mapping

from serving.errors import UnsupportedField
from serving.recipes.base import Recipe
from serving.types import GenerateRequest


def check_decoding(recipe: Recipe, recipes: Mapping[str, Recipe], request: GenerateRequest) -> None:
    """Check that `recipe`, or those of `recipes` that it hands over to, can honour the request's decoding.

    Raises:
        UnsupportedField: token ids for several models, whose vocabularies differ, or a message that cannot be
            continued.
    """
    field_of_ids = request.sampling.decoding.token_id_field
    reached = _reached(recipe, recipes)
    if request.prompt_end != "answer":
        field = "continue_final_message" if request.prompt_end == "continued" else "add_generation_prompt"
        for one in reached:
            if not one.continues:
                raise UnsupportedField(field, f"'{one.id}' does not support it (strategy '{one.strategy}')")
    if field_of_ids is None:
        return
    models = {agent.model for one in reached for agent in one.answering()}
    models |= {name for one in reached for name in one.delegates() if name not in recipes}
    if len(models) > 1:
        names = ", ".join(f"'{model}'" for model in sorted(models))
        raise UnsupportedField(
            field_of_ids, f"one of {names} writes the answer of '{recipe.id}', and token ids differ between models"
        )


def _reached(recipe: Recipe, recipes: Mapping[str, Recipe]) -> list[Recipe]:
    """`recipe`, and all that it may hand a request over to."""
    found = [recipe]
    for one in found:
        found += [recipes[name] for name in sorted(one.delegates()) if name in recipes and recipes[name] not in found]
    return found
