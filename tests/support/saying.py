"""A strategy that answers with a text of its own."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Literal

from serving.recipes import Recipe
from serving.recipes.cost import Cost
from serving.runtime.agents import Agent, AgentField
from serving.runtime.run import Run
from serving.runtime.task import Task
from serving.types import Delta, Sampling


class Saying(Recipe):
    """Quotes the answer of one model."""

    strategy: Literal["tests.support.saying:Saying"] = "tests.support.saying:Saying"
    model: AgentField

    def agents(self) -> Iterable[Agent]:
        return (self.model,)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return self.answer_cost(self.model, sampling)

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        return run.say(f"It is: {(await run.ask(self.model, Task())).text}")
