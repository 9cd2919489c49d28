"""Lines of `comparisons.jsonl` and `grades.jsonl`."""

from serving.config import Frozen


class Comparison(Frozen):
    """An arm's answer against the baseline's to the same item, judged in both orders."""

    judge: str
    weighted: bool = False  # from the first token's probabilities instead of a written verdict
    arm: str
    baseline: str
    dataset: str
    item: str
    sample: int = 0
    skill: str = ""
    orders: tuple[float | None, float | None] = (None, None)  # P(arm better): arm shown first, arm shown second
    arm_chars: int = 0
    baseline_chars: int = 0
    difficulty: float | None = None
    verdicts: tuple[str, ...] = ()  # what the judge wrote
    error: str | None = None

    @property
    def key(self) -> str:
        kind = "weighted" if self.weighted else "written"
        return "\x1f".join((self.judge, kind, self.baseline, self.arm, self.dataset, self.item, str(self.sample)))

    @property
    def done(self) -> bool:
        return self.error is None

    @property
    def preference(self) -> float | None:
        """P(arm better), the mean of both orders, so that a judge who likes a place cannot move it."""
        first, second = self.orders
        return None if first is None or second is None else (first + second) / 2

    @property
    def consistent(self) -> bool | None:
        """Whether both orders name the same winner; `None` where one gave no verdict."""
        first, second = self.orders
        if first is None or second is None:
            return None
        return (first > 0.5) == (second > 0.5) and (first < 0.5) == (second < 0.5)


class Grade(Frozen):
    """One turn of one answer, rated from 1 to 10."""

    judge: str
    arm: str
    dataset: str
    item: str
    sample: int = 0
    skill: str = ""
    turn: int  # from 1
    rating: float | None = None  # None: the judge gave none
    verdict: str = ""
    error: str | None = None

    @property
    def key(self) -> str:
        return "\x1f".join((self.judge, self.arm, self.dataset, self.item, str(self.sample), str(self.turn)))

    @property
    def done(self) -> bool:
        return self.error is None
