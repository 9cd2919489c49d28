"""Options of `python -m training optima` and `evaluate`. Settings are made of them elsewhere, which takes torch."""

import argparse
from pathlib import Path

from evaluation import programs
from evaluation.options import name, names, url
from serving.command_line import above, at_least
from training.reward import RewardSettings
from training.task_reward import KINDS
from training.trainer_settings import TrainerSettings


def add_optima(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run = parser.add_argument_group("run")
    run.add_argument(
        "--recipe", type=name, required=True, help="recipe of the profile: debate, plan, moa-lite, rank, ..."
    )
    run.add_argument("--dataset", required=True, help="training questions: PATH, or KIND=PATH as in 'evaluation run'")
    run.add_argument("--out", type=Path, required=True, help="folder of the run; the same command resumes it")
    run.add_argument("--method", choices=("isft", "idpo", "hybrid"), default="isft", help="default: isft")
    run.add_argument("--iterations", type=at_least(1, int, 1000), default=3, help="default: 3")
    run.add_argument(
        "--start",
        choices=("previous", "initial"),
        default="previous",
        help="weights from which each iteration trains: of the iteration before (default), or the untrained ones",
    )
    run.add_argument(
        "--limit", type=at_least(1, int, 10**9), help="so many questions, spread over the file (default: all)"
    )
    run.add_argument("--profile", default="tiny", help="name or path of the profile to train (default: tiny)")
    run.add_argument("--models", type=names, default=(), help="comma-separated models to train (default: all)")

    server = parser.add_argument_group("server")
    server.add_argument(
        "--url",
        type=url,
        help="server to ask; after each iteration, start it with that iteration's profile and run the command again"
        " (default: a server is started for each iteration, and stopped before the training)",
    )
    server.add_argument("--api-key-env", default="MOA_API_KEY", help="environment variable of the API key")
    server.add_argument(
        "--timeout", type=above(0, 604_800), default=600.0, metavar="S", help="of an answer (default: 600)"
    )
    server.add_argument("--concurrency", type=at_least(1, int, 4096), default=8, help="requests at a time (default: 8)")

    answers = parser.add_argument_group("answers")
    answers.add_argument(
        "--samples", type=at_least(2, int, 1000), default=8, help="answers to each question (default: 8)"
    )
    answers.add_argument("--temperature", type=above(0, 2), default=1.0, help="default: 1")
    answers.add_argument(
        "--max-tokens", type=at_least(1, int, 10_000_000), help="of each answer (default: the recipe's limits)"
    )
    answers.add_argument("--seed", type=at_least(0, int, 2**31 - 1), default=1, help="default: 1")
    answers.add_argument(
        "--formats",
        choices=("varied", "none"),
        default="varied",
        help="varied: the first iteration asks for different ways of writing (default); none: it does not",
    )
    answers.add_argument(
        "--branches",
        type=at_least(0, int, 1000),
        default=4,
        help="further answers to each question from the tree, for DPO",
    )

    reward = parser.add_argument_group("reward")
    reward.add_argument("--task-reward", choices=KINDS, default="dataset", help="default: the dataset's own scorer")
    reward.add_argument("--judge", metavar="MODEL", help="served model that grades; with --task-reward judge")
    programs.add_options(reward)
    reward.add_argument("--reward", choices=("optima", "weighted"), default="optima", help="default: optima")
    defaults = RewardSettings()
    for weight in ("lambda_token", "lambda_loss", "alpha", "beta", "gamma"):
        value = getattr(defaults, weight)
        form = "optima" if weight.startswith("lambda") else "weighted"
        reward.add_argument(
            option_name(weight), type=at_least(0, high=1000), help=f"weight of the form '{form}' (default: {value:g})"
        )

    selection = parser.add_argument_group("selection")
    selection.add_argument(
        "--threshold", type=at_least(-1000, high=1000), default=0.5, help="smallest reward, for SFT (default: 0.5)"
    )
    selection.add_argument(
        "--min-task", type=at_least(0, high=1), default=0.5, help="smallest task reward, for SFT (default: 0.5)"
    )
    selection.add_argument(
        "--best", type=at_least(1, int, 1000), default=1, help="answers per question, for SFT (default: 1)"
    )
    selection.add_argument(
        "--keep-share",
        type=above(0, 1),
        default=0.7,
        help="SFT keeps at most this share of all questions, times --best (default: 0.7)",
    )
    selection.add_argument(
        "--gap", type=above(0, 100), default=0.2, help="smallest gap of a pair, for DPO (default: 0.2)"
    )
    selection.add_argument(
        "--min-chosen",
        type=at_least(-1000, high=1000),
        default=0.5,
        help="smallest better value, for DPO (default: 0.5)",
    )

    trainer = parser.add_argument_group("training")
    given = TrainerSettings()
    trainer.add_argument("--epochs", type=above(0, 10_000), default=given.epochs, help="default: 1")
    trainer.add_argument("--max-steps", type=at_least(1, int, 10**9), help="steps of each training, instead of epochs")
    trainer.add_argument(
        "--learning-rate", type=above(0, 1), default=given.learning_rate, help="of SFT (default: 2e-5)"
    )
    trainer.add_argument("--dpo-learning-rate", type=above(0, 1), default=given.dpo_learning_rate, help="default: 5e-7")
    trainer.add_argument(
        "--batch-size", type=at_least(1, int, 4096), default=given.batch_size, help="examples (default: 8)"
    )
    trainer.add_argument(
        "--max-length", type=at_least(16, int, 10_000_000), default=given.max_tokens, help="tokens (default: 2048)"
    )
    trainer.add_argument(
        "--lora-rank", type=at_least(0, int, 4096), default=0, help="train adapters; 0: all weights (default)"
    )
    trainer.add_argument(
        "--ray-workers", type=at_least(0, int, 4096), default=0, help="of Ray Train (default: 0, no Ray)"
    )


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the options of `evaluate`."""
    parser.add_argument("directory", type=Path, metavar="RUN", help="the --out of the run")
    parser.add_argument("--recipes", required=True, help="comma-separated model or recipe ids")
    parser.add_argument(
        "--dataset", action="append", help="repeatable, as in 'evaluation run' (default: tiny, the held-out questions)"
    )
    parser.add_argument(
        "--iterations",
        type=numbers,
        help="comma-separated; 0: before the training (default: 0 and all finished ones)",
    )
    parser.add_argument(
        "--separate",
        action="store_true",
        help="serve the profiles of 'profile --separate', in which the other recipes keep the untrained weights"
        " (default: the last finished iteration)",
    )
    parser.add_argument("--limit", type=at_least(1, int, 10**9), metavar="N", help="N items of each dataset")
    parser.add_argument("--temperature", type=at_least(0, high=2), help="default: that of the recipe or model")
    parser.add_argument("--max-tokens", type=at_least(1, int, 10_000_000), help="default: that of the recipe or model")
    parser.add_argument("--seed", type=at_least(0, int, 2**31 - 1), default=1, help="default: 1")
    parser.add_argument("--concurrency", type=at_least(1, int, 4096), default=8, help="requests at a time (default: 8)")
    programs.add_options(parser)


def numbers(text: str) -> list[int]:
    """Parse comma-separated iterations. Raises `argparse.ArgumentTypeError`."""
    found = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 5 for part in found):
        raise argparse.ArgumentTypeError("must be whole numbers from 0, separated by commas")
    return sorted({int(part) for part in found})


def option_name(name: str) -> str:
    """Name on the command line of the option that is stored as `name`."""
    return f"--{name.replace('_', '-')}"
