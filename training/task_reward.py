"""Task rewards: how right an answer is, in [0, 1]."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from evaluation import scoring
from evaluation.items import Item
from evaluation.sandbox import SandboxLimits, passes
from evaluation.scoring.code import program_of
from serving.recipes.judging import GRADE, grade, quoted

TaskKind = Literal["dataset", "exact", "number", "choice", "f1", "code", "judge"]
KINDS: tuple[str, ...] = get_args(TaskKind)
PURE = ("dataset", "exact", "number", "choice", "f1")  # computed at once, also for the text of one agent
VERDICT = {"temperature": 0.0, "max_tokens": 8}

AskJudge = Callable[[str], Awaitable[str]]


class Unscored(Exception):
    """An answer could not be scored; `str(error)` is the reason."""


@dataclass(frozen=True, slots=True)
class TaskReward:
    """Scores answers to items.

    `dataset`: the item's own scorer. `exact`, `number`, `choice`, `f1`: those of `evaluation.scoring`.
    `code`: the answer's Python, followed by the item's answer, which is Python that raises if the code is wrong.
    `judge`: the grade of a served model, from 0 to 10, divided by 10.
    """

    kind: TaskKind = "dataset"
    ask_judge: AskJudge | None = None  # prompt to verdict; of `judge` only
    limits: SandboxLimits = field(default_factory=SandboxLimits)

    def pure(self, item: Item, text: str) -> float | None:
        """Reward of a text if it needs neither a process nor a model, else `None`."""
        if self.kind not in PURE or item.answer is None:
            return None
        scorer = item.scorer if self.kind == "dataset" else self.kind
        return None if scorer is None else scoring.score(scorer, text, item.answer, item.accepted).score

    async def score(self, item: Item, text: str) -> float:
        """Reward of an answer. Raises `Unscored` if the judge gives no grade."""
        if self.kind == "code":
            return float(await passes(program_of(text, item.answer or ""), self.limits))
        if self.kind == "judge":
            return await self._judged(item, text)
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
