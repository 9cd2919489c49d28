"""Cards of what a profile serves, without its engines."""

from deployments.config import Profile
from serving.cards import ModelCard
from serving.recipes import load_recipes


def cards_of(profile: Profile) -> dict[str, ModelCard]:
    """Cards by id, with the prices of models. Raises `ConfigError` if a recipe cannot be read."""
    prices = {name: price.model_dump() for name, price in profile.prices.items()}
    cards = {
        model.id: ModelCard(
            model.id,
            "model",
            task="generate" if model in profile.served else "embed",
            usd_per_million_tokens=prices.get(model.id),
        )
        for model in (*profile.served, *profile.pooling)
    }
    return cards | {name: ModelCard(name, "recipe") for name in load_recipes(profile.recipes, profile.team)}
