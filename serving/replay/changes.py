"""Changes of a replayed layer: `--with FIELD=VALUE`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from serving.errors import ConfigError, InvalidRequest
from serving.recipes import Recipe
from serving.runtime.prompts import with_system
from serving.types import GenerateRequest

SAMPLING = {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "max_tokens": (1, 10**6), "seed": (0, 2**63 - 1)}


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences from the recording."""

    model: str | None = None  # asked in place of each agent's
    system: str | None = None  # added to each agent's system message
    sampling: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)  # settings that a request may change, such as `prompt`

    def request(self, request: GenerateRequest) -> GenerateRequest:
        """The agent's request with the changes."""
        messages = with_system(request.messages, self.system)
        whole: dict[str, Any] = {"max_tokens": int, "seed": int}
        sampling = {name: whole.get(name, float)(value) for name, value in self.sampling.items()}
        return replace(request, messages=messages, sampling=replace(request.sampling, **sampling))

    def of_recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with its changed settings. Raises `ConfigError`."""
        if not self.recipe:
            return recipe
        try:
            return recipe.overridden(self.recipe)
        except InvalidRequest as error:
            raise ConfigError(str(error).replace("'moa.", "'--with ")) from None


def changes(given: Sequence[str]) -> Changes:
    """Read `FIELD=VALUE` words. Raises `ConfigError`."""
    texts: dict[str, str] = {}
    sampling: dict[str, float] = {}
    recipe: dict[str, Any] = {}
    for word in given:
        name, separator, value = word.partition("=")
        if not separator or not name or not value:
            raise ConfigError(f"Write --with as FIELD=VALUE, such as model=tiny-llama, not '{word}'.")
        if name in {**texts, **sampling, **recipe}:
            raise ConfigError(f"Give --with {name} once.")
        if name in ("model", "system"):
            texts[name] = value
        elif name in SAMPLING:
            sampling[name] = _number(name, value)
        else:
            recipe[name] = _yaml(name, value)
    return Changes(texts.get("model"), texts.get("system"), sampling, recipe)


def _number(name: str, text: str) -> float:
    low, high = SAMPLING[name]
    try:
        number = float(text) if isinstance(low, float) else int(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise ConfigError(f"Set --with {name} to a number from {low:g} to {high:g}, not '{text}'.")
    return number


def _yaml(name: str, text: str) -> Any:
    """A value of a recipe's setting."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"The value of --with {name} is no YAML; put a text in quotes.") from None
