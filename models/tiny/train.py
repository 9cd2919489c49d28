"""Train the trio from seeds: `python -m models.tiny.train`.

Each of the stages reads the results of the previous one from `build/tiny/`:

  direct      trains each model to answer questions
  propose     samples each model's answers to training questions, as a proposer's
  aggregate   trains each model to answer with such proposals as references
  advise      samples each model's answers to training questions and to tasks that need a tool or a thought
  act         teaches two models tools and one of them to think
  settle      brings their other skills back; writes `models/tiny/weights/`

The models of a stage are trained in parallel, each in a process with one thread: models of this size gain little from a
second thread.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from resource import RUSAGE_CHILDREN, getrusage
from typing import TYPE_CHECKING

from models.tiny.families import FAMILIES
from serving.command_line import CommandLine

if TYPE_CHECKING:
    from models.tiny.curriculum import Curriculum

STAGES = ("direct", "propose", "aggregate", "advise", "act", "settle")  # functions of `models.tiny.stages`


def side_by_side(work: Callable[["Curriculum"], None], curricula: Sequence["Curriculum"]) -> None:
    """Call `work` for each model in its own process."""
    import torch

    with ProcessPoolExecutor(
        len(curricula), mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as processes:
        list(processes.map(work, curricula))


def main() -> None:
    """Run the chosen stages."""
    parser = CommandLine(prog="python -m models.tiny.train", description=__doc__)
    parser.add_argument(
        "--stages",
        nargs="+",
        choices=STAGES,
        default=STAGES,
        metavar="STAGE",
        help=f"{', '.join(STAGES)}; default: all",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        choices=FAMILIES,
        default=tuple(FAMILIES),
        metavar="MODEL",
        help=f"{', '.join(FAMILIES)}; default: all",
    )
    parser.add_argument("--seed", type=int, default=1, help="default: 1, that of the committed weights")
    options = parser.parse_args()
    from models.tiny import stages  # imports torch, which takes seconds
    from models.tiny.curriculum import CURRICULA

    chosen = [each for each in CURRICULA if each.family.name in options.models]
    stages.BUILD.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for stage in STAGES:
        if stage in options.stages:
            if stage == "aggregate":
                print(f"accuracy of the proposals: {stages.read_pool(options.seed).accuracy()}", flush=True)
            side_by_side(partial(getattr(stages, stage), options.seed), chosen)
            used_s = sum(getrusage(RUSAGE_CHILDREN)[:2])
            print(f"\n{stage} done after {(time.monotonic() - began) / 60:.1f} min", end=" ")
            print(f"({used_s / 60:.1f} min of CPU time)", flush=True)


if __name__ == "__main__":
    main()
