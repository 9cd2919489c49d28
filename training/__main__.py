"""Command line of the training: optima, profile, evaluate, table."""

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from evaluation.errors import EvaluationError
from serving.command_line import CommandLine
from training.arguments import add_evaluate, add_optima
from training.errors import TrainingError
from training.separate import write_separate
from training.state import read_state


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code: 2 after a `TrainingError`, 130 after Ctrl-C."""
    options = _parser().parse_args(argv)
    before = signal.signal(signal.SIGTERM, _interrupt)  # so that a server that was started is stopped
    try:
        return int(options.command(options))
    except (TrainingError, EvaluationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to resume", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Act as Ctrl-C does: asyncio then ends its tasks first. A background job of a shell ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="python -m training", description="Train a team on its own answers (Optima).")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    training = commands.add_parser("optima", help="generate, rank, select and train, for several iterations")
    training.set_defaults(command=_optima)
    add_optima(training)

    profile = commands.add_parser("profile", help="write the profile that serves a finished iteration")
    profile.set_defaults(command=_profile)
    profile.add_argument("directory", type=Path, help="the --out of the run")
    profile.add_argument("--iteration", type=int, help="default: the last finished one")
    profile.add_argument("--out", type=Path, help="YAML file to write (default: only print the path of the profile)")
    profile.add_argument(
        "--separate",
        action="store_true",
        help="serve the trained weights under ids of their own, MODEL-RECIPE, which only the trained recipe asks",
    )

    measuring = commands.add_parser(
        "evaluate", help="serve a run's iterations, and have them answer held-out questions"
    )
    measuring.set_defaults(command=_evaluate)
    add_evaluate(measuring)

    table = commands.add_parser("table", help="print the accuracy and tokens of evaluated runs as Markdown")
    table.set_defaults(command=_table)
    table.add_argument("directories", type=Path, nargs="+", metavar="RUN", help="the --out of a run")
    return parser


def _evaluate(options: argparse.Namespace) -> int:
    from evaluation.arms import checked, from_names
    from evaluation.datasets.loading import load_all
    from evaluation.programs import limits_of
    from evaluation.runner import RunSettings
    from training.measurement import MeasureSettings, measure

    sampling = {name: getattr(options, name) for name in ("temperature", "max_tokens")}
    settings = MeasureSettings(
        arms=checked(from_names(options.recipes)),
        datasets=load_all(options.dataset or ["tiny"], options.limit, None, None),
        iterations=options.iterations or (),
        separate=options.separate,
        answers=RunSettings(
            concurrency=options.concurrency,
            sampling={name: value for name, value in sampling.items() if value is not None},
            seed=options.seed,
            programs=limits_of(options),
        ),
    )
    return 1 if measure(options.directory, settings) else 0


def _table(options: argparse.Namespace) -> int:
    from training.tables import run_tables  # SciPy takes seconds to import

    print("\n".join(table.markdown() for table in run_tables(options.directories)))
    return 0


def _optima(options: argparse.Namespace) -> int:
    from training.optima import Optima  # torch and TRL take seconds to import
    from training.settings_of_options import settings_of

    settings, access = settings_of(options)
    optima = Optima(settings, access)
    if settings.ray_workers:
        from training.ray import run_on_ray

        optima.run(lambda job: run_on_ray(job, settings.ray_workers))
    else:
        optima.run()
    print(f"Serve the trained team: python -m deployments.start profile={_path(settings.out, settings.iterations)}")
    return 0


def _profile(options: argparse.Namespace) -> int:
    state = read_state(options.directory)
    finished = [one.number for one in state.iterations if one.finished]
    if not finished:
        raise TrainingError(
            f"No iteration of '{options.directory}' is finished; run 'python -m training optima' again."
        )
    number = options.iteration or finished[-1]
    if number not in finished:
        known = ", ".join(map(str, finished))
        raise TrainingError(f"Iteration {number} of '{options.directory}' is not finished; finished are: {known}.")
    if options.out is not None and options.out.suffix not in (".yaml", ".yml"):
        raise TrainingError(f"--out {options.out} must end in .yaml, as a profile does.")
    if options.separate:
        print(write_separate(options.directory, state, number, options.out))
        return 0
    path = _path(options.directory, number)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, options.out)
        path = options.out
    print(path)
    return 0


def _path(folder: Path, number: int) -> Path:
    return folder / f"iteration-{number}" / "profile.yaml"


if __name__ == "__main__":
    sys.exit(main())
