"""API keys in the store of a profile's server: `python -m serving.keys --profile NAME` runs it."""

import os
import sys
from collections.abc import Sequence

from deployments.api_settings import api_settings
from deployments.config import Profile, load_profile
from serving.cards import ModelCard
from serving.errors import ConfigError
from serving.keys import parsed, run_command
from serving.recipes import load_recipes


def cards_of(profile: Profile) -> dict[str, ModelCard]:
    """Cards of what the profile serves, by id, with the prices of models."""
    cards = {
        model.id: ModelCard(
            model.id,
            "model",
            task="generate" if model in profile.served else "embed",
            usd_per_million_tokens=None if (price := model.usd_per_million_tokens) is None else price.model_dump(),
        )
        for model in (*profile.served, *profile.pooling)
    }
    return cards | {name: ModelCard(name, "recipe") for name in load_recipes(profile.recipes, profile.team)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exit with status 1 and one sentence if it cannot be done."""
    given = parsed(arguments)
    given.words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        profile = load_profile(given.profile or "tiny")
        settings, cards = api_settings(profile.api, os.environ), cards_of(profile)
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    run_command(given, profile.store, settings, cards)


if __name__ == "__main__":
    main()
