"""Generation: several samples for each question, from the running server, kept as JSONL."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.concurrency import run_all
from evaluation.items import Item
from evaluation.store import Appender, read_rows
from training.client import AskFailed, Client
from training.errors import TrainingError
from training.formats import asked, format_of, without_format
from training.prompts import ModelText
from training.replay import Mismatch, rebuilt
from training.team import Team
from training.trajectory import Trajectory, Turn, trajectory_key

Progress = Callable[[Trajectory], None]


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """Settings of the samples."""

    samples: int = 8  # for each question
    concurrency: int = 8  # requests at a time
    temperature: float = 1.0
    max_tokens: int | None = None  # of each answer; None: the recipe's own limits
    seed: int = 1  # each question and sample derives its own
    varied_formats: bool = False
    max_failures: int = 20  # consecutive failures that end the command


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to request."""

    item: Item
    sample: int


def sampling_of(settings: GenerationSettings, question: str, sample: int) -> dict[str, Any]:
    """Sampling of one request. The seed depends on question and sample, so that no two draw the same numbers."""
    digest = hashlib.sha256(f"{settings.seed}/{question}/{sample}".encode()).digest()
    fields: dict[str, Any] = {"temperature": settings.temperature, "seed": int.from_bytes(digest[:4], "big") >> 1}
    return fields if settings.max_tokens is None else {**fields, "max_tokens": settings.max_tokens}


async def generate(
    client: Client,
    team: Team,
    texts: Mapping[str, ModelText],
    items: Sequence[Item],
    settings: GenerationSettings,
    path: Path,
    progress: Progress = lambda trajectory: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> list[Trajectory]:
    """Request the samples that `path` lacks, and return all of the questions.

    Each trajectory is on disk before its worker's next request: an interrupted run loses none, and the same call
    resumes it. A failed request is kept with its error, and sent again by the next call.

    Raises:
        TrainingError: `settings.max_failures` consecutive requests failed.
    """
    jobs = [Job(item, sample) for item in items for sample in range(settings.samples)]
    failures = 0
    with Appender(path) as appender:
        done = {one.key for one in read_rows(path, Trajectory) if one.done}
        missing = [job for job in jobs if trajectory_key(job.item.id, job.sample) not in done]
        started(len(jobs), len(jobs) - len(missing))

        async def work(job: Job) -> None:
            nonlocal failures
            trajectory = await sampled(client, team, texts, job, settings)
            appender.append(trajectory)
            progress(trajectory)
            failures = failures + 1 if trajectory.error else 0
            if failures >= settings.max_failures:
                raise TrainingError(
                    f"{failures} consecutive requests failed, the last with: {trajectory.error} Run the same command"
                    " again once the server has recovered."
                )

        await run_all(missing, work, settings.concurrency)
    return read_trajectories(path)


def read_trajectories(path: Path) -> list[Trajectory]:
    """Read a file of trajectories in a fixed order: by question, then by sample."""
    return sorted(read_rows(path, Trajectory), key=lambda one: (one.question, one.sample))


async def sampled(
    client: Client, team: Team, texts: Mapping[str, ModelText], job: Job, settings: GenerationSettings
) -> Trajectory:
    """Request one answer and rebuild its prompts; errors are in the trajectory."""
    item, name = job.item, format_of(job.sample, settings.varied_formats)
    sampling, messages = sampling_of(settings, item.id, job.sample), asked(item.turns[0], name)
    found = Trajectory(question=item.id, sample=job.sample, format=name)
    try:
        answer = await client.ask(team.recipe.id, messages, sampling)
    except AskFailed as error:
        return found.model_copy(update={"error": f"{str(error).rstrip('.')}."})
    found = found.model_copy(update={"text": answer.text, "tokens": answer.tokens})
    try:
        turns = await rebuilt(team, texts, messages, sampling, answer)
    except Mismatch as error:
        return found.model_copy(update={"unusable": str(error)})
    return with_turns(found, turns, name)


def with_turns(trajectory: Trajectory, turns: Sequence[Turn], name: str) -> Trajectory:
    """The trajectory with its turns, as they would be without the instruction of the format `name`."""
    if trajectory.tokens is None:
        return trajectory.model_copy(update={"unusable": "the number of its tokens is unknown"})
    plain = []
    for turn in turns:
        prompt = without_format(turn.prompt, name)
        if prompt is None:
            return trajectory.model_copy(update={"unusable": f"the format '{name}' stays in the prompt of a turn"})
        plain.append(turn.model_copy(update={"prompt": prompt, "prompt_tokens": None} if name else {}))
    return trajectory.model_copy(update={"turns": tuple(plain)})
