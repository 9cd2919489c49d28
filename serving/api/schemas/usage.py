"""JSON of `GET /v1/usage`, and body and answer of `POST /v1/feedback`."""

from typing import Literal

from pydantic import Field

from serving.api.schemas.answers import Read
from serving.api.schemas.wire import Wire

COMMENT_CHARS = 2000


class UsageOf(Read):
    """Usage of one model, of a model as a proposer, or of one role, recipe, key or day."""

    name: str
    requests: int
    calls: int = Field(description="Calls of models that the requests took.")
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="Prompt tokens that came from prefix caches.")
    usd: float = Field(description="Dollars: tokens times the prices of the models.")
    uncounted: int = Field(description="Calls whose tokens are unknown, such as cancelled ones; none of their tokens.")
    unpriced: int = Field(description="Calls of models without a price, whose dollars are missing.")


class ScoreOf(Read):
    """Average score of the answers of one model or recipe on one day, made with so many proposers."""

    day: str
    model: str
    proposers: int
    answers: int
    score: float = Field(description="From 0 (bad) to 1 (good).")


class UsageBody(Read):
    """Usage of a period. Days are in UTC."""

    object: Literal["usage"]
    period: Literal["day", "week", "month"]
    first_day: str
    last_day: str
    key: str | None = Field(description="Name of the key whose requests are counted; null: all keys.")
    total: UsageOf
    cancelled: int
    failed: int
    degraded: int
    month: str = Field(description="Month of `last_day`.")
    month_usd: float = Field(description="Dollars of that month.")
    budget_usd_per_month: float | None = Field(description="The server's budget, for all keys; null: none.")
    by: dict[Literal["model", "proposer", "role", "recipe", "key", "day"], list[UsageOf]]
    quality: list[ScoreOf] = Field(description="Grades of the server's judge.")
    feedback: list[ScoreOf] = Field(description="Scores of feedback.")


class FeedbackBody(Wire):
    """Feedback on an answer. A second one replaces the first."""

    id: str = Field(min_length=1, max_length=100, description="Id of the answer, such as `chatcmpl-...`.")
    score: float = Field(ge=0, le=1, description="From 0 (bad) to 1 (good).")
    comment: str | None = Field(
        default=None, max_length=COMMENT_CHARS, description=f"At most {COMMENT_CHARS} characters; stored as it is."
    )


class FeedbackRead(Read):
    """Feedback that is stored."""

    object: Literal["feedback"]
    id: str
    model: str = Field(description="The model or recipe that was asked.")
    score: float
    comment: str | None
