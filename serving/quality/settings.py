"""Settings of the grading of answers."""

from pydantic import Field

from serving.config import Frozen


class QualitySettings(Frozen):
    """A share of the answers is graded by a judge after it was sent; whole, undegraded answers without tool calls."""

    sample: float = Field(default=0.01, gt=0, le=1, description="Share of the answers that is graded, up to 1.")
    judge: str = Field(
        min_length=1, max_length=256, description="Id of the model that grades; one that generates text."
    )
    criteria: str = Field(
        default="",
        max_length=4000,
        description="Sentences for the judge that say what a good answer is. Empty: correct and complete.",
    )
    max_per_hour: int = Field(
        default=60, ge=1, le=100_000, description="Maximum number of grades in an hour per replica of the API."
    )
    max_pending: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="Maximum number of answers that wait for the judge; others are left out.",
    )
    deadline_s: float = Field(default=120.0, gt=0, le=3600, description="Maximum time of one grade.")
