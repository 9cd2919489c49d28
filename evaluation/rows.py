"""One answer of one arm to one item: a line of `rows.jsonl`."""

from typing import Any

from pydantic import BaseModel

from serving.config import Frozen

PROPOSER, AGGREGATOR = "proposer", "aggregator"


class AgentRow(Frozen):
    """What one agent did, as the server's trace tells it. `None` is "not known", never zero."""

    turn: int = 1  # of the conversation, from 1
    layer: int  # from 1; the aggregator's is the last
    agent: int
    role: str
    model: str
    outcome: str  # "ok" or why the agent gave nothing
    text: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    total_s: float | None = None

    @property
    def usable(self) -> bool:
        return self.outcome == "ok"


class Row(Frozen):
    """An answer with everything that the analyses need, so that they never read a dataset again."""

    arm: str
    model: str  # the model id that was asked for
    dataset: str
    item: str
    sample: int = 0
    skill: str = ""
    questions: tuple[str, ...]
    answers: tuple[str, ...] = ()  # one for each turn
    reference: str | None = None  # what `scorer` compared the last answer with
    references: tuple[str, ...] = ()  # for a judge, one for each turn
    scorer: str | None = None
    score: float | None = None  # in [0, 1]; None: left to a judge
    extracted: str | None = None  # what the scorer took for the answer
    baseline: str | None = None
    difficulty: float | None = None
    trace: tuple[AgentRow, ...] = ()
    degraded: bool = False
    reasons: tuple[str, ...] = ()
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    latency_s: float | None = None  # until the whole answer was there, all turns together
    cost_usd: float | None = None
    error: str | None = None

    @property
    def key(self) -> str:
        """Which answer this is; a later row of the same key replaces an earlier one."""
        return row_key(self.arm, self.dataset, self.item, self.sample)

    @property
    def text(self) -> str:
        return self.answers[-1] if self.answers else ""

    @property
    def tokens(self) -> int | None:
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens

    @property
    def calls(self) -> int:
        """Engine calls: those of the trace, or one for each turn where there is none.

        Samples of one call stand in the trace one by one, the call's tokens with the first of them.
        """
        return sum(agent.prompt_tokens != 0 for agent in self.trace) or len(self.questions)

    @property
    def done(self) -> bool:
        return self.error is None

    @property
    def last_turn(self) -> tuple[AgentRow, ...]:
        """The agents that made the final answer."""
        return tuple(agent for agent in self.trace if agent.turn == len(self.questions))


def row_key(arm: str, dataset: str, item: str, sample: int) -> str:
    return "\x1f".join((arm, dataset, item, str(sample)))


def dumped(row: BaseModel) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude_defaults=True)
