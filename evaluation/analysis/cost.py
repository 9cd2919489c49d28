"""Cost of an answer: tokens, calls, US$, operations and seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from evaluation.analysis.teams import by_arm
from evaluation.rows import Row

MIN_KNOWN = 0.95  # share of the answers: the others may be of another kind, such as those that took more calls


@dataclass(frozen=True, slots=True)
class ArmCost:
    """Means over an arm's answers with a known count; `None` if fewer than `MIN_KNOWN` of its answers have one."""

    arm: str
    answers: int
    calls: float
    tokens: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    cached_tokens: float | None  # of prompt_tokens
    reasoning_tokens: float | None  # of completion_tokens
    usd: float | None
    tflops: float | None  # tera operations of all agents
    tflops_in_sequence: float | None  # tera operations, of each layer the largest agent's alone
    latency_s: float | None
    latency_p95_s: float | None

    @property
    def usd_per_1000(self) -> float | None:
        """US$ per 1,000 answers."""
        return None if self.usd is None else 1000 * self.usd


def costs(rows: Sequence[Row]) -> list[ArmCost]:
    """Return one entry per arm."""
    table = []
    for arm, own in by_arm(rows).items():
        latencies = [row.latency_s for row in own if row.latency_s is not None]
        table.append(
            ArmCost(
                arm=arm,
                answers=len(own),
                calls=fmean(row.calls for row in own),
                tokens=mean_of_known(row.tokens for row in own),
                prompt_tokens=mean_of_known(row.prompt_tokens for row in own),
                completion_tokens=mean_of_known(row.completion_tokens for row in own),
                cached_tokens=mean_of_known(row.cached_tokens for row in own),
                reasoning_tokens=mean_of_known(row.reasoning_tokens for row in own),
                usd=mean_of_known(row.cost_usd for row in own),
                tflops=mean_of_known(row.tflops for row in own),
                tflops_in_sequence=mean_of_known(row.tflops_in_sequence for row in own),
                latency_s=mean_of_known(latencies),
                latency_p95_s=float(np.percentile(latencies, 95)) if latencies else None,
            )
        )
    return table


def mean_tokens(rows: Iterable[Row]) -> float | None:
    """Mean tokens of the answers without an error; `None` if fewer than `MIN_KNOWN` of them have a known count."""
    return mean_of_known(row.tokens for row in rows if row.done)


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the known values; `None` if fewer than `MIN_KNOWN` of them are known."""
    every = list(values)
    known = [value for value in every if value is not None]
    return fmean(known) if known and len(known) >= MIN_KNOWN * len(every) else None
