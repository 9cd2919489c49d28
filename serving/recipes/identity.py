"""The identity of a recipe's answers: everything but the request on which they depend."""

import inspect
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from serving.cache.digest import digest
from serving.engine import EngineInfo
from serving.recipes.base import Recipe
from serving.recipes.cost import Limits

PACKAGE = Path(__file__).parents[1]
# Code that makes prompts, composes and samples: another version of it makes other answers.
FOLDERS = ("recipes", "runtime", "engines")


@cache
def code_digest() -> str:
    """Digest of the code and the prompts by which recipes answer."""
    files = sorted(path for folder in FOLDERS for path in (PACKAGE / folder).rglob("*") if path.is_file())
    code = {str(path.relative_to(PACKAGE)): path.read_bytes() for path in files if path.suffix in (".py", ".yaml")}
    return digest(code)


def recipe_identity(
    recipe: Recipe,
    recipes: Mapping[str, Recipe],
    models: Mapping[str, EngineInfo],
    prices: Mapping[str, tuple[float, float]],
    limits: Limits,
) -> str:
    """Digest of a recipe as overridden, the recipes and models that it may ask, its code and the limits of its length.

    Args:
        recipe: with the changes of the request.
        recipes: all that are served, by id.
        models: properties of the engines by id, of which the revisions count.
        prices: of models, by which one answers small tasks.
        limits: of one request.
    """
    reached: dict[str, Recipe] = {}
    waiting = [recipe]
    while waiting:
        one = waiting.pop()
        if one.id not in reached:
            reached[one.id] = one
            waiting += [recipes[name] for name in sorted(one.delegates()) if name in recipes]
    names = sorted({name for one in reached.values() for name in (*one.named_models(), *one.delegates())})
    asked = {name: (models[name].revision, prices.get(name)) for name in names if name in models}
    made = {name: (_source(type(one)), _settings(one)) for name, one in sorted(reached.items())}
    return digest(code_digest(), recipe.id, made, asked, limits.max_calls, limits.max_tokens)


def _settings(recipe: Recipe) -> dict[str, object]:
    """Fields of a recipe on which an answer depends."""
    return {name: getattr(recipe, name) for name in type(recipe).model_fields if name not in ("cache", "description")}


def _source(strategy: type[Recipe]) -> str:
    """Name of a strategy and, of one that is not part of this package, the text of its file."""
    name = f"{strategy.__module__}.{strategy.__qualname__}"
    if strategy.__module__.startswith("serving."):
        return name
    try:
        return digest(name, Path(inspect.getfile(sys.modules[strategy.__module__])).read_bytes())
    except (OSError, TypeError, KeyError):
        return name
