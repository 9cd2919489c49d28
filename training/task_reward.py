"""Task rewards: how right an answer is, in [0, 1]."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, get_args

from evaluation import scoring
from evaluation.items import Item
from evaluation.sandbox import Sandbox
from serving.recipes.judging import GRADE, grade, quoted

TaskKind = Literal["dataset", "exact", "number", "choice", "f1", "code", "judge"]
KINDS: tuple[str, ...] = get_args(TaskKind)

AskJudge = Callable[[str], Awaitable[str]]


class Unscored(Exception):
    """An answer could not be scored; `str(error)` is the reason."""


@dataclass(frozen=True, slots=True)
class TaskReward:
    """Scores answers to items.

    `dataset`: the item's own scorer. `exact`, `number`, `choice`, `f1`, `code`: those of `evaluation.scoring`.
    `judge`: the grade of a served model, from 0 to 10, divided by 10.
    """

    kind: TaskKind = "dataset"
    ask_judge: AskJudge | None = None  # prompt to verdict; of `judge` only
    sandbox: Sandbox | None = None  # runs the programs in answers; of the scorer `code` only

    def pure(self, item: Item, text: str) -> float | None:
        """Reward of a text if it needs neither a process nor a model, else `None`."""
        scorer = self._scorer(item)
        if scorer in (None, scoring.CODE) or item.answer is None:
            return None
        return scoring.score(scorer, text, item.answer, item.accepted).score

    def _scorer(self, item: Item) -> str | None:
        """Scorer of the item; `None` if a judge decides, or nothing."""
        return {"dataset": item.scorer, "judge": None}.get(self.kind, self.kind)

    async def score(self, item: Item, text: str) -> float:
        """Reward of an answer. Raises `Unscored` if the judge gives no grade."""
        if self.kind == "judge":
            return await self._judged(item, text)
        if self._scorer(item) == scoring.CODE and item.answer is not None and self.sandbox is not None:
            return (await scoring.score_program(text, item.answer, self.sandbox)).score
        found = self.pure(item, text)
        if found is None:
            raise Unscored("the question has no right answer")
        return found

    async def _judged(self, item: Item, text: str) -> float:
        assert self.ask_judge is not None
        asked = f"Conversation:\n[user] {item.turns[0]}\n\n{GRADE.format(answer=quoted(text))}"
        verdict = await self.ask_judge(asked)
        found = grade(verdict)
        if found is None:
            raise Unscored(f"the judge gave no grade from 0 to 10: {verdict[:80]!r}")
        return found
