"""Tokens to dollars."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from evaluation.errors import EvaluationError
from evaluation.rows import Row
from serving.config import Frozen


class Price(Frozen):
    """US dollars for a million tokens of one model."""

    prompt_usd: float = Field(ge=0)
    completion_usd: float = Field(ge=0)
    cached_usd: float | None = Field(default=None, ge=0)  # prompt tokens from the prefix cache; None: as others


Prices = Mapping[str, Price]


class _PriceFile(Frozen):
    usd_per_million_tokens: dict[str, Price]


def load(path: Path) -> Prices:
    """Prices of a YAML file: `usd_per_million_tokens`, from model id to prompt_usd, completion_usd, cached_usd.

    Raises:
        EvaluationError: the file cannot be read or is not of that form.
    """
    try:
        return _PriceFile.model_validate(yaml.safe_load(path.read_text())).usd_per_million_tokens
    except OSError as error:
        raise EvaluationError(f"Cannot read the prices '{path}': {error.strerror}.") from error
    except (ValidationError, yaml.YAMLError) as error:
        raise EvaluationError(f"The prices '{path}' are not right: {error}") from error


def cost_usd(row: Row, prices: Prices) -> float | None:
    """What the answer cost over all its agents; `None` where a price or a count is not known."""
    parts = [
        _cost(prices.get(agent.model), agent.prompt_tokens, agent.completion_tokens, agent.cached_tokens)
        for agent in row.trace
    ] or [_cost(prices.get(row.model), row.prompt_tokens, row.completion_tokens, row.cached_tokens)]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _cost(price: Price | None, prompt: int | None, completion: int | None, cached: int | None) -> float | None:
    if price is None or prompt is None or completion is None:
        return None
    from_cache = cached or 0
    cached_usd = price.prompt_usd if price.cached_usd is None else price.cached_usd
    spent = (prompt - from_cache) * price.prompt_usd + from_cache * cached_usd + completion * price.completion_usd
    return spent / 1e6
