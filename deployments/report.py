"""Usage report on the store of a profile: `python -m serving.report --profile NAME` runs it."""

import sys
from collections.abc import Sequence

from deployments.config import load_profile
from serving.errors import ConfigError
from serving.report.__main__ import parsed, run


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the report; exit with status 1 and one sentence if the profile or its store cannot be read."""
    given = parsed(arguments)
    try:
        profile = load_profile(given.profile or "tiny")
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    if not profile.store.enabled:
        sys.exit("Error: The profile keeps no records: set store.enabled to true.")
    run(profile.store, given, profile.budget_usd_per_month)


if __name__ == "__main__":
    main()
