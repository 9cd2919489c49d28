"""API keys in the store of a profile's server: `python -m serving.keys --profile NAME` runs it."""

import os
import sys
from collections.abc import Sequence

from deployments.api_settings import api_settings
from deployments.cards import cards_of
from deployments.config import load_profile
from serving.errors import ConfigError
from serving.keys import parsed, run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exit with status 1 and one sentence if it cannot be done."""
    given = parsed(arguments)
    try:
        profile = load_profile(given.profile or "tiny")
        settings, cards = api_settings(profile.api, os.environ), cards_of(profile)
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    run_command(given, profile.store, settings, cards)


if __name__ == "__main__":
    main()
