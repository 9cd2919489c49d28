"""Runs a sweep: one open-loop run for each rate of the search, until the search or the server ends."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from loadtest.progress import ProgressLine
from loadtest.results.report import Result
from loadtest.sweep.results import Step, Sweep
from loadtest.sweep.search import Search
from loadtest.traffic.options import Options

LEAST_REQUESTS = 20  # planned for each rate: a slow one runs longer than the duration

Run = Callable[[Options], Result | None]  # None: stopped early
Lost = Callable[[], str | None]  # the reason for which the server does not answer; None: it does


def sweep(
    options: Options, search: Search, settings: dict[str, Any], run: Run, line: ProgressLine, lost: Lost
) -> Sweep:
    """Try rates until the search ends, a run is stopped early, or the server no longer answers.

    The rate at which the server was lost has neither met nor missed the SLO: it is no step of the result.

    Args:
        options: options of every run; its `duration_s` is the least duration of each.
        search: the search, which is changed.
        settings: settings for the report.
        run: runs the load with the given options.
        line: progress display.
        lost: asks the server after a run that missed the SLO, and before every further run.

    Raises:
        LoadError: as `run`.
    """
    steps: list[Step] = []
    loss: str | None = None
    while (rate := search.next_rate) is not None:
        duration_s = max(options.duration_s, LEAST_REQUESTS / rate)
        if steps and (reason := lost()) is not None:
            loss = f"after the run at {steps[-1].rate_per_s:g} requests/s ({reason})"
            break
        line.say(f"Rate {len(steps) + 1}: {rate:g} requests/s for {duration_s:.0f} s.")
        result = run(replace(options, rate_per_s=rate, duration_s=duration_s))
        if result is None:
            break
        if not result.passed and (reason := lost()) is not None:
            loss = f"during the run at {rate:g} requests/s ({reason})"
            break
        search.record(rate, met=result.passed)
        steps.append(Step(rate, result))
        line.say(f"{rate:g} requests/s: {result.verdict}")
    return Sweep(settings, options.slo, search, tuple(steps), complete=search.next_rate is None, loss=loss)
