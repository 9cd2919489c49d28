"""Cost of an answer: tokens, calls, US$ and seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from evaluation.analysis.teams import by_arm
from evaluation.rows import Row


@dataclass(frozen=True, slots=True)
class ArmCost:
    """Means over an arm's answers with a known count; `None` if no answer has one."""

    arm: str
    answers: int
    calls: float
    tokens: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    cached_tokens: float | None  # of prompt_tokens
    reasoning_tokens: float | None  # of completion_tokens
    usd: float | None
    latency_s: float | None
    latency_p95_s: float | None


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
                tokens=_mean(row.tokens for row in own),
                prompt_tokens=_mean(row.prompt_tokens for row in own),
                completion_tokens=_mean(row.completion_tokens for row in own),
                cached_tokens=_mean(row.cached_tokens for row in own),
                reasoning_tokens=_mean(row.reasoning_tokens for row in own),
                usd=_mean(row.cost_usd for row in own),
                latency_s=_mean(latencies),
                latency_p95_s=float(np.percentile(latencies, 95)) if latencies else None,
            )
        )
    return table


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
