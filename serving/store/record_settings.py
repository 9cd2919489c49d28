"""Settings of the records of requests."""

from pydantic import Field

from serving.config import Frozen


class RecordSettings(Frozen):
    """Records of requests: usage, cost and outcome of each. Reports are made of them."""

    texts: bool = Field(
        default=False,
        description="Store the conversation and the answer of each request, too. False: no text of a caller is stored,"
        " except comments sent to /v1/feedback.",
    )
    max_text_chars: int = Field(
        default=20_000,
        ge=1,
        le=10_000_000,
        description="Maximum length of a stored conversation and of a stored answer in characters; the rest is cut.",
    )
    days: int = Field(
        default=100,
        ge=32,
        le=3660,
        description="Days for which records, feedback and grades are kept; older ones are deleted every hour. At least"
        " 32, so that the sum of a month is complete.",
    )
