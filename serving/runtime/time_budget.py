"""Division of a request's time between the steps of a recipe and its answer."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Times of one request, in loop time. The last `answer_share` of its deadline is kept for the answer.

    A share, not a duration, so that it is sensible for any deadline. The time before it is divided equally between the
    steps that remain whenever one begins: what an early step leaves is the later ones'.
    """

    started: float
    ends: float  # the whole request must have ended
    answer_share: float  # 0 to below 1

    @property
    def answer_begins(self) -> float:
        """Time at which the final agent must begin; layers, judges and critics end until then."""
        return self.ends - self.answer_share * (self.ends - self.started)

    @property
    def late(self) -> bool:
        """True if the time that is kept for the answer has begun."""
        return asyncio.get_running_loop().time() >= self.answer_begins

    def step_ends(self, steps: int) -> float:
        """End of the step that begins now and has `steps` steps, itself included, before the answer.

        0 steps: it is the answer's own, and may take all the time.
        """
        if steps <= 0:
            return self.ends
        now = asyncio.get_running_loop().time()
        return now + max(self.answer_begins - now, 0.0) / steps
