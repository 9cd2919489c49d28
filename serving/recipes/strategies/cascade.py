"""One model first; only an answer that seems weak costs more (FrugalGPT, arXiv 2305.05176)."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from math import exp
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from serving.errors import MoaError
from serving.recipes.base import OF_LAYERS, Recipe
from serving.recipes.cost import FREE, Cost
from serving.recipes.judging import GRADE, VERDICT, grade, question, quoted
from serving.runtime.agents import Agent, AgentField
from serving.runtime.prompts import Reference, References
from serving.types import Completion, Delta, Sampling

if TYPE_CHECKING:
    from serving.runtime.run import Run


class Cascade(Recipe):
    """The first model's answer if its score reaches `threshold`; otherwise `escalate` answers, and sees it too.

    `logprob`: the score is the geometric mean of the tokens' probabilities, 0 to 1. `judge`: a served model's grade.
    """

    strategy: Literal["cascade"] = "cascade"
    # What else a recipe lets a request change belongs to the one that it escalates to, which may be any.
    per_request: ClassVar[frozenset[str]] = frozenset({"deadline_s", "temperature", "models", "threshold"})
    idle = OF_LAYERS
    cast = ("first",)
    first: AgentField
    escalate: str = Field(description="Id of the recipe or model that answers where the first answer is weak.")
    score: Literal["logprob", "judge"] = "logprob"
    judge: AgentField | None = None
    threshold: float = Field(default=0.9, ge=0, le=1)
    keep_first: bool = Field(default=True, description="Whether the escalation sees the first answer as a reference.")

    @model_validator(mode="after")
    def _judge_is_there(self) -> Self:
        if self.score == "judge" and self.judge is None:
            raise ValueError("score: judge needs a judge; name a model in 'judge'")
        return self

    def agents(self) -> Iterable[Agent]:
        return (self.first,) if self.judge is None else (self.first, self.judge)

    def delegates(self) -> frozenset[str]:
        return frozenset({self.escalate})

    def requires(self) -> Mapping[str, frozenset[str]]:
        return {self.first.model: frozenset({"logprobs"})} if self.score == "logprob" else {}

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        then = recipes.get(self.escalate)
        judging = Cost(1, int(VERDICT["max_tokens"])) if self.score == "judge" else FREE
        escalation = then.cost(sampling, recipes) if then else Cost(1, sampling.max_tokens)
        if self.keep_first:
            escalation += self.given_cost(sampling, recipes)
        return self.answer_cost(self.first, sampling) + judging + escalation

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        then = recipes.get(self.escalate)
        return then.given_cost(sampling, recipes) if then else FREE

    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        kept: References = ()
        try:
            logprobs = 0 if self.score == "logprob" else None
            # The first answer may be the final one: it is sampled as the caller wants the answer.
            first = await run.ask(
                self.first, run.request.messages, role="first", final=True, sampling={"logprobs": logprobs}
            )
        except MoaError as error:
            run.ledger.degrade(f"the first model gave no answer: {error}")
        else:
            reason = first.choices[0].finish_reason
            if first.text.strip():
                if await self._score(run, first) >= self.threshold:
                    async with aclosing(run.say(first.text, reason)) as answer:
                        async for delta in answer:
                            yield delta
                    return
                kept = (Reference(self.first.model, first.text, reason, as_answer=True),) if self.keep_first else ()
        async with aclosing(run.delegate(self.escalate, kept)) as stream:
            async for delta in stream:
                yield delta

    async def _score(self, run: "Run", answer: Completion) -> float:
        """0 to 1; 0 where nothing can be said, so that doubt escalates."""
        if self.judge is not None and self.score == "judge":
            instruction = GRADE.format(answer=quoted(answer.text))
            task = question(run.request.messages, instruction)
            [verdict] = await run.consult(self.judge, [task], sampling=VERDICT)
            return grade(verdict) or 0.0
        tokens = answer.choices[0].logprobs or ()
        return exp(sum(token.logprob for token in tokens) / len(tokens)) if tokens else 0.0
