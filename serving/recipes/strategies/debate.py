"""Solver and critic, the debate of Optima (arXiv 2410.08115): an answer is accepted, or revised up to a limit."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from serving.errors import MoaError
from serving.recipes.base import OF_LAYERS, Answering, Recipe
from serving.recipes.cost import Cost
from serving.recipes.judging import ACCEPT, CRITICISE, question, quoted
from serving.runtime.agents import Agent, AgentField
from serving.runtime.prompts import Reference, References
from serving.types import Delta, Message, Sampling

if TYPE_CHECKING:
    from serving.runtime.run import Run

REVISE = (
    "A critic says of your answer:\n{criticism}\n\nGive your corrected answer to the message before, and only that."
)


class Debate(Answering):
    """The solver's answer once the critic accepts it. The last revision is nobody's to criticise: it streams."""

    strategy: Literal["debate"] = "debate"
    per_request: ClassVar[frozenset[str]] = frozenset(  # it has no layers of proposers
        {"deadline_s", "temperature", "proposal_max_tokens", "models", "rounds"}
    )
    idle = OF_LAYERS
    cast = ("solver", "critic")
    solver: AgentField
    critic: AgentField
    rounds: int = Field(default=2, ge=1, le=8, description="Answers at most: the first one and its revisions.")

    def agents(self) -> Iterable[Agent]:
        return (self.solver, self.critic, *(self.fallbacks or ()))

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        criticising = self.proposals_cost([self.critic], sampling) * (self.rounds - 1)
        return self.answer_cost(self.solver, sampling) * self.rounds + criticising

    @property
    def _verdict(self) -> Mapping[str, Any]:
        """Whether an answer is right is no matter of chance, unless the operator says so."""
        return {"temperature": 0.0} if self.critic.temperature is None else {}

    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        messages = run.request.messages
        earlier: References = ()
        for _ in range(self.rounds - 1):
            try:
                # The critic may accept it: it is sampled as the caller wants the answer.
                solution = await run.ask(self.solver, messages, role="solver", final=True)
            except MoaError:
                break  # told in the ledger; the last answer has fallbacks
            answer, reason = solution.text, solution.choices[0].finish_reason
            task = question(run.request.messages, CRITICISE.format(answer=quoted(answer)))
            [criticism] = await run.consult(self.critic, [task], role="critic", sampling=self._verdict)
            if answer.strip() and (not criticism.strip() or criticism.strip().upper().startswith(ACCEPT)):
                async with aclosing(run.say(answer, reason)) as stream:
                    async for delta in stream:
                        yield delta
                return
            if answer.strip():
                earlier = (Reference(self.solver.model, answer, reason, as_answer=True),)
            messages = (
                *run.request.messages,
                Message("assistant", answer),
                Message("user", REVISE.format(criticism=quoted(criticism))),
            )
        last = run.answer(
            self.solver,
            messages=messages,
            fallbacks=self.replacements(self.solver, [self.critic]),
            spare=earlier,
            role="solver",
        )
        async with aclosing(last) as stream:
            async for delta in stream:
                yield delta
