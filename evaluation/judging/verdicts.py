"""Verdicts of a judge: the lines of `comparisons.jsonl` and `grades.jsonl`."""

from serving.config import Frozen

WHOLE_SCALE = 10  # the best rating of a whole answer; the worst is 1


class Comparison(Frozen):
    """An arm's answer compared with the baseline's answer to the same item, in both orders."""

    judge: str
    weighted: bool = False  # from the first token's probabilities instead of from text
    arm: str
    baseline: str
    dataset: str
    item: str
    sample: int = 0
    skill: str = ""
    orders: tuple[float | None, float | None] = (None, None)  # P(arm better) with the arm shown first, and second
    arm_chars: int = 0
    baseline_chars: int = 0
    difficulty: float | None = None
    verdicts: tuple[str, ...] = ()  # the judge's texts
    error: str | None = None

    @property
    def key(self) -> str:
        """Identity of the verdict; a later one with the same key replaces an earlier one."""
        kind = "weighted" if self.weighted else "written"
        return "\x1f".join((self.judge, kind, self.baseline, self.arm, self.dataset, self.item, str(self.sample)))

    @property
    def done(self) -> bool:
        """True if the verdict has no error."""
        return self.error is None

    @property
    def preference(self) -> float | None:
        """P(arm better), the mean of both orders, which cancels a judge's position bias."""
        first, second = self.orders
        return None if first is None or second is None else (first + second) / 2

    @property
    def readable(self) -> bool:
        """True if the judge's texts have a verdict for both orders."""
        return self.preference is not None

    @property
    def consistent(self) -> bool | None:
        """True if both orders have the same winner; `None` if one has no verdict."""
        first, second = self.orders
        if first is None or second is None:
            return None
        return (first > 0.5) == (second > 0.5) and (first < 0.5) == (second < 0.5)


class Grade(Frozen):
    """A rating of one turn of an answer, from 1 to `scale`."""

    judge: str
    arm: str
    dataset: str
    item: str
    sample: int = 0
    skill: str = ""
    turn: int  # from 1
    scale: int = WHOLE_SCALE
    rating: float | None = None  # of criteria their mean; None: no valid rating
    ratings: dict[str, float] = {}  # by criterion, without those that do not apply
    verdict: str = ""
    error: str | None = None

    @property
    def key(self) -> str:
        """Identity of the verdict; a later one with the same key replaces an earlier one."""
        return "\x1f".join((self.judge, self.arm, self.dataset, self.item, str(self.sample), str(self.turn)))

    @property
    def done(self) -> bool:
        """True if the verdict has no error."""
        return self.error is None

    @property
    def readable(self) -> bool:
        """True if the judge's text has a rating."""
        return self.rating is not None
