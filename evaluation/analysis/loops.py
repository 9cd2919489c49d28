"""Loops of tool calls: right answers, valid calls, requests, and the cached share of the second request."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from evaluation.analysis.accuracy import right_share
from evaluation.analysis.stats import Share, share
from evaluation.rows import Row


@dataclass(frozen=True, slots=True)
class ArmLoops:
    """Loops of one arm. A loop that failed counts as a wrong answer and in nothing else."""

    arm: str
    right: Share | None  # None: no scored answer
    first_calls: Share | None  # loops that begin with a call of the right tool, or rightly have none
    valid_calls: Share | None  # None: no calls
    requests: float | None  # mean per loop; None: every loop failed
    calls: float | None  # mean per loop
    panels: float | None  # requests that asked the proposers, mean per loop; None: no trace
    second_cached: float | None  # share of the second requests' prompt tokens; of the final agent alone
    unended: int  # loops that reached the bound of requests without a text


def loops(rows: Sequence[Row], arms: Iterable[str]) -> list[ArmLoops]:
    """Return one entry per arm that was asked questions with tools, in the order of `arms`."""
    with_tools = {row.dataset for row in rows if row.steps}
    asked = {arm: [row for row in rows if row.arm == arm and row.dataset in with_tools] for arm in arms}
    return [_loops(arm, own) for arm, own in asked.items() if own]


def _loops(arm: str, rows: Sequence[Row]) -> ArmLoops:
    done = [row for row in rows if row.done]
    return ArmLoops(
        arm=arm,
        right=right_share(rows),
        first_calls=_share(done, lambda row: [] if row.expected_first is None else [row.expected_first]),
        valid_calls=_share(done, lambda row: [call.fault is None for step in row.steps for call in step.calls]),
        requests=fmean(len(row.steps) for row in done) if done else None,
        calls=fmean(sum(len(step.calls) for step in row.steps) for row in done) if done else None,
        panels=_panels(done),
        second_cached=_second_cached(done),
        unended=sum(bool(row.steps[-1].calls) for row in done),
    )


def _share(rows: Sequence[Row], judged: Callable[[Row], list[bool]]) -> Share | None:
    """Share of what is true in each row, averaged over items."""
    values: dict[object, list[float]] = {}
    for row in rows:
        values.setdefault((row.dataset, row.item), []).extend(float(value) for value in judged(row))
    return share(values)


def _panels(rows: Sequence[Row]) -> float | None:
    known = [row for row in rows if all(step.proposers is not None for step in row.steps)]
    return fmean(sum(bool(step.proposers) for step in row.steps) for row in known) if known else None


def _second_cached(rows: Sequence[Row]) -> float | None:
    """Share of all second requests' prompt tokens that came from the cache; `None` if no count is known."""
    seconds = [step for row in rows for first, step in pairwise(row.steps[:2]) if first.turn == step.turn]
    known = [
        (step.cached_tokens, step.prompt_tokens)
        for step in seconds
        if step.cached_tokens is not None and step.prompt_tokens
    ]
    return sum(cached for cached, _ in known) / sum(prompt for _, prompt in known) if known else None
