"""Prices of tokens, and the cost of an answer in US$."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from evaluation.rows import Row
from evaluation.yaml_files import read_model
from serving.config import Frozen


class Price(Frozen):
    """US$ per million tokens of one model."""

    prompt_usd: float = Field(ge=0, allow_inf_nan=False)
    completion_usd: float = Field(ge=0, allow_inf_nan=False)
    cached_usd: float | None = Field(
        default=None, ge=0, allow_inf_nan=False
    )  # prompt tokens from the prefix cache; None: prompt_usd


Prices = Mapping[str, Price]


class _PriceFile(Frozen):
    usd_per_million_tokens: dict[str, Price]


def load(path: Path) -> Prices:
    """Load prices from a YAML file: `usd_per_million_tokens` maps a model id to prompt_usd, completion_usd, cached_usd.

    Raises:
        EvaluationError: The file cannot be read or does not have that form.
    """
    return read_model(path, _PriceFile).usd_per_million_tokens


def models_without(rows: Sequence[Row], known: Container[str]) -> list[str]:
    """Return the models that answered and are not among `known`, in order of appearance."""
    models = dict.fromkeys(model for row in rows if row.done for model in _models_of(row))
    return [model for model in models if model not in known]


def _models_of(row: Row) -> list[str]:
    """Models of an answer's agents; without a trace, the requested one."""
    return [agent.model for agent in row.trace] or [row.model]


def cost_usd(row: Row, prices: Prices) -> float | None:
    """Return the cost of an answer over all its agents; `None` if a price or a count is unknown."""
    parts = [
        _cost(prices.get(agent.model), agent.prompt_tokens, agent.completion_tokens, agent.cached_tokens)
        for agent in row.trace
    ] or [_cost(prices.get(row.model), row.prompt_tokens, row.completion_tokens, row.cached_tokens)]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def with_costs(rows: Sequence[Row], prices: Prices) -> list[Row]:
    """Return `rows` with the cost of each answer at these prices, in place of the recorded one."""
    return [row.model_copy(update={"cost_usd": cost_usd(row, prices)}) for row in rows]


def _cost(price: Price | None, prompt: int | None, completion: int | None, cached: int | None) -> float | None:
    if price is None or prompt is None or completion is None:
        return None
    from_cache = cached or 0
    cached_usd = price.prompt_usd if price.cached_usd is None else price.cached_usd
    spent = (prompt - from_cache) * price.prompt_usd + from_cache * cached_usd + completion * price.completion_usd
    return spent / 1e6
