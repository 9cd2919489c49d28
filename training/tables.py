"""Tables of finished runs: accuracy and tokens of each evaluated iteration, on the same questions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from evaluation.analysis.accuracy import ArmAccuracy, accuracy
from evaluation.analysis.cost import ArmCost, costs
from evaluation.rows import Row
from evaluation.store import read_answers, read_arms
from evaluation.tables import UNKNOWN, Cell, Table, number, percent
from training.debate_flow import debate_flow
from training.errors import TrainingError
from training.measurement import BEFORE, ROWS, folder_of, iterations_of
from training.profiles import SEPARATE
from training.state import RunState, read_state


@dataclass(frozen=True, slots=True)
class Stage:
    """One evaluated iteration of a run."""

    directory: Path
    state: RunState
    iteration: int
    rows: Sequence[Row]
    arms: Sequence[str]  # in the order of the commands
    accuracies: Mapping[str, ArmAccuracy]  # by arm
    costs: Mapping[str, ArmCost]
    separate: bool = False  # served under ids that only the trained recipe asks

    @property
    def labels(self) -> tuple[Cell, Cell]:
        """Name of the run's folder, and the iteration."""
        number = "before" if self.iteration == BEFORE else str(self.iteration)
        return Cell(self.directory.name), Cell(f"{number}, {SEPARATE}" if self.separate else number)

    @property
    def recipe(self) -> str:
        """The trained recipe."""
        return str(self.state.settings["recipe"])


def run_tables(directories: Sequence[Path]) -> list[Table]:
    """Tables of the runs: the trained recipe and its tasks, debates, all recipes, equal answers, and the training.

    Raises:
        TrainingError: a folder holds no run, or no iteration of it is evaluated.
        EvaluationError: an evaluation cannot be read.
    """
    stages = [stage for directory in directories for stage in _stages(directory)]
    found = [
        _trained(stages),
        _tasks(stages),
        _debates(stages),
        _recipes(stages),
        _equal(stages),
        _training(directories),
    ]
    return [table for table in found if table.rows]


def _stages(directory: Path) -> Iterator[Stage]:
    state, found = read_state(directory), False
    for iteration, separate in product(iterations_of(state), (False, True)):
        folder = folder_of(directory, iteration, separate)
        if (folder / ROWS).is_file():
            found, rows = True, read_answers(folder)
            rights = {entry.arm: entry for entry in accuracy(rows)}
            spent = {entry.arm: entry for entry in costs(rows)}
            yield Stage(directory, state, iteration, rows, read_arms(folder), rights, spent, separate)
    if not found:
        raise TrainingError(
            f"No iteration of '{directory}' is evaluated; run 'python -m training evaluate {directory} --recipes ...'."
        )


def _trained(stages: Sequence[Stage]) -> Table:
    body = []
    for stage in stages:
        right, cost = stage.accuracies.get(stage.recipe), stage.costs.get(stage.recipe)
        cells = (
            [UNKNOWN] * 3 if cost is None else [number(cost.completion_tokens), number(cost.tokens), number(cost.calls)]
        )
        overall = right.overall if right else None
        asked = UNKNOWN if overall is None else Cell(f"{overall.n:,}")
        body.append((*stage.labels, Cell(stage.recipe), asked, percent(overall), *cells))
    return Table(
        "The trained recipe",
        (
            "run",
            "iteration",
            "recipe",
            "questions",
            "accuracy, % [95%]",
            "generated tokens",
            "tokens with prompts",
            "calls",
        ),
        tuple(body),
        "Means per answer, over all agents. Intervals are Wilson's.",
    )


def _tasks(stages: Sequence[Stage]) -> Table:
    found = [(stage, stage.accuracies.get(stage.recipe)) for stage in stages]
    names = list(dict.fromkeys(name for _, entry in found if entry for name in entry.tasks))
    body = (
        (*stage.labels, *(percent(entry.tasks.get(name) if entry else None) for name in names))
        for stage, entry in found
    )
    return Table("The trained recipe by task, accuracy in % [95%]", ("run", "iteration", *names), tuple(body))


def _debates(stages: Sequence[Stage]) -> Table:
    body = []
    for stage in stages:
        flow = debate_flow([row for row in stage.rows if row.arm == stage.recipe])
        if flow is not None:
            shares = (flow.first_right, flow.accepted, flow.spoiled, flow.mended)
            counts = (flow.first_tokens, flow.verdict_tokens)
            body.append((*stage.labels, *map(percent_of, shares), *map(number, counts)))
    return Table(
        "Course of the debates",
        (
            "run",
            "iteration",
            "first answer right, %",
            "accepted at once, %",
            "right, then wrong, %",
            "wrong, then right, %",
            "tokens of the first answer",
            "tokens of its verdict",
        ),
        tuple(body),
    )


def _recipes(stages: Sequence[Stage]) -> Table:
    names = list(dict.fromkeys(name for stage in stages for name in stage.arms))
    body = []
    for stage in stages:
        cells = (_right_and_tokens(stage.accuracies.get(name), stage.costs.get(name)) for name in names)
        body.append((*stage.labels, *cells))
    return Table("All recipes and models, accuracy in % / generated tokens", ("run", "iteration", *names), tuple(body))


def _equal(stages: Sequence[Stage]) -> Table:
    """Share of each recipe's answers that the training did not change."""
    before = {stage.directory: _answers(stage) for stage in stages if stage.iteration == BEFORE}
    compared = [stage for stage in stages if stage.iteration != BEFORE and stage.directory in before]
    names = list(dict.fromkeys(name for stage in compared for name in stage.arms))
    body = []
    for stage in compared:
        now, then = _answers(stage), before[stage.directory]
        shares = []
        for name in names:
            both = [key for key in now if key[0] == name and key in then]
            shares.append(sum(now[key] == then[key] for key in both) / len(both) if both else None)
        body.append((*stage.labels, *map(percent_of, shares)))
    return Table(
        "Answers that are the same as before the training, %",
        ("run", "iteration", *names),
        tuple(body),
        f"'{SEPARATE}': the trained weights are served under ids that only the trained recipe asks.",
    )


def _answers(stage: Stage) -> dict[tuple[str, str, str, int], tuple[str, ...]]:
    """Answers by recipe, dataset, question and sample."""
    return {(row.arm, row.dataset, row.item, row.sample): row.answers for row in stage.rows if row.done}


def _right_and_tokens(right: ArmAccuracy | None, cost: ArmCost | None) -> Cell:
    if right is None or right.overall is None or cost is None:
        return UNKNOWN
    return Cell(f"{100 * right.overall.value:.1f} / {number(cost.completion_tokens).text}")


def _training(directories: Sequence[Path]) -> Table:
    body = []
    for directory in directories:
        for one in read_state(directory).iterations:
            generated, chosen = one.steps.get("generate", {}), one.steps.get("select", {})
            answers = generated.get("answers")
            body.append(
                (
                    Cell(directory.name),
                    Cell(str(one.number)),
                    Cell(one.method),
                    UNKNOWN if answers is None else Cell(f"{answers:,}"),
                    percent_of(generated.get("mean_task")),
                    number(generated.get("mean_tokens")),
                    UNKNOWN if not chosen else Cell(f"{sum(chosen['examples'].values()):,}"),
                )
            )
    return Table(
        "Training",
        ("run", "iteration", "method", "sampled answers", "their task reward, %", "generated tokens", "examples"),
        tuple(body),
        "Means of the answers to the training questions, which are sampled before the iteration's training.",
    )


def percent_of(value: float | None) -> Cell:
    """A share in percent."""
    return UNKNOWN if value is None else Cell(f"{100 * value:.1f}")
