"""Fields by which clients know a model: its id and the price of its tokens."""

from typing import Annotated

from pydantic import Field

from serving.config import Frozen

ModelId = Annotated[
    str,
    Field(
        min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name in recipes and the API."
    ),
]


class TokenPrice(Frozen):
    """Dollars per million tokens, for the estimated cost in the metrics; `plan --cost` prints them."""

    prompt: float = Field(ge=0, description="Dollars per million prompt tokens.")
    completion: float = Field(ge=0, description="Dollars per million completion tokens.")
