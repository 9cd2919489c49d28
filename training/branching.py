"""Branches of the search tree: the recipe runs again, keeps the first turns of a trajectory and samples the others.

The server cannot begin in the middle of a recipe. The recipe's own code therefore runs here, over the server's models.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from serving.engine import Engine, EngineInfo, complete
from serving.engines.openai import OpenAIEngine
from serving.errors import MoaError
from serving.orchestrator import Orchestrator
from serving.replay.rebuilding import Mismatch, delta_of, orchestrator_of, place_of
from serving.replay.score import Place, Score
from serving.replay.traced import READY, TracedCall, total
from serving.types import AgentTrace, Completion, Delta, GenerateRequest
from training.formats import asked
from training.generation import GenerationSettings, Job, Progress, run_missing, sampling_of, with_turns
from training.prompts import ModelText
from training.replay import check_length, request_of, turn_of
from training.team import Team
from training.trajectory import Trajectory, Turn
from training.tree import Branch


@dataclass(frozen=True, slots=True)
class BranchJob(Job):
    """One trajectory to sample, from its branch on."""

    branch: Branch


@dataclass(frozen=True, slots=True)
class Upstream:
    """The server whose models are asked."""

    url: str  # its root, without /v1
    api_key_env: str  # used if the variable is set
    timeout_s: float = 600.0  # of a whole trajectory
    transport: httpx.AsyncBaseTransport | None = None  # replaces the network in tests

    def engine(self, model: str, info: EngineInfo) -> OpenAIEngine:
        """The server's model as an engine."""
        return OpenAIEngine(
            model,
            f"{self.url}/v1",
            api_key_env=self.api_key_env if os.environ.get(self.api_key_env) else None,
            silence_timeout_s=self.timeout_s,
            context_tokens=info.context_tokens,
            thinking=info.thinking,
            transport=self.transport,
        )


class BranchEngine(Engine):
    """Says the kept turns again, and asks the server's model for all others."""

    def __init__(
        self, model: str, info: EngineInfo, kept: Score, upstream: Engine, requests: dict[Place, GenerateRequest]
    ) -> None:
        self.model, self._info, self._kept, self._upstream, self._requests = model, info, kept, upstream, requests

    @property
    def info(self) -> EngineInfo:
        return self._info

    async def check_health(self) -> None:
        """Return at once."""

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The kept text of the place, or the model's own stream."""
        place = place_of(request)
        self._requests[place] = request
        kept = self._kept.calls.get(place)
        if kept is not None and kept.model == self.model:
            yield delta_of(await self._kept.play(place))
            return
        async with aclosing(self._upstream.generate(replace(request, user=None, session=None))) as stream:
            async for delta in stream:
                yield delta


async def branch_out(
    upstream: Upstream,
    team: Team,
    texts: Mapping[str, ModelText],
    jobs: Sequence[BranchJob],
    settings: GenerationSettings,
    path: Path,
    progress: Progress = lambda trajectory: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> list[Trajectory]:
    """Sample the trajectories of `jobs` that `path` lacks, and return all that it has; as `run_missing`."""
    async with AsyncExitStack() as stack:
        engines = {name: upstream.engine(name, info) for name, info in team.infos().items()}
        for engine in engines.values():
            stack.push_async_callback(engine.aclose)

        async def work(job: BranchJob) -> Trajectory:
            return await branched(engines, team, texts, job, settings, upstream.timeout_s)

        return await run_missing(jobs, work, settings, path, progress, started)


async def branched(
    upstream: Mapping[str, Engine],
    team: Team,
    texts: Mapping[str, ModelText],
    job: BranchJob,
    settings: GenerationSettings,
    timeout_s: float,
) -> Trajectory:
    """Sample one trajectory; errors are in it."""
    origin = job.branch.origin.trajectory
    found = Trajectory(
        question=job.item.id,
        sample=job.sample,
        format=origin.format,
        branch_of=origin.sample,
        kept_turns=len(job.branch.kept),
    )
    kept, requests = Score(call_of(turn) for turn in job.branch.kept), dict[Place, GenerateRequest]()
    engines: dict[str, Engine] = {
        name: BranchEngine(name, info, kept, upstream[name], requests) for name, info in team.infos().items()
    }
    sampling = sampling_of(settings, job.item.id, job.sample)
    request = request_of(asked(job.item.turns[0], origin.format), sampling)
    try:
        async with asyncio.timeout(timeout_s):
            done = await complete(team.recipe.id, _orchestrator(team, engines).engines[team.recipe.id], request)
    except (MoaError, TimeoutError) as error:
        return found.model_copy(update={"error": str(error) or f"Timed out after {timeout_s:g} s."})
    try:
        turns = turns_of(team, texts, done, requests, kept)
    except Mismatch as error:
        return found.model_copy(update={"text": done.text, "unusable": str(error)})
    tokens = total(turn.completion_tokens for turn in turns)
    return with_turns(found.model_copy(update={"text": done.text, "tokens": tokens}), turns, origin.format)


def _orchestrator(team: Team, engines: Mapping[str, Engine]) -> Orchestrator:
    return orchestrator_of(team.recipes, team.profile.orchestrator.limits, engines)


def turns_of(
    team: Team,
    texts: Mapping[str, ModelText],
    done: Completion,
    requests: Mapping[Place, GenerateRequest],
    kept: Score,
) -> list[Turn]:
    """Turns of a run over the server's models. Raises `Mismatch` if it cannot be trained on."""
    assert done.report is not None
    if set(kept.started) != set(kept.calls):
        raise Mismatch("the recipe did not ask for all kept turns again")
    turns = []
    for trace in sorted(done.report.agents, key=lambda one: one.started_s):
        call = traced(trace)
        if call.outcome not in READY or call.shortened:
            raise Mismatch(f"'{call.model}' ({call.role}) ended as '{call.outcome}' or read shortened references")
        turn = turn_of(team, call, requests[call.place])
        if call.place not in kept.calls:
            check_length(turn, texts)
        turns.append(turn)
    return turns


def call_of(turn: Turn) -> TracedCall:
    """A kept turn as a recorded call."""
    return TracedCall(
        turn.layer,
        turn.agent,
        turn.role,
        turn.model,
        "ok" if turn.text.strip() else "empty",
        turn.text,
        turn.reasoning,
        turn.finish_reason,
        turn.prompt_tokens,
        turn.completion_tokens,
        0,
        turn.started_ms,
        turn.ended_ms,
    )


def traced(trace: AgentTrace) -> TracedCall:
    """An agent of a report as the API's trace has it."""
    started_ms = trace.started_s * 1000
    return TracedCall(
        trace.layer,
        trace.agent,
        trace.role,
        trace.model,
        trace.status,
        trace.text,
        trace.reasoning,
        trace.finish_reason,
        trace.usage.prompt_tokens,
        trace.usage.completion_tokens,
        trace.shortened,
        started_ms,
        started_ms + (trace.elapsed_s or 0) * 1000,
    )
