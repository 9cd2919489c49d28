"""Evaluation of a run's iterations: each one is served, and answers the same held-out questions."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.arms import Arm
from evaluation.client import Client
from evaluation.datasets.loading import Dataset
from evaluation.programs import check_programs
from evaluation.progress import Bar
from evaluation.rows import Row
from evaluation.runner import Counts, RunSettings, manifest, plan, run
from evaluation.store import MANIFEST, check_manifest, read_rows
from training.errors import TrainingError
from training.profiles import SEPARATE
from training.separate import write_separate
from training.server import served
from training.state import RunState, read_state

BEFORE = 0  # number of the iteration that stands for the weights before any training
FOLDER = "evaluation"  # in that of the run; one folder per iteration in it
ROWS = "rows.jsonl"
Serve = Callable[[str, Path], AbstractContextManager[str]]
Connect = Callable[[str], Client]


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """Settings of the evaluation of a run."""

    arms: Sequence[Arm]
    datasets: Sequence[Dataset]
    iterations: Sequence[int] = ()  # 0: before the training; empty: 0 and all that are finished
    answers: RunSettings = field(default_factory=RunSettings)
    separate: bool = False  # serve the profiles of `write_separate`; without `iterations`: of the last finished one


def measure(
    directory: Path,
    settings: MeasureSettings,
    *,
    serve: Serve = served,
    connect: Connect = Client,
    say: Callable[[str], None] = print,
) -> int:
    """Evaluate the iterations of a run, one server after the other, and return the number of failed answers.

    An iteration whose answers are all there is not served again: the same command resumes an interrupted one.

    Args:
        directory: folder of the run.
        settings: recipes, questions and iterations.
        serve: starts a server with a profile and a file for its output, and stops it.
        connect: client of the server at a URL.
        say: prints one line per iteration.

    Raises:
        TrainingError: the folder holds no run, an iteration is not finished, or the server does not start.
        EvaluationError: the server has no such recipe, the folder holds answers of other settings, or programs in
            answers would have to be run, which is not allowed, or cannot be.
    """
    state, failed = read_state(directory), 0
    iterations = [
        (number, profile, folder_of(directory, number, settings.separate))
        for number, profile in _profiles(directory, state, settings)
    ]
    for _, _, out in iterations:
        check_manifest(out / MANIFEST, manifest(settings.arms, settings.datasets, settings.answers))
    asyncio.run(check_programs(settings.datasets, settings.answers.programs))
    for number, profile, out in iterations:
        if _complete(out, settings):
            say(f"iteration {number}: all answers are in {out}")
            continue
        say(f"iteration {number}: starting a server with profile {profile}; its output is in {out / 'server.log'}")
        with serve(profile, out / "server.log") as url:
            counts = asyncio.run(_asked(connect(url), settings, out))
        say(f"iteration {number}: {counts.asked} requested, {counts.failed} failed, {counts.kept} kept: {out / ROWS}")
        failed += counts.failed
    return failed


def iterations_of(state: RunState) -> list[int]:
    """Numbers of the finished iterations, behind 0 for the weights before any training."""
    return [BEFORE, *(one.number for one in state.iterations if one.finished)]


def folder_of(directory: Path, number: int, separate: bool = False) -> Path:
    """Folder of the answers of an iteration of the run in `directory`."""
    return directory / FOLDER / (f"{number}-{SEPARATE}" if separate else str(number))


def _profiles(directory: Path, state: RunState, settings: MeasureSettings) -> Iterator[tuple[int, str]]:
    known, chosen = iterations_of(state), settings.iterations
    if settings.separate:
        if BEFORE in chosen:
            raise TrainingError("Iteration 0 has no trained weights; leave it out with --separate.")
        for number in _checked(directory, known, chosen or known[-1:]):
            yield number, str(write_separate(directory, state, number).absolute())
        return
    for number in _checked(directory, known, chosen or known):
        path = directory / f"iteration-{number}" / "profile.yaml"
        yield number, str(state.settings["profile"]) if number == BEFORE else str(path.absolute())


def _checked(directory: Path, known: Sequence[int], chosen: Sequence[int]) -> Sequence[int]:
    if unknown := [number for number in chosen if number not in known]:
        names = ", ".join(map(str, known))
        raise TrainingError(f"Iteration {unknown[0]} of '{directory}' is not finished; choose among {names}.")
    return chosen


def _complete(out: Path, settings: MeasureSettings) -> bool:
    done = {row.key for row in read_rows(out / ROWS, Row) if row.done}
    return all(job.key in done for job in plan(settings.arms, settings.datasets, settings.answers.samples))


async def _asked(client: Client, settings: MeasureSettings, out: Path) -> Counts:
    with Bar("answer") as bar:
        async with client:
            return await run(
                client,
                settings.arms,
                settings.datasets,
                settings.answers,
                out,
                lambda row: bar.step(failed=not row.done, label=row.arm),
                bar.start,
            )
