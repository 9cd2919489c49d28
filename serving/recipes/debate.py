"""Solver and critic, the debate of Optima (arXiv 2410.08115): an answer is accepted, or revised up to a limit."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from serving.agents import Agent, AgentField
from serving.engine import closing
from serving.recipes.base import Cost, Recipe
from serving.recipes.judging import ACCEPT, CRITICISE, question, quoted
from serving.types import Delta, Message, Sampling

if TYPE_CHECKING:
    from serving.run import Run

REVISE = (
    "A critic says of your answer:\n{criticism}\n\nGive your corrected answer to the message before, and only that."
)


class Debate(Recipe):
    """The solver's answer once the critic accepts it. The last revision is nobody's to criticise: it streams."""

    strategy: Literal["debate"] = "debate"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request | {"rounds"}
    solver: AgentField
    critic: AgentField
    rounds: int = Field(default=2, ge=1, le=8, description="Answers at most: the first one and its revisions.")

    def agents(self) -> Iterable[Agent]:
        return (self.solver, self.critic)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        pair = self.proposals_cost([self.solver, self.critic], sampling)
        return pair * (self.rounds - 1) + self.answer_cost(self.solver, sampling)

    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        messages = run.request.messages
        for _ in range(self.rounds - 1):
            answer = (await run.ask(self.solver, messages, role="solver")).text
            task = question(run.request.messages, CRITICISE.format(answer=quoted(answer)))
            [criticism] = await run.consult(self.critic, [task], role="critic")
            if answer.strip() and (not criticism.strip() or criticism.strip().upper().startswith(ACCEPT)):
                async for delta in run.say(answer):
                    yield delta
                return
            messages = (
                *run.request.messages,
                Message("assistant", answer),
                Message("user", REVISE.format(criticism=quoted(criticism))),
            )
        async with closing(run.answer(self.solver, messages=messages, role="solver")) as stream:
            async for delta in stream:
                yield delta
