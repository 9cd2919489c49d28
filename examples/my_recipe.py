"""A recipe of your own: models answer one after another, each reads the answers before it, and one writes the result.

Copy this file, change it, and name its class in a profile: docs/recipes.md says how.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping

from pydantic import Field

from serving.recipes import Recipe
from serving.recipes.cost import Cost
from serving.references import References
from serving.runtime.agents import Agent, AgentField
from serving.runtime.run import Run
from serving.runtime.task import Quorum, Task
from serving.types import Delta, Sampling


class Chain(Recipe):
    """Asks the agents of `chain` in order; `writer` reads all their answers and writes the final one."""

    chain: tuple[AgentField, ...] = Field(min_length=1, description="Agents, in the order in which they are asked.")
    writer: AgentField = Field(description="Agent that writes the final answer.")

    def agents(self) -> Iterable[Agent]:
        """All agents that may be called: at start each must be a model that is served."""
        return (*self.chain, self.writer)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        """Most calls and tokens of a request, which must be within the operator's limits."""
        return self.proposals_cost(self.chain, sampling) + self.answer_cost(self.writer, sampling)

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        """Answer one request: make the calls, return the stream of the final answer."""
        answers: References = ()
        for place, agent in enumerate(self.chain):
            steps = len(self.chain) - place  # before the final answer: they share its deadline
            # Not strict: if a model fails, the chain goes on without its answer.
            answers += await run.propose([agent], Task(answers), quorum=Quorum(1, strict=False), steps=steps)
        return run.answer(self.writer, Task(answers), fallbacks=self.chain)
