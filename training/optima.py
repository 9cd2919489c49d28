"""The loop of Optima: generate, rank, select, train; each step is skipped once it is done."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

from evaluation.items import Item
from evaluation.programs import check_programs
from evaluation.progress import Bar
from evaluation.sandbox import Sandbox
from serving.recipes.judging import VERDICT
from training.access import Access
from training.branching import BranchJob, branch_out
from training.client import TracingClient
from training.dataset import load_questions
from training.errors import TrainingError
from training.example import Example, PairExample
from training.examples import examples, pair_examples
from training.generation import generate, read_trajectories
from training.job import TrainingJob, finished_result, replaced, run_job, write_examples
from training.loss import BaseModel
from training.profiles import trained_profile, write_profile
from training.prompts import ModelText
from training.scoring import LOSSES, TASKS, Ranked, by_question, kept_scores, ranked, score_losses, score_tasks
from training.selection import selected, taught_turns
from training.server import served
from training.settings import OptimaSettings
from training.state import IterationState, RunState, open_state, save_state
from training.task_reward import TaskReward
from training.team import Team, load_team
from training.trainer_settings import WEIGHTS
from training.trajectory import Trajectory
from training.tree import branches, pairs

PROFILE = "profile.yaml"
Launch = Callable[[TrainingJob], dict[str, float]]


class Optima:
    """One run, resumed from its folder."""

    def __init__(self, settings: OptimaSettings, access: Access, say: Callable[[str], None] = print) -> None:
        """Load profile, recipe, tokenizers and questions, and open the run's folder.

        Raises:
            TrainingError: one of them cannot be loaded, or the folder holds a run with other settings.
            EvaluationError: programs in answers would have to be run, which is not allowed, or cannot be.
        """
        self.settings, self.access, self.say = settings, access, say
        self.team: Team = load_team(settings.profile, settings.recipe)
        data = load_questions(settings.dataset, settings.limit, settings.task_reward)
        if settings.task_reward != "judge":
            asyncio.run(check_programs([data], settings.programs))
        self.items: dict[str, Item] = {item.id: item for item in data.items}
        names = self.team.trained(settings.models)
        if settings.trainer.lora_rank:
            self.team.check_adapters(names)
        self.texts = {name: ModelText(self.team.models[name]) for name in names}
        self.state: RunState = open_state(settings.out, settings.kept(data.sha256))

    def run(self, launch: Launch = run_job) -> None:
        """Run all iterations that are not finished. Raises `TrainingError`."""
        for number in range(1, self.settings.iterations + 1):
            found = self.state.iteration(number)
            if found is None:
                found = IterationState(number=number, method=self.settings.method_of(number))
            if "generate" not in found.steps:
                found = self._done(found, "generate", self._generate(found))
            if "select" not in found.steps:
                found = self._done(found, "select", self._select(found))
            found = self._train(found, launch)
            if not found.finished:
                self._done(found, "profile", self._profile(found))

    def _done(self, one: IterationState, step: str, counts: dict[str, Any]) -> IterationState:
        changed = one.model_copy(update={"steps": {**one.steps, step: counts}})
        self._keep(changed)
        shown = ", ".join(f"{name} {value}" for name, value in counts.items())
        self.say(f"iteration {one.number}, {step}: {shown}")
        return changed

    def _keep(self, one: IterationState) -> None:
        self.state = self.state.with_iteration(one)
        save_state(self.settings.out, self.state)

    def folder(self, number: int) -> Path:
        """Folder of an iteration."""
        return self.settings.out / f"iteration-{number}"

    # -- generate --------------------------------------------------------------------------------------------

    def _generate(self, one: IterationState) -> dict[str, Any]:
        """Sample and score all trajectories of the iteration, over the server with the weights before it."""
        with self._server(one.number) as url:
            trajectories, scores = asyncio.run(self._sampled(url, one))
        return counts_of(trajectories, scores)

    def _server(self, number: int) -> AbstractContextManager[str]:
        if self.access.url is not None:
            return nullcontext(self.access.url)
        before = self.folder(number - 1) / PROFILE if number > 1 else Path(self.settings.profile)
        profile = str(before.absolute()) if before.suffix in (".yaml", ".yml") else self.settings.profile
        log = self.folder(number) / "server.log"
        self.say(f"iteration {number}: starting a server with profile {profile}; its output is in {log}")
        return served(profile, log)

    async def _sampled(self, url: str, one: IterationState) -> tuple[list[Trajectory], list[Ranked]]:
        folder, number = self.folder(one.number), one.number
        version = {"training": self.state.version(number - 1)} if number > 1 else {}
        settings = replace(
            self.settings.generation,
            varied_formats=self.settings.formats and number == 1,
            seed=self.settings.generation.seed + 1000 * (number - 1),
        )
        async with self.access.client(url) as client:
            await client.check(self.settings.recipe, version, str(self.folder(number - 1) / PROFILE))
            with Bar("answer", f"iteration {number}: answers") as bar:
                found = await generate(
                    client,
                    self.team,
                    self.texts,
                    list(self.items.values()),
                    settings,
                    folder / "trajectories.jsonl",
                    lambda trajectory: bar.step(failed=not trajectory.usable),
                    bar.start,
                )
            scores = await self._scored(client, found, folder)
            if one.method == "dpo" and self.settings.branches:
                jobs = self._branch_jobs(scores)
                with Bar("branch", f"iteration {number}: branches") as bar:
                    found += await branch_out(
                        self.access.upstream(client.url),
                        self.team,
                        self.texts,
                        jobs,
                        settings,
                        folder / "branches.jsonl",
                        lambda trajectory: bar.step(failed=not trajectory.usable),
                        bar.start,
                    )
                scores = await self._scored(client, found, folder)
        return found, scores

    def _branch_jobs(self, scores: Sequence[Ranked]) -> list[BranchJob]:
        return [
            BranchJob(self.items[question], self.settings.generation.samples + place, branch)
            for question, group in by_question(scores).items()
            for place, branch in enumerate(branches(group, self.settings.branches))
        ]

    async def _scored(self, client: TracingClient, found: Sequence[Trajectory], folder: Path) -> list[Ranked]:
        async def ask_judge(prompt: str) -> str:
            return (await client.ask(self.settings.judge or "", [{"role": "user", "content": prompt}], **VERDICT)).text

        programs = self.settings.programs
        reward = TaskReward(self.settings.task_reward, ask_judge, None if programs is None else Sandbox(programs))
        with Bar("answer", "task rewards") as bar:
            tasks = await score_tasks(
                found,
                self.items,
                reward,
                folder / TASKS,
                concurrency=self.settings.generation.concurrency,
                progress=bar.step,
                started=bar.start,
            )
        losses: dict[str, float] = {}
        if self.settings.reward.needs_loss:
            with Bar("text", "losses") as bar:
                losses = await asyncio.to_thread(
                    score_losses, found, self.texts, self._base, folder / LOSSES, progress=bar.step, started=bar.start
                )
        return ranked(found, tasks, losses, self.settings.reward)

    def _base(self, model: str) -> BaseModel:
        """Weights of a model before any training."""
        return BaseModel(self.team.base_of(model), trusted=self.team.trusts(model))

    # -- select ----------------------------------------------------------------------------------------------

    def _select(self, one: IterationState) -> dict[str, Any]:
        """Write the examples of each model. Raises `TrainingError` if there are none."""
        folder = self.folder(one.number)
        found = read_trajectories(folder / "trajectories.jsonl") + read_trajectories(folder / "branches.jsonl")
        scores = ranked(found, *kept_scores(folder), self.settings.reward)
        most = self.settings.trainer.max_tokens
        rows: dict[str, list[Example]] | dict[str, list[PairExample]]
        if one.method == "sft":
            reward = TaskReward(self.settings.task_reward)
            chosen = selected(scores, self.settings.selection, len(self.items))
            turns = [
                turn
                for best in chosen
                for turn in taught_turns(best, lambda question, text: reward.pure(self.items[question], text))
            ]
            rows = examples(turns, self.texts, most)
            counts: dict[str, Any] = {"trajectories": len(chosen)}
            advice = "lower --threshold or --min-task"
        else:
            preferred = pairs(scores, self.settings.pairs)
            rows = pair_examples(preferred, self.texts, most)
            counts, advice = {"pairs": len(preferred)}, "lower --gap or --min-chosen, or raise --samples"
        if not rows:
            raise TrainingError(f"Iteration {one.number} has nothing to train on; {advice}, in another --out.")
        for model, data in rows.items():
            write_examples(folder / "models" / model / "data.jsonl", data)
        return counts | {"examples": {model: len(data) for model, data in rows.items()}}

    # -- train -----------------------------------------------------------------------------------------------

    def _train(self, one: IterationState, launch: Launch) -> IterationState:
        """Train each model with examples, one after the other."""
        trained = dict(one.steps.get("train", {}))
        start = self.state.weights_before(one.number) if self.settings.start == "previous" else {}
        for model in self.texts:
            out = self.folder(one.number) / "models" / model
            if model in trained or not (count := one.steps["select"]["examples"].get(model)):
                continue
            before = start.get(model)
            lora = bool(self.settings.trainer.lora_rank)
            job = TrainingJob(
                method=one.method,
                base=self.team.base_of(model) if lora or before is None else before,
                adapter=before if lora else None,
                trusted=self.team.trusts(model),
                data=str(out / "data.jsonl"),
                out=str(out),
                settings=asdict(self.settings.trainer),
            )
            replaced(out / "job.json", job.model_dump_json(indent=2) + "\n")
            self.say(f"iteration {one.number}: training {model} ({one.method}, {count} examples)")
            trained[model] = finished_result(job) or launch(job)
            one = one.model_copy(
                update={
                    "steps": {**one.steps, "train": trained},
                    "weights": {**one.weights, model: str((out / WEIGHTS).absolute())},
                }
            )
            self._keep(one)
        return one

    def _profile(self, one: IterationState) -> dict[str, Any]:
        path = self.folder(one.number) / PROFILE
        weights = {name: Path(folder) for name, folder in self.state.weights_before(one.number + 1).items()}
        version = self.state.version(one.number)
        write_profile(path, trained_profile(self.settings.profile, weights, version, one.number))
        return {"path": str(path)}


def counts_of(trajectories: Sequence[Trajectory], scores: Sequence[Ranked]) -> dict[str, Any]:
    """Counts of an iteration's samples. Means are over whole samples, without branches, before its training."""
    whole = [one for one in scores if one.trajectory.branch_of is None]
    found: dict[str, Any] = {
        "answers": len(trajectories),
        "failed": sum(one.error is not None for one in trajectories),
        "unusable": sum(one.unusable is not None for one in trajectories),
    }
    if not whole:
        reasons = sorted({one.error or one.unusable or "it has no task reward" for one in trajectories})
        raise TrainingError(
            f"No answer can be ranked: {'; '.join(reasons[:3])}. Correct the cause and choose another --out."
        )
    return found | {
        "mean_task": round(mean(one.task for one in whole), 4),
        "mean_tokens": round(mean(one.trajectory.tokens or 0 for one in whole), 2),
        "mean_reward": round(mean(one.reward for one in whole), 4),
    }
