"""Placement of a profile's models: an EC2 instance type for each, and the nodes that their replicas share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

from deployments.config import Profile
from deployments.model_spec import ModelSpec
from deployments.plan.answer_tokens import aggregator
from deployments.plan.choice import Choice, candidates, replica_of
from deployments.plan.packing import Replica, pack
from deployments.plan.prices import Prices
from serving.errors import ConfigError

Count = Callable[[ModelSpec, str], int]  # replicas of a model on an instance type


@dataclass(frozen=True)
class Placement:
    """Models on nodes. Replicas that are kept on demand, and models that stop, have nodes of their own."""

    prices: Prices
    models: Mapping[str, ModelSpec]
    kept: str | None = None  # id of the model of which one replica is always on demand
    count: Count | None = None  # None: the minimum of each model
    types: Mapping[str, str] = field(default_factory=dict)  # instance type of each model

    def on(self, name: str, models: Iterable[str]) -> "Placement":
        """The placement with `models` on the instance type `name`."""
        return replace(self, types={**self.types, **dict.fromkeys(models, name)})

    def with_replicas(self, replicas: Mapping[str, int]) -> "Placement":
        """The placement with other numbers of replicas, on the same instance types."""
        models = {name: resized(model, replicas[name]) for name, model in self.models.items() if replicas[name]}
        return replace(self, models=models, count=None)

    @property
    def sized(self) -> dict[str, ModelSpec]:
        """Models with their numbers of replicas, by id."""
        count = self.count
        if count is None:
            return dict(self.models)
        return {name: resized(model, count(model, self.types[name])) for name, model in self.models.items()}

    @property
    def choices(self) -> dict[str, Choice]:
        """Choice of each model, by id."""
        spot, on_demand = self._nodes(floor=False), self._nodes(floor=True)
        prices = self.prices
        return {
            name: Choice(
                model,
                self.types[name],
                prices.hardware[self.types[name]],
                prices.here.instances[self.types[name]],
                spot.get(name, 0.0) + on_demand.get(name, 0.0),
                on_demand.get(name, 0.0),
            )
            for name, model in self.sized.items()
        }

    @property
    def cost(self) -> tuple[float, float, float]:
        """Dollars per hour: spot first in the cheapest zone, on demand, and spot first in the most expensive zone."""
        found = self.choices.values()
        hourly = (sum(c.spot[0] for c in found), sum(c.on_demand for c in found), sum(c.spot[1] for c in found))
        return round(hourly[0], 6), round(hourly[1], 6), round(hourly[2], 6)

    def _nodes(self, *, floor: bool) -> dict[str, float]:
        found: dict[str, float] = {}
        models = self.sized.values()
        for name in dict.fromkeys(self.types[model.id] for model in models):
            for runs in (True, False):
                members = [m for m in models if self.types[m.id] == name and (m.replicas.min > 0) == runs]
                replicas = [(self._replica(m), self._replicas(m, floor=floor)) for m in members]
                found |= pack(replicas, self.prices.hardware[name])
        return found

    def _replicas(self, model: ModelSpec, *, floor: bool) -> int:
        kept = int(self._keeps(model))
        return kept if floor else max(model.replicas.min, 1) - kept

    def _keeps(self, model: ModelSpec) -> bool:
        """True if one replica is always on demand: of the kept model, and of those that share its GPU."""
        first = self.models.get(self.kept or "")
        return first is not None and (model.id == first.id or max(model.gpu_share, first.gpu_share) < 1)

    def _replica(self, model: ModelSpec) -> Replica:
        return replica_of(model, self.prices.assumed)


def resized(model: ModelSpec, replicas: int) -> ModelSpec:
    """The model with this minimum number of replicas."""
    most = None if model.replicas.max is None else max(model.replicas.max, replicas)
    return model.model_copy(update={"replicas": model.replicas.model_copy(update={"min": replicas, "max": most})})


def choose(model: ModelSpec, prices: Prices, *, on_demand_replicas: int = 0) -> Choice:
    """Choose the cheapest instance type, at spot prices, for a model alone. `on_demand_replicas` is 0 or 1.

    Raises:
        ConfigError: as `placed`.
    """
    return placed([model], prices, model.id if on_demand_replicas else None).choices[model.id]


def choices(profile: Profile, prices: Prices) -> dict[str, Choice]:
    """Choices of each model, by id, as `placed`. One replica of the aggregator stays on demand: answers stay possible.

    Raises:
        ConfigError: as `placed` and `check_serves`.
    """
    check_serves(profile)
    return placed(profile.models, prices, profile.base_of(aggregator(profile))).choices


def check_serves(profile: Profile) -> None:
    """Raise ConfigError if all models of the profile are behind endpoints."""
    if not profile.models:
        raise ConfigError(f"'{profile.name}' serves no model itself; costs are computed for models on GPUs only.")


def placed(
    models: Iterable[ModelSpec], prices: Prices, kept: str | None = None, count: Count | None = None
) -> Placement:
    """Choose instance types: for each model the cheapest that can serve it, then shared nodes where they cost less.

    Args:
        models: the models.
        prices: prices of a region.
        kept: id of the model of which one replica is always on demand.
        count: replicas of a model on an instance type; None: the model's minimum, or one.

    Raises:
        ConfigError: a model's sizes are unknown, or no instance type of the region is large enough.
    """
    found = Placement(prices, {model.id: model for model in models}, kept, count)
    able = {name: candidates(model, prices) for name, model in found.models.items()}
    for name, model in found.models.items():
        alone = Placement(prices, {name: model}, kept, count)
        costs = {one: alone.on(one, [name]).cost for one in able[name]}
        found = found.on(min(costs, key=costs.__getitem__), [name])
    while (better := min(_savings(found, able), key=lambda moved: moved.cost, default=None)) is not None:
        found = better
    return found


def _savings(found: Placement, able: Mapping[str, list[str]]) -> Iterator[Placement]:
    """Moves that cost less in the cheapest zone and no more in the most expensive one."""
    spot, _, dearest = found.cost
    return (moved for moved in _moves(found, able) if moved.cost[0] < spot and moved.cost[2] <= dearest)


def _moves(found: Placement, able: Mapping[str, list[str]]) -> Iterator[Placement]:
    """Placements with one model, two models or all of them on another instance type."""
    for name in found.prices.here.instances:
        movable = [model for model in found.models if name in able[model]]
        for size in {1, 2, len(movable)} - {0}:
            for group in combinations(movable, size):
                yield found.on(name, group)
