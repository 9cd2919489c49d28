"""One model first; only a weak answer costs more (FrugalGPT, arXiv 2305.05176)."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from math import exp
from typing import ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, model_validator

from serving.conversation import Message
from serving.errors import InvalidRequest, MoaError
from serving.recipes.base import LAYER_SETTINGS, Recipe
from serving.recipes.cost import FREE, Cost
from serving.recipes.judging import GRADE, VERDICT, grade, question, quoted
from serving.references import Reference
from serving.runtime.agents import Agent, AgentField
from serving.runtime.reasons import FIRST_FAILED, FIRST_RETURNED, UNGRADED
from serving.runtime.run import Run, Strategy
from serving.runtime.task import Task
from serving.types import Completion, Delta, Sampling


class Cascade(Recipe):
    """The first model's answer if its score reaches `threshold`; otherwise `escalate` answers, and reads it too.

    A request with tools, or within a loop of tool calls, escalates at once unless a judge grades the first model's
    answer and the first model supports tools: tool calls have no log probabilities. Its draft is then not shown to the
    escalation, so that the references there are made once per user turn.
    The score is the geometric mean of the tokens' probabilities (`logprob`), or the grade of a served model (`judge`).
    """

    strategy: Literal["cascade"] = "cascade"
    # Other settings belong to the recipe that it escalates to, which may be any.
    per_request: ClassVar[frozenset[str]] = frozenset(
        {"deadline_s", "temperature", "small_tasks", "models", "threshold"}
    )
    without_effect = LAYER_SETTINGS
    cast = ("first",)
    tool_modes = ("final",)
    caller = "`escalate`; with `score: judge` first the first model, if it supports tools"
    first: AgentField
    escalate: str = Field(description="Id of the recipe or model that answers if the first answer is weak.")
    score: Literal["logprob", "judge"] = "logprob"
    judge: AgentField | None = None
    threshold: StrictFloat = Field(
        default=0.9, ge=0, le=1, description="Score from which the first answer is returned."
    )
    keep_first: StrictBool = Field(default=True, description="Show the first answer to the escalation as a reference.")

    @model_validator(mode="after")
    def _judge_is_there(self) -> Self:
        if self.score == "judge" and self.judge is None:
            raise ValueError("score: judge needs a judge; name a model in 'judge'")
        return self

    def agents(self) -> Iterable[Agent]:
        return (self.first,) if self.judge is None else (self.first, self.judge)

    def answering(self) -> tuple[Agent, ...]:
        return (self.first,)

    def delegates(self) -> frozenset[str]:
        return frozenset({self.escalate})

    def handover(self, messages: tuple[Message, ...]) -> str:
        return self.escalate

    def requires(self) -> Mapping[str, frozenset[str]]:
        return {self.first.model: frozenset({"logprobs"})} if self.score == "logprob" else {}

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        then = recipes.get(self.escalate)
        judging = Cost(1, int(VERDICT["max_tokens"])) if self.score == "judge" else FREE
        escalation = then.cost(sampling, recipes) if then else Cost(1, sampling.max_tokens)
        if self.keep_first:
            escalation += self.given_cost(sampling, recipes)
        return self.answer_cost(self.first, sampling) + judging + escalation

    def steps(self, recipe_of: Callable[[str], Strategy | None]) -> int:
        then = recipe_of(self.escalate)
        return 1 + (self.score == "judge") + (then.steps(recipe_of) if isinstance(then, Recipe) else 0)

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        then = recipes.get(self.escalate)
        return then.given_cost(sampling, recipes) if then else FREE

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        if run.acts and not (self.score == "judge" and run.supports_tools(self.first)):
            return await run.delegate(self.escalate)
        # The first answer may be the final one: it is sampled like the final answer.
        task = Task(messages=run.request.messages, role="first", as_answer=True)
        sampling = {"logprobs": 0 if self.score == "logprob" else None}
        steps = self.steps(run.recipe)
        try:
            first = await run.ask(self.first, task, sampling=sampling, steps=steps)
        except MoaError:
            run.degrade(FIRST_FAILED(name=self.escalate))
            return await run.delegate(self.escalate)
        draft = run.proposal(self.first, first)
        if draft is None:
            return await run.delegate(self.escalate)
        if await self._score(run, draft, first, steps - 1) >= self.threshold:
            return run.pick(draft, first.choices[0].reasoning)
        kept = (draft,) if self.keep_first and not run.acts else ()
        try:
            return await run.delegate(self.escalate, kept, spare=(draft,))
        except MoaError as error:
            if isinstance(error, InvalidRequest):
                raise
            run.degrade(FIRST_RETURNED(name=self.escalate))
            return run.pick(draft, first.choices[0].reasoning)

    async def _score(self, run: Run, draft: Reference, answer: Completion, steps: int) -> float:
        """Score from 0 to 1; 0 if there is none, so that doubt escalates. `steps`: see `Run.consult`."""
        if self.judge is not None and self.score == "judge":
            asked = [question(run.request.messages, GRADE.format(answer=quoted(draft.text)))]
            [verdict] = await run.consult(self.judge, asked, sampling=VERDICT, steps=steps)
            if (found := grade(verdict)) is None:
                run.degrade(UNGRADED())
            return found or 0.0
        tokens = answer.choices[0].logprobs or ()
        return exp(sum(token.logprob for token in tokens) / len(tokens)) if tokens else 0.0
