"""The report of a run, built from its directory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.analysis.advice import advise
from evaluation.analysis.compute import Parameters, with_tflops
from evaluation.analysis.recommend import Currency, Recommendation
from evaluation.analysis.verdicts import with_verdicts
from evaluation.errors import EvaluationError
from evaluation.judging.verdicts import Comparison, Grade
from evaluation.prices import Prices, with_costs
from evaluation.report import page
from evaluation.report.answers import browser_data
from evaluation.report.loops import loops_section
from evaluation.report.overview import arms_section, pareto_section
from evaluation.report.proposals import fit_section, similarity_section
from evaluation.report.section import Section
from evaluation.report.teamwork import layers_section, mixing_section, proposers_section, roles_section
from evaluation.report.verdicts import judge_section
from evaluation.rescoring import rescored
from evaluation.rows import Row
from evaluation.store import read_answers, read_rows
from evaluation.verdict_choice import VerdictChoice

BEGIN, END = "<!-- begin measured -->", "<!-- end measured -->"


@dataclass(frozen=True, slots=True)
class Constraints:
    """Constraints on the recommended arm; see `recommend`."""

    currency: Currency = "tokens"
    budget: float | None = None
    min_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Rows, recommendation and sections."""

    rows: tuple[Row, ...]
    advice: Recommendation
    sections: tuple[Section, ...]
    left_out: tuple[Section, ...] = ()  # without data; their lead names the run that they need

    def html(self, max_bytes: int = page.MAX_BYTES) -> str:
        """Render the page; answers are shortened so that it has at most `max_bytes`."""
        answers = [row for row in self.rows if row.done]
        counts = (
            (len({row.arm for row in self.rows}), "arms"),
            (len({(row.dataset, row.item) for row in self.rows}), "items"),
            (len(answers), "answers"),
            (len(self.rows) - len(answers), "failed"),
            (sum(row.tokens or 0 for row in answers), "tokens"),
        )
        facts = [(f"{value:,}", name) for value, name in counts]
        facts.append((", ".join(dict.fromkeys(row.dataset for row in self.rows)), "datasets"))
        return page.render(
            "Quality of recipes",
            self.sections,
            facts=facts,
            advice=self.advice.sentence,
            left_out=[(section.title, section.lead) for section in self.left_out],
            answers=lambda room: browser_data(self.rows, room),
            max_bytes=max_bytes,
        )

    def markdown(self) -> str:
        """Render the recommendation and all tables."""
        tables = [table.markdown() for section in self.sections for table in section.tables]
        return "\n".join([self.advice.sentence + "\n", *tables])


def build(
    directory: Path,
    constraints: Constraints,
    prices: Prices | None = None,
    parameters: Parameters | None = None,
    *,
    choice: VerdictChoice | None = None,
    datasets: Sequence[str] = (),
    scorer: str | None = None,
) -> Report:
    """Read and analyse a run.

    Args:
        directory: The run's.
        constraints: On the recommended arm.
        prices: Replace the recorded costs.
        parameters: Of the models, from which operations are computed.
        choice: Verdicts to take scores from.
        datasets: Names of the datasets to analyse; none: all.
        scorer: Scores the stored answers in place of the recorded scorer.

    Raises:
        EvaluationError: The directory has no answers, or not of a chosen dataset, or there is no such scorer.
    """
    rows = read_answers(directory)
    known = list(dict.fromkeys(row.dataset for row in rows))
    if missing := [name for name in datasets if name not in known]:
        raise EvaluationError(f"The run has no dataset '{missing[0]}'; its datasets are: {', '.join(known)}.")
    rows = [row for row in rows if not datasets or row.dataset in datasets]
    if scorer is not None:
        rows = rescored(rows, scorer)
    if prices is not None:
        rows = with_costs(rows, prices)
    if parameters is not None:
        rows = with_tflops(rows, parameters)
    chosen = {row.dataset for row in rows}
    comparisons = [c for c in read_rows(directory / "comparisons.jsonl", Comparison) if c.dataset in chosen]
    grades = [g for g in read_rows(directory / "grades.jsonl", Grade) if g.dataset in chosen]
    return analyse(rows, constraints, comparisons, grades, choice)


def analyse(
    rows: Sequence[Row],
    constraints: Constraints,
    comparisons: Sequence[Comparison] = (),
    grades: Sequence[Grade] = (),
    choice: VerdictChoice | None = None,
) -> Report:
    """Compute every section of the report; those without data are left out."""
    scores = with_verdicts(rows, comparisons, grades, choice)
    rows = scores.rows
    advice = advise(scores, constraints.currency, budget=constraints.budget, min_accuracy=constraints.min_accuracy)
    parts = (
        pareto_section(rows, constraints.currency, advice),
        arms_section(rows),
        proposers_section(rows),
        layers_section(rows),
        roles_section(rows),
        mixing_section(rows),
        similarity_section(rows),
        fit_section(rows),
        *loops_section(rows),
        judge_section(comparisons, grades, rows),
    )
    shown = tuple(part for part in parts if not part.empty)
    return Report(tuple(rows), advice, shown, tuple(part for part in parts if part.empty))


def write_markdown(path: Path, text: str) -> None:
    """Write `text` to a new file, or between the markers of an existing one.

    Raises:
        EvaluationError: The file exists and has no markers.
    """
    if path.exists():
        before = path.read_text()
        head, begin, rest = before.partition(BEGIN)
        _, end, tail = rest.partition(END)
        if not begin or not end:
            raise EvaluationError(f"'{path}' exists and has no markers '{BEGIN}' and '{END}' to write between.")
        text = f"{head}{BEGIN}\n\n{text}\n{END}{tail}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
