"""Solver and critic, the debate of Optima (arXiv 2410.08115): an answer is accepted, or revised up to a limit."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, StrictInt

from serving.conversation import Message
from serving.errors import MoaError
from serving.recipes.base import LAYER_SETTINGS, Answering, Recipe
from serving.recipes.cost import Cost
from serving.recipes.judging import CRITICISE, accepts, question, quoted
from serving.references import References
from serving.runtime.agents import Agent, AgentField
from serving.runtime.reasons import UNCHECKED
from serving.runtime.run import Run
from serving.runtime.task import Task
from serving.types import Delta, Sampling

REVISE = (
    "A critic says of your answer:\n{criticism}\n\nGive your corrected answer to the message before, and only that."
)


class Debate(Answering):
    """The solver's answer once the critic accepts it. The last revision is not criticised: it streams.

    The solver has the request's tools. Its calls are the answer without a critic.
    """

    strategy: Literal["debate"] = "debate"
    per_request: ClassVar[frozenset[str]] = frozenset(  # it has no layers of proposers
        {"deadline_s", "temperature", "proposal_max_tokens", "small_tasks", "models", "rounds"}
    )
    without_effect = LAYER_SETTINGS
    cast = ("solver", "critic")
    tool_modes = ("final",)
    caller = "the solver; its calls are returned at once, its texts criticised"
    final = "solver"
    continues = False  # a revision is a new answer
    solver: AgentField
    critic: AgentField
    rounds: StrictInt = Field(
        default=2, ge=1, le=8, description="Maximum number of answers: the first one and its revisions."
    )

    def agents(self) -> Iterable[Agent]:
        return (self.solver, self.critic, *(self.fallbacks or ()))

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        criticising = self.proposals_cost([self.critic], sampling) * (self.rounds - 1)
        return self.answer_cost(self.solver, sampling) * self.rounds + criticising

    @property
    def _verdict(self) -> Mapping[str, Any]:
        """Sampling of the critic: greedy, unless the operator sets a temperature."""
        return {"temperature": 0.0} if self.critic.temperature is None else {}

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        messages = run.request.messages
        earlier: References = ()
        for _ in range(self.rounds - 1):
            try:
                # The critic may accept it: it is sampled like the final answer.
                solving = Task(messages=messages, role="solver", as_answer=True)
                solution = await run.ask(self.solver, solving, steps=1 if earlier else 0)
            except MoaError:
                break  # in the report; the last answer has fallbacks
            draft = run.proposal(self.solver, solution)
            reasoning = solution.choices[0].reasoning
            if draft is not None and draft.tool_calls:
                return run.pick(draft, reasoning)  # its result, not a critic, shows if a call was right
            answer = "" if draft is None else solution.text
            criticising = question(run.request.messages, CRITICISE.format(answer=quoted(answer)))
            [criticism] = await run.consult(self.critic, [criticising], role="critic", sampling=self._verdict)
            if draft is not None:
                if not criticism.strip():
                    run.degrade(UNCHECKED())
                    return run.pick(draft, reasoning)
                if accepts(criticism):
                    return run.pick(draft, reasoning)
                earlier = (draft,)
            messages = (
                *run.request.messages,
                Message("assistant", answer),
                Message("user", REVISE.format(criticism=quoted(criticism))),
            )
        return run.answer(
            self.solver,
            Task(messages=messages, role="solver"),
            fallbacks=self.replacements(self.solver, [self.critic]),
            spare=earlier,
        )
