"""Mixture-of-Agents (arXiv 2406.04692): layers of proposers, then one aggregator."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from itertools import pairwise
from typing import Any, ClassVar, Literal

from pydantic import Field

from serving.errors import InvalidRequest
from serving.recipes.base import Answering, Recipe, team_of
from serving.recipes.cost import Cost
from serving.references import References
from serving.runtime.agents import Agent, AgentField, Team
from serving.runtime.reasons import LAYERS_LEFT_OUT
from serving.runtime.run import Run
from serving.runtime.task import Task
from serving.types import Delta, Sampling
from serving.validation import shown

MAX_LAYERS = 16


class Layered(Answering):
    """Every agent of a layer reads all outputs of the layer before; the aggregator reads the last layer's."""

    strategy: Literal["layered"] = "layered"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request | {"models", "layers", "aggregator"}
    tool_modes = ("final", "vote")
    caller = "the aggregator; with `vote` proposers of any layer"
    final = "aggregator"
    layers: tuple[Team, ...] = Field(min_length=1, max_length=MAX_LAYERS, description="The proposer layers.")
    aggregator: AgentField

    def proposer_layers(self) -> tuple[tuple[Agent, ...], ...]:
        return self.layers

    def agents(self) -> Iterable[Agent]:
        yield from self.proposers_of_all_layers()
        yield self.aggregator
        yield from self.fallbacks or ()

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return self.proposals_cost(self.proposers_of_all_layers(), sampling) + self.answer_cost(
            self.aggregator, sampling
        )

    def translated(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """`models` is one team for every layer; `layers` is a list of teams, or the number of proposer layers."""
        fields = dict(changes)
        models, layers = fields.pop("models", None), fields.pop("layers", None)
        if models is None and layers is None:
            return fields
        teams = self.layers if layers is None else self._layers(layers)
        if models is not None:
            teams = (team_of(models, "moa.models"),) * len(teams)
        return {**fields, "layers": teams}

    def _layers(self, asked: Any) -> tuple[tuple[Agent, ...], ...]:
        count = len(asked) if isinstance(asked, list | tuple) else asked
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_LAYERS:
            raise InvalidRequest(
                f"Set 'moa.layers' to a number from 1 to {MAX_LAYERS} or a list of as many teams, not {shown(asked)}.",
                "moa.layers",
            )
        if isinstance(asked, int):
            return tuple(self.layers[min(number, len(self.layers) - 1)] for number in range(count))
        return tuple(team_of(team, f"moa.layers[{number}]") for number, team in enumerate(asked))

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        return await self.aggregated(run, self._references, self.aggregator, self.layers[-1])

    async def _references(self, run: Run) -> References:
        references: References = ()
        for number, (layer, following) in enumerate(pairwise((*self.layers, (self.aggregator,))), start=1):
            if references and run.late:
                run.degrade(LAYERS_LEFT_OUT())
                break
            final = number == len(self.layers)
            references = await run.propose(
                layer,
                Task(references),
                feeding=following,
                feeding_final=final,
                team=self.proposers_of_all_layers(),
                steps=len(self.layers) - number + 1,
            )
            if run.concluded:
                break
        return references
