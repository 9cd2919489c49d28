"""Choice among the verdicts of a run: of which judge, against which baseline, of which kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.judging.verdicts import WHOLE_SCALE, Comparison, Grade

WRITTEN, WEIGHTED, GRADES = "written", "weighted", "grades"
KINDS_OF_VERDICTS = (WRITTEN, WEIGHTED, GRADES)


@dataclass(frozen=True, slots=True)
class Source:
    """Verdicts that can be compared with each other."""

    kind: str  # one of KINDS_OF_VERDICTS
    judge: str
    baseline: str | None  # None: ratings
    scale: int = WHOLE_SCALE  # the best rating

    def __str__(self) -> str:
        if self.baseline is None:
            return f"ratings {'' if self.scale == WHOLE_SCALE else 'of criteria '}by '{self.judge}'"
        kind = " (weighted)" if self.kind == WEIGHTED else ""
        return f"comparisons with '{self.baseline}' by '{self.judge}'{kind}"


@dataclass(frozen=True, slots=True)
class VerdictChoice:
    """Verdicts to take scores from; `None`: any."""

    judge: str | None = None
    baseline: str | None = None
    kind: str | None = None  # one of KINDS_OF_VERDICTS

    def allows(self, source: Source) -> bool:
        """Return True if scores may be taken from `source`."""
        return (
            self.judge in (None, source.judge)
            and (self.baseline is None or self.baseline == source.baseline)
            and self.kind in (None, source.kind)
        )


def source_of(verdict: Comparison | Grade) -> Source:
    """Return the source that a verdict belongs to."""
    if isinstance(verdict, Grade):
        return Source(GRADES, verdict.judge, None, verdict.scale)
    return Source(WEIGHTED if verdict.weighted else WRITTEN, verdict.judge, verdict.baseline)


def sources(dataset: str, verdicts: Sequence[Comparison | Grade], choice: VerdictChoice) -> list[Source]:
    """Return the sources of a dataset's verdicts that `choice` allows, in order of appearance."""
    found = dict.fromkeys(source_of(verdict) for verdict in verdicts if verdict.dataset == dataset and verdict.done)
    return [source for source in found if choice.allows(source)]
