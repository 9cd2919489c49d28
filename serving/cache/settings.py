"""Settings of the response cache."""

from pydantic import Field

from serving.config import Frozen
from serving.types import CacheOption


class CacheSettings(Frozen):
    """The response cache. It is off until `ttl_s`, a recipe's `cache` or a request's `moa.cache` switches it on."""

    enabled: bool = Field(
        default=True, description="False: no answer is stored or read, and a request with `moa.cache` is refused."
    )
    ttl_s: float | None = Field(
        default=None,
        gt=0,
        description="Time for which the answers of all models and recipes are kept, unless a recipe or a request says"
        " otherwise. Null: only those for which one of them says so.",
    )
    max_ttl_s: float = Field(default=86_400, gt=0, description="Largest `ttl_s` of a request; beyond it, 400.")
    max_entry_bytes: int = Field(
        default=2**18, ge=1024, description="Largest stored answer in bytes, compressed; a larger one is not stored."
    )
    max_total_bytes: int = Field(
        default=2**28,
        ge=2**20,
        description="Size of all stored answers in bytes. Beyond it, those that expire first are deleted. Without"
        " effect on Redis, which has `maxmemory`.",
    )
    wait_s: float = Field(
        default=30.0,
        ge=0,
        description="Time that a request waits for an equal one in progress; then it is computed, too. At most half of"
        " the request's deadline. 0: equal requests do not wait for each other.",
    )
    version: str = Field(
        default="",
        description="Part of all keys: change it to empty the cache, for example when weights have changed in place.",
    )

    @property
    def default(self) -> CacheOption:
        """Option of requests for which neither they nor their recipe has one."""
        return CacheOption(self.ttl_s)
