"""Results of the benchmark: ratios to the baseline, verdicts on the aims, and one table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtest.bench.foreign_load import LIMIT
from loadtest.bench.rounds import Spread, Verdict, spread
from loadtest.bench.rows import AIMS, LESS_IS_BETTER, MEASURES, OF_KIND, Aim, Row

BASE = "vllm"
NOTE = (
    "Values are medians over the rounds. Contenders take turns within a round, and a ratio (x) is the median of the"
    " ratios within rounds."
)


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdict on one aim."""

    aim: Aim
    value: float  # a ratio if the aim is relative
    met: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """Verdict on one row, by its deciding measure."""

    row: Row
    ratio: Spread
    verdict: Verdict

    def __str__(self) -> str:
        ratio = self.ratio
        return (
            f"{self.verdict:8}{self.row.title:48}{self.row.deciding:16}{ratio.median:5.2f}x"
            f" [{ratio.low:.2f}, {ratio.high:.2f}], {ratio.confidence:.0%} confidence"
        )


Round = dict[str, dict[str, float]]  # measures by column


@dataclass(slots=True)
class Results:
    """Measured values: `rounds[row]` are the rounds of a row, each with the measures of its columns.

    Columns are `vllm` (the baseline), `stock`, `moa` (single-model rows) and `moa-<policy>`. `ours` is the column of
    the recipe rows that is judged. Rounds of `stock` and those of this server have their own values of `vllm`. `busy`
    counts measurements during which other processes used much of the machine although they were repeated.
    """

    rows: Sequence[Row]
    ours: str
    machine: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    repeated: int = 0
    busy: int = 0

    def add(self, row: Row, measured: Round) -> None:
        """Add a round of a row."""
        self.rounds.setdefault(row.id, []).append(measured)

    def columns(self) -> list[str]:
        """List the columns that have values, the baseline first."""
        found = dict.fromkeys(column for rounds in self.rounds.values() for one in rounds for column in one)
        return sorted(found, key=lambda name: (name != BASE, name != "stock"))

    def value(self, row: str, column: str, measure: str) -> float | None:
        """Median of the rounds; `None` if it was not measured."""
        rounds = self.rounds.get(row, [])
        found = [one[column][measure] for one in rounds if measure in one.get(column, {})]
        return spread(found).median if found else None

    def ratio(self, row: str, column: str, measure: str) -> Spread | None:
        """Ratios to the baseline of the same round; `None` if one of the two was not measured."""
        found = []
        for one in self.rounds.get(row, []):
            own, base = one.get(column, {}).get(measure), one.get(BASE, {}).get(measure)
            if own is not None and base:
                found.append(own / base)
        return spread(found) if found else None

    def verdicts(self) -> list[Compared]:
        """Compare this server with the baseline by each row's deciding measure."""
        found = []
        for row in self.rows:
            column = "moa" if row.kind == "pass" else self.ours
            if (ratio := self.ratio(row.id, column, row.deciding)) is not None:
                found.append(Compared(row, ratio, ratio.verdict(LESS_IS_BETTER[row.deciding])))
        return found

    def judged(self) -> list[Judged]:
        """Judge the aims whose rows were measured."""
        verdicts = []
        for aim in AIMS:
            column = "moa" if aim.row.startswith("pass") else self.ours
            ratio = self.ratio(aim.row, column, aim.measure) if aim.relative else None
            value = ratio.median if ratio is not None else None
            if not aim.relative:
                value = self.value(aim.row, column, aim.measure)
            if value is not None:
                verdicts.append(Judged(aim, value, aim.met(value)))
        return verdicts

    def to_json(self) -> dict[str, Any]:
        """Convert to the content of `bench.json`."""
        return {
            "machine": dict(self.machine),
            "settings": dict(self.settings),
            "measures": dict(MEASURES),
            "rows": {row.id: row.title for row in self.rows},
            "rounds": self.rounds,
            "measurements_repeated": self.repeated,
            "measurements_on_a_busy_machine": self.busy,
            "ratios": {
                row.id: {
                    column: {
                        measure: asdict(ratio)
                        for measure in OF_KIND[row.kind]
                        if (ratio := self.ratio(row.id, column, measure)) is not None
                    }
                    for column in self.columns()
                    if column != BASE
                }
                for row in self.rows
            },
            "verdicts": {one.row.id: one.verdict for one in self.verdicts()},
            "aims": [{"aim": str(j.aim), "value": j.value, "met": j.met} for j in self.judged()],
        }

    def lines(self) -> list[tuple[str, str, list[str]]]:
        """Lines of the table: row title, measure, and for each column the value with its ratio to the baseline."""
        table = []
        for row in self.rows:
            for measure in OF_KIND[row.kind]:
                shown = [self._shown(row.id, column, measure) for column in self.columns()]
                if any(shown):
                    table.append((row.title, measure, shown))
        return table

    def table(self) -> str:
        """Format all results as text."""
        columns = self.columns()
        lines = [f"{'':48}{'':20}" + "".join(f"{column:>22}" for column in columns)]
        before = ""
        for title, measure, shown in self.lines():
            head = "" if title == before else title
            lines.append(f"{head:48}{measure:20}" + "".join(f"{cell:>22}" for cell in shown))
            before = title
        lines.append("")
        lines.extend(f"{name:20} = {formula}" for name, formula in MEASURES.items())
        lines += ["", NOTE, self.quiet(), ""]
        lines.extend(str(one) for one in self.verdicts())
        lines.append("")
        for judged in self.judged():
            lines.append(f"{'met   ' if judged.met else 'MISSED'}  {judged.aim!s:42} measured {judged.value:.3g}")
        return "\n".join(lines)

    def quiet(self) -> str:
        """State how busy other processes kept the machine."""
        return (
            f"Measurements repeated because other processes used more than {LIMIT:.0%} of the cores: {self.repeated};"
            f" measured on a busy machine all the same: {self.busy}."
        )

    def _shown(self, row: str, column: str, measure: str) -> str:
        value = self.value(row, column, measure)
        if value is None:
            return ""
        ratio = self.ratio(row, column, measure)
        number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        return number if column == BASE or ratio is None else f"{number} ({ratio.median:.2f}x)"
