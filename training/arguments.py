"""Options of `python -m training optima`. `settings_of_options` makes settings of them, which takes torch."""

import argparse
from collections.abc import Callable
from pathlib import Path

from training.reward import RewardSettings
from training.task_reward import KINDS
from training.trainer_settings import TrainerSettings


def add_optima(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run = parser.add_argument_group("run")
    run.add_argument("--recipe", required=True, help="recipe of the profile: debate, plan, moa-lite, rank, ...")
    run.add_argument("--dataset", required=True, help="training questions: PATH, or KIND=PATH as in 'evaluation run'")
    run.add_argument("--out", type=Path, required=True, help="folder of the run; the same command resumes it")
    run.add_argument("--method", choices=("isft", "idpo", "hybrid"), default="isft", help="default: isft")
    run.add_argument("--iterations", type=_at_least(1), default=3, help="default: 3")
    run.add_argument("--limit", type=_at_least(1), help="so many questions, spread over the file (default: all)")
    run.add_argument("--profile", default="tiny", help="name or path of the profile to train (default: tiny)")
    run.add_argument("--models", type=_names, default=(), help="comma-separated models to train (default: all)")

    server = parser.add_argument_group("server")
    server.add_argument(
        "--url",
        help="server to ask; after each iteration, start it with that iteration's profile and run the command again"
        " (default: a server is started for each iteration, and stopped before the training)",
    )
    server.add_argument("--api-key-env", default="MOA_API_KEY", help="environment variable of the API key")
    server.add_argument("--timeout", type=_above(0), default=600.0, metavar="S", help="of an answer (default: 600)")
    server.add_argument("--concurrency", type=_at_least(1), default=8, help="requests at a time (default: 8)")

    answers = parser.add_argument_group("answers")
    answers.add_argument("--samples", type=_at_least(2), default=8, help="answers to each question (default: 8)")
    answers.add_argument("--temperature", type=_above(0), default=1.0, help="default: 1")
    answers.add_argument("--max-tokens", type=_at_least(1), help="of each answer (default: the recipe's limits)")
    answers.add_argument("--seed", type=_at_least(0), default=1, help="default: 1")
    answers.add_argument(
        "--formats",
        choices=("varied", "none"),
        default="varied",
        help="varied: the first iteration asks for different ways of writing (default); none: it does not",
    )
    answers.add_argument(
        "--branches", type=_at_least(0), default=4, help="further answers to each question from the tree, for DPO"
    )

    reward = parser.add_argument_group("reward")
    reward.add_argument("--task-reward", choices=KINDS, default="dataset", help="default: the dataset's own scorer")
    reward.add_argument("--judge", metavar="MODEL", help="served model that grades; with --task-reward judge")
    reward.add_argument("--reward", choices=("optima", "weighted"), default="optima", help="default: optima")
    defaults = RewardSettings()
    for name in ("lambda_token", "lambda_loss", "alpha", "beta", "gamma"):
        value = getattr(defaults, name)
        form = "optima" if name.startswith("lambda") else "weighted"
        reward.add_argument(option_name(name), type=_from(0), help=f"weight of the form '{form}' (default: {value:g})")

    selection = parser.add_argument_group("selection")
    selection.add_argument("--threshold", type=float, default=0.5, help="smallest reward, for SFT (default: 0.5)")
    selection.add_argument(
        "--min-task", type=_from(0), default=0.5, help="smallest task reward, for SFT (default: 0.5)"
    )
    selection.add_argument("--best", type=_at_least(1), default=1, help="answers per question, for SFT (default: 1)")
    selection.add_argument("--keep-share", type=_share, default=0.7, help="share of the best, for SFT (default: 0.7)")
    selection.add_argument("--gap", type=_above(0), default=0.2, help="smallest gap of a pair, for DPO (default: 0.2)")
    selection.add_argument(
        "--min-chosen", type=float, default=0.5, help="smallest better value, for DPO (default: 0.5)"
    )

    trainer = parser.add_argument_group("training")
    given = TrainerSettings()
    trainer.add_argument("--epochs", type=_above(0), default=given.epochs, help="default: 1")
    trainer.add_argument("--max-steps", type=_at_least(1), help="steps of each training, instead of epochs")
    trainer.add_argument("--learning-rate", type=_above(0), default=given.learning_rate, help="of SFT (default: 2e-5)")
    trainer.add_argument("--dpo-learning-rate", type=_above(0), default=given.dpo_learning_rate, help="default: 5e-7")
    trainer.add_argument("--batch-size", type=_at_least(1), default=given.batch_size, help="examples (default: 8)")
    trainer.add_argument("--max-length", type=_at_least(16), default=given.max_tokens, help="tokens (default: 2048)")
    trainer.add_argument("--lora-rank", type=_at_least(0), default=0, help="train adapters; 0: all weights (default)")
    trainer.add_argument("--ray-workers", type=_at_least(0), default=0, help="of Ray Train (default: 0, no Ray)")


def option_name(name: str) -> str:
    """Name on the command line of the option that is stored as `name`."""
    return f"--{name.replace('_', '-')}"


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}")
        return int(text)

    return number


def _float(text: str, allowed: Callable[[float], bool], sentence: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not allowed(value):
        raise argparse.ArgumentTypeError(sentence)
    return value


def _above(least: float) -> Callable[[str], float]:
    return lambda text: _float(text, lambda value: least < value < float("inf"), f"must be a number above {least:g}")


def _from(least: float) -> Callable[[str], float]:
    sentence = f"must be a number of at least {least:g}"
    return lambda text: _float(text, lambda value: least <= value < float("inf"), sentence)


def _share(text: str) -> float:
    return _float(text, lambda value: 0 < value <= 1, "must be a number above 0 and at most 1")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
