"""What a request may change of each strategy, as the table that `docs/recipes.md` holds."""

from collections.abc import Iterable

from serving.recipes.base import Recipe
from serving.recipes.presets import STRATEGIES


def overrides_table() -> str:
    """Of every strategy the fields that its requests may set, as Markdown."""
    rows = ["| strategy | common ones | its own |", "|---|---|---|"]
    for name, strategy in STRATEGIES.items():
        common, own = strategy.per_request & Recipe.per_request, strategy.per_request - Recipe.per_request
        listed = "all" if common == Recipe.per_request else _listed(common)
        rows.append(f"| `{name}` | {listed} | {_listed(own)} |")
    return "\n".join(rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"


if __name__ == "__main__":
    print(overrides_table())
