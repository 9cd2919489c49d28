"""Programs in answers: the options that allow them to run, and the check before the first request."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace

from evaluation import scoring
from evaluation.datasets.loading import Dataset
from evaluation.errors import EvaluationError
from evaluation.sandbox import Sandbox, SandboxLimits
from serving.command_line import above, at_least

DEFAULTS = SandboxLimits()


def add_options(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the options that allow programs to run and that limit them."""
    parser.add_argument(
        "--run-programs",
        action="store_true",
        help="allow the scorer 'code' (kinds humaneval, mbpp) to run programs that the models write, in a sandbox",
    )
    parser.add_argument(
        "--program-timeout",
        type=above(0, 3600),
        metavar="S",
        help=f"with --run-programs: limit of a program (default: {DEFAULTS.timeout_s:g})",
    )
    parser.add_argument(
        "--program-memory-mb",
        type=at_least(32, int, 1_000_000),
        metavar="MB",
        help=f"with --run-programs: memory of a program (default: {DEFAULTS.memory_bytes // 2**20})",
    )


def limits_of(options: argparse.Namespace) -> SandboxLimits | None:
    """Limits of the programs in answers; `None` if they may not be run.

    Raises:
        EvaluationError: A limit is given without `--run-programs`.
    """
    given = {"--program-timeout": options.program_timeout, "--program-memory-mb": options.program_memory_mb}
    if not options.run_programs:
        if unused := [option for option, value in given.items() if value is not None]:
            raise EvaluationError(
                f"{unused[0]} has no effect without --run-programs; add it, or leave {unused[0]} out."
            )
        return None
    limits = DEFAULTS
    if options.program_timeout is not None:
        limits = replace(limits, timeout_s=options.program_timeout, cpu_s=math.ceil(options.program_timeout))
    if options.program_memory_mb is not None:
        limits = replace(limits, memory_bytes=options.program_memory_mb * 2**20)
    return limits


def has_programs(datasets: Sequence[Dataset]) -> bool:
    """True if the scorer of a question runs the program of its answer."""
    return any(item.scorer == scoring.CODE for data in datasets for item in data.items)


async def check_programs(datasets: Sequence[Dataset], limits: SandboxLimits | None) -> None:
    """Check, before the first request, that the programs in answers may and can be run.

    Args:
        datasets: The questions.
        limits: Limits of a program; `None` if none may be run.

    Raises:
        EvaluationError: `datasets` have questions whose scorer runs programs, but `limits` is `None`, or the sandbox
            does not run even an empty program; or there are `limits`, but no such questions.
    """
    if not has_programs(datasets):
        if limits is not None:
            raise EvaluationError("No question is scored by running a program: leave out --run-programs.")
    elif limits is None:
        names = ", ".join(data.name for data in datasets if has_programs([data]))
        raise EvaluationError(
            f"The scorer 'code' runs programs that the models write, on this machine ({names}): allow it with"
            " --run-programs, or leave these questions out. docs/evaluation.md says how they are confined."
        )
    elif not await Sandbox(limits).passes(""):
        raise EvaluationError("The sandbox cannot run an empty program within its limits: raise --program-memory-mb.")
