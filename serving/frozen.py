"""The base of every configuration and record that is read from a file."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Never changed, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
