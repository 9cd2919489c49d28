"""Settings that the options of `python -m training optima` make."""

import argparse

from evaluation.programs import limits_of
from training.access import Access
from training.arguments import option_name
from training.errors import TrainingError
from training.generation import GenerationSettings
from training.reward import RewardSettings
from training.selection import SelectionSettings
from training.settings import OptimaSettings
from training.trainer_settings import TrainerSettings
from training.tree import PairSettings


def settings_of(options: argparse.Namespace) -> tuple[OptimaSettings, Access]:
    """Settings of the options. Raises `TrainingError` or `EvaluationError` if two of them contradict each other."""
    _check(options)
    given = {name: getattr(options, name) for name in ("lambda_token", "lambda_loss", "alpha", "beta", "gamma")}
    reward = RewardSettings(form=options.reward, **{name: value for name, value in given.items() if value is not None})
    settings = OptimaSettings(
        recipe=options.recipe,
        dataset=options.dataset,
        profile=options.profile,
        out=options.out,
        method=options.method,
        iterations=options.iterations,
        start=options.start,
        limit=options.limit,
        formats=options.formats == "varied",
        branches=options.branches,
        task_reward=options.task_reward,
        judge=options.judge,
        programs=limits_of(options),
        models=tuple(options.models),
        ray_workers=options.ray_workers,
        generation=GenerationSettings(
            samples=options.samples,
            concurrency=options.concurrency,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            seed=options.seed,
        ),
        reward=reward,
        selection=SelectionSettings(options.threshold, options.min_task, options.best, keep_share=options.keep_share),
        pairs=PairSettings(options.gap, options.min_chosen),
        trainer=TrainerSettings(
            epochs=options.epochs,
            max_steps=options.max_steps or -1,
            learning_rate=options.learning_rate,
            dpo_learning_rate=options.dpo_learning_rate,
            batch_size=options.batch_size,
            max_tokens=options.max_length,
            lora_rank=options.lora_rank,
            seed=options.seed,
        ),
    )
    return settings, Access(options.url, options.api_key_env, options.timeout)


def _check(options: argparse.Namespace) -> None:
    if (options.task_reward == "judge") != (options.judge is not None):
        raise TrainingError("Give --task-reward judge and --judge MODEL together, or neither.")
    if options.run_programs and options.task_reward == "judge":
        raise TrainingError("--run-programs has no effect with --task-reward judge; leave it out.")
    other = {"optima": ("alpha", "beta", "gamma"), "weighted": ("lambda_token", "lambda_loss")}[options.reward]
    if wrong := [name for name in other if getattr(options, name) is not None]:
        raise TrainingError(f"{option_name(wrong[0])} has no effect with --reward {options.reward}; leave it out.")
