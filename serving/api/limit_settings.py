"""Limits and budgets of one caller."""

from typing import Literal

from pydantic import Field

from serving.config import Frozen


class UseRecipe(Frozen):
    """Answers of a caller whose budget is used up."""

    use: str = Field(
        min_length=1,
        max_length=256,
        description="Id of the recipe or model that answers in place of the requested one.",
    )


class KeyLimits(Frozen):
    """Limits of one caller over all replicas of the API. Null: no limit.

    Minutes, days and months are those of the clock, in UTC. Tokens are those of all agents, prompts and answers.
    """

    requests_per_minute: int | None = Field(
        default=None, strict=True, ge=1, description="Requests in one minute; each prompt of a request counts."
    )
    tokens_per_minute: int | None = Field(default=None, strict=True, ge=1, description="Tokens in one minute.")
    concurrent_requests: int | None = Field(
        default=None, strict=True, ge=1, description="Requests in progress; each prompt of a request counts."
    )
    tokens_per_day: int | None = Field(default=None, strict=True, ge=1, description="Tokens in one day.")
    tokens_per_month: int | None = Field(default=None, strict=True, ge=1, description="Tokens in one month.")
    usd_per_day: float | None = Field(
        default=None,
        strict=True,
        gt=0,
        description="Dollars in one day: tokens times the prices of the profile's models.",
    )
    usd_per_month: float | None = Field(default=None, strict=True, gt=0, description="Dollars in one month.")
    over_budget: Literal["refuse"] | UseRecipe = Field(
        default="refuse",
        description="Requests beyond the tokens or dollars of a day or month: `refuse` them with 429, or"
        " `{use: RECIPE}` to answer them by a cheaper recipe, whose cost is counted but not limited.",
    )

    @property
    def budgeted(self) -> bool:
        """True if there is a budget of a day or a month."""
        budgets = (self.tokens_per_day, self.tokens_per_month, self.usd_per_day, self.usd_per_month)
        return any(limit is not None for limit in budgets)

    @property
    def in_usd(self) -> bool:
        """True if a budget is in dollars, which needs the prices of models."""
        return self.usd_per_day is not None or self.usd_per_month is not None

    @property
    def limited(self) -> bool:
        """True if there is any limit."""
        limits = (self.requests_per_minute, self.tokens_per_minute, self.concurrent_requests)
        return self.budgeted or any(limit is not None for limit in limits)

    def over(self, defaults: "KeyLimits") -> "KeyLimits":
        """These limits, with those of `defaults` for fields that were not given; null was given."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return defaults.model_copy(update=given)


NO_LIMITS = KeyLimits()
