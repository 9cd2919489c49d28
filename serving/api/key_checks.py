"""Checks of keys against what the server serves: models, recipes, prices, names."""

from collections.abc import Iterable, Mapping

from serving.api.key_settings import reserved
from serving.api.limit_settings import KeyLimits, UseRecipe
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.errors import ConfigError


def check_keys(settings: ApiSettings, cards: Mapping[str, ModelCard], *, has_store: bool) -> None:
    """Check the keys and limits of `settings`.

    Raises:
        ConfigError: a key names a model that is not served, a budget in dollars has no prices, or keys are required and
            there can be none.
    """
    if settings.require_key and not (settings.keys or settings.plain_keys() or settings.admin_key or has_store):
        raise ConfigError("Set store.enabled to true, or give api.keys: api.require_key is set, and no key can exist.")
    if why := limits_issue(settings.limits, "api.limits", settings, cards):
        raise ConfigError(why)
    for key in settings.keys:
        place = f"the key '{key.name}' of api.keys"
        if why := models_issue(key.models or (), place, settings, cards) or limits_issue(
            key.limits, place, settings, cards
        ):
            raise ConfigError(why)


def models_issue(
    models: Iterable[str], place: str, settings: ApiSettings, cards: Mapping[str, ModelCard]
) -> str | None:
    """Sentence about a model that is not served, if there is one. `place`: where they are given."""
    names = (*cards, *settings.aliases)
    unknown = [name for name in models if name not in names]
    return f"Change 'models' of {place}: '{unknown[0]}' is not one of {', '.join(names)}." if unknown else None


def limits_issue(limits: KeyLimits, place: str, settings: ApiSettings, cards: Mapping[str, ModelCard]) -> str | None:
    """Sentence about limits that cannot work, if they cannot. `place`: where they are given."""
    if isinstance(limits.over_budget, UseRecipe):
        use = limits.over_budget.use
        answering = [card.id for card in cards.values() if card.task == "generate"]
        if settings.aliases.get(use, use) not in answering:
            return f"Change 'over_budget' of {place}: '{use}' is not one of {', '.join(answering)}."
    unpriced = [card.id for card in cards.values() if card.kind == "model" and card.usd_per_million_tokens is None]
    if limits.in_usd and unpriced:
        model = unpriced[0]
        return f"Set 'usd_per_million_tokens' of the model '{model}' in the profile: {place} has a budget in dollars."
    return None


def name_issue(name: str, settings: ApiSettings) -> str | None:
    """Sentence about a name that a key of the store cannot have, if it cannot."""
    if reserved(name) or any(key.name == name for key in settings.keys):
        return f"Change 'name': '{name}' stands for other callers."
    return None
