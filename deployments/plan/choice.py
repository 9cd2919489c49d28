"""Choice of an EC2 instance type for each model of a profile, and of the nodes that its replicas share."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

from deployments.config import Profile
from deployments.model_shape import ModelShape
from deployments.model_spec import ModelSpec
from deployments.plan.adapter_memory import adapter_bytes
from deployments.plan.answer_tokens import Call, aggregator
from deployments.plan.memory import GIB, GPU_OVERHEAD_GIB, GPU_SHARE
from deployments.plan.packing import Replica, fits, pack
from deployments.plan.prices import Assumptions, Instance, Price, Prices
from deployments.plan.roofline import Roofline
from serving.errors import ConfigError

CONTEXTS_CACHED = 4  # number of full contexts that must fit into the key-value cache


@dataclass(frozen=True, slots=True)
class Choice:
    """A model on an instance type that can serve it.

    Prices per hour are those of hours in which the model runs: for `replicas.min` 0, with one replica. Of a node that
    several models share, each has the part of the GPUs that it uses.
    """

    model: ModelSpec
    instance_name: str
    instance: Instance
    price: Price
    nodes: float  # for `replicas`
    on_demand_nodes: float  # of `nodes`, never on spot

    @property
    def replicas(self) -> int:
        """Number of replicas while the model runs."""
        return max(self.model.replicas.min, 1)

    @property
    def always_runs(self) -> bool:
        """False if the model's last replica is stopped while it has no requests (`replicas.min` 0)."""
        return self.model.replicas.min > 0

    @property
    def gpus(self) -> float:
        """GPUs while the model runs; a fraction if it uses parts of them."""
        return self.model.gpus * self.model.gpu_share * self.replicas

    @property
    def spot_nodes(self) -> float:
        """Nodes that are on spot if there is capacity."""
        return self.nodes - self.on_demand_nodes

    @property
    def on_demand(self) -> float:
        """Dollars per hour with every node on demand."""
        return self.nodes * self.price.on_demand

    @property
    def spot(self) -> tuple[float, float]:
        """Dollars per hour with `on_demand_nodes` on demand and the rest on spot, cheapest zone first."""
        floor = self.on_demand_nodes * self.price.on_demand
        return floor + self.spot_nodes * self.price.spot[0], floor + self.spot_nodes * self.price.spot[1]

    def roofline(self, assumed: Assumptions) -> Roofline:
        """Roofline of one replica, as `roofline_on`."""
        return roofline_on(self.model, self.instance, assumed)

    def seconds(self, call: Call, assumed: Assumptions) -> float:
        """Time that one replica, running full batches of such calls, spends on one of them."""
        return busy_s(self.roofline(assumed), call, assumed)

    def usd_per_million_tokens(self, assumed: Assumptions) -> tuple[float, float]:
        """Dollars for prompt and for completion tokens of a proposer, at the cheapest price and assumed utilization."""
        usd_per_s = self.spot[0] / self.replicas / 3600 / assumed.utilization
        prompt_s = self.seconds(Call(assumed.prompt_tokens, 0), assumed)
        answer_s = self.seconds(Call(assumed.prompt_tokens, assumed.answer_tokens), assumed) - prompt_s
        return prompt_s / assumed.prompt_tokens * 1e6 * usd_per_s, answer_s / assumed.answer_tokens * 1e6 * usd_per_s


def roofline_on(model: ModelSpec, instance: Instance, assumed: Assumptions) -> Roofline:
    """Roofline of one replica at the assumed shares of the GPUs' specification.

    A model on a part of a GPU has that part of its speed, as while the others are busy.
    """
    assert model.shape is not None
    gpus = model.gpus * model.gpu_share
    bytes_per_s = gpus * instance.bandwidth_gb_s * 1e9 * assumed.bandwidth_share
    return Roofline(model.shape, bytes_per_s, gpus * instance.tflops * 1e12 * assumed.compute_share)


def busy_s(roofline: Roofline, call: Call, assumed: Assumptions) -> float:
    """Time that one replica, running full batches of such calls, spends on one of them."""
    return roofline.busy_s(call.prompt_tokens, call.answer_tokens, batch=assumed.decode_batch, choices=call.choices)


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


def candidates(model: ModelSpec, prices: Prices) -> list[str]:
    """Instance types of the region that hold the model's weights and key-value cache.

    Raises:
        ConfigError: the model's sizes are unknown, or there is none.
    """
    required_mib, replica = gpu_memory_mib(model), replica_of(model, prices.assumed)
    hardware = prices.hardware
    found = [
        name
        for name in prices.here.instances
        if hardware[name].gpu_memory_mib >= required_mib and fits(replica, hardware[name])
    ]
    if not found:
        raise ConfigError(
            f"No instance type in prices.yaml has {model.gpus} GPUs of {required_mib / 1024:.0f} GiB for '{model.id}'"
            f" in {prices.region}; raise its tensor_parallel_size."
        )
    return found


def replica_of(model: ModelSpec, assumed: Assumptions) -> Replica:
    """Needs of one replica: its GPUs, and memory of the node for its weights while they are loaded and its processes.

    Raises:
        ConfigError: as `gpu_memory_mib`.
    """
    shape = _shape(model)
    return Replica(model.id, model.gpus, model.gpu_share, shape.weight_bytes / GIB + assumed.host_memory_gib)


def _shape(model: ModelSpec) -> ModelShape:
    if model.shape is None or not model.gpus:
        raise ConfigError(f"'{model.id}' has no 'shape' or uses no GPU; costs are computed for models on GPUs only.")
    return model.shape


def gpu_memory_mib(model: ModelSpec) -> int:
    """Memory that one GPU needs: its part of weights and cache, plus overhead, divided by vLLM's share of the GPU.

    Raises:
        ConfigError: the model has no `shape`, or needs no GPU.
    """
    shape = _shape(model)
    cache_bytes = CONTEXTS_CACHED * (shape.kv_bytes_per_token * model.context_tokens + shape.window_bytes)
    if (fixed_cache := model.engine_kwargs.get("kv_cache_memory_bytes")) is not None:
        cache_bytes = model.gpus * int(fixed_cache)
    fixed_bytes = shape.weight_bytes + adapter_bytes(model, shape)
    per_gpu_gib = (fixed_bytes + cache_bytes) / model.gpus / GIB + GPU_OVERHEAD_GIB
    return math.ceil(per_gpu_gib / float(model.engine_kwargs.get("gpu_memory_utilization", GPU_SHARE)) * 1024)


def rooflines(chosen: Mapping[str, Choice], assumed: Assumptions) -> dict[str, Roofline]:
    """Roofline of each model that generates text, by id."""
    return {name: choice.roofline(assumed) for name, choice in chosen.items() if choice.model.generates}
