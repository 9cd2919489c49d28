"""Choice of an EC2 instance type for each model of a profile."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from deployments.config import Profile
from deployments.model_spec import ModelSpec
from deployments.plan.adapter_memory import adapter_bytes
from deployments.plan.answer_tokens import Call, aggregator
from deployments.plan.memory import GIB, GPU_OVERHEAD_GIB, GPU_SHARE
from deployments.plan.prices import Assumptions, Instance, Price, Prices
from deployments.plan.roofline import Roofline
from serving.errors import ConfigError

CONTEXTS_CACHED = 4  # number of full contexts that must fit into the key-value cache


@dataclass(frozen=True, slots=True)
class Choice:
    """A model on the cheapest instance type that can serve it.

    Prices per hour are those of hours in which the model runs: for `replicas.min` 0, with one replica.
    """

    model: ModelSpec
    instance_name: str
    instance: Instance
    price: Price
    nodes: int  # for `replicas`
    on_demand_nodes: int  # of `nodes`, never on spot

    @property
    def replicas(self) -> int:
        """Number of replicas while the model runs."""
        return max(self.model.replicas.min, 1)

    @property
    def always_runs(self) -> bool:
        """False if the model's last replica is stopped while it has no requests (`replicas.min` 0)."""
        return self.model.replicas.min > 0

    @property
    def gpus(self) -> int:
        """GPUs while the model runs."""
        return self.model.gpus * self.replicas

    @property
    def spot_nodes(self) -> int:
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

    def nodes_for(self, replicas: int) -> int:
        """Nodes that hold so many replicas."""
        return _nodes(self.model, replicas, self.instance)

    def roofline(self, assumed: Assumptions) -> Roofline:
        """Roofline of one replica at the assumed shares of the GPUs' specification."""
        shape, gpus = self.model.shape, self.model.gpus
        assert shape is not None
        bytes_per_s = gpus * self.instance.bandwidth_gb_s * 1e9 * assumed.bandwidth_share
        return Roofline(shape, bytes_per_s, gpus * self.instance.tflops * 1e12 * assumed.compute_share)

    def seconds(self, call: Call, assumed: Assumptions) -> float:
        """Time that one replica, running full batches of such calls, spends on one of them."""
        roofline = self.roofline(assumed)
        return roofline.busy_s(call.prompt_tokens, call.answer_tokens, batch=assumed.decode_batch, choices=call.choices)

    def usd_per_million_tokens(self, assumed: Assumptions) -> tuple[float, float]:
        """Dollars for prompt and for completion tokens of a proposer, at the cheapest price and assumed utilization."""
        usd_per_s = self.spot[0] / self.replicas / 3600 / assumed.utilization
        prompt_s = self.seconds(Call(assumed.prompt_tokens, 0), assumed)
        answer_s = self.seconds(Call(assumed.prompt_tokens, assumed.answer_tokens), assumed) - prompt_s
        return prompt_s / assumed.prompt_tokens * 1e6 * usd_per_s, answer_s / assumed.answer_tokens * 1e6 * usd_per_s


def choose(model: ModelSpec, prices: Prices, *, on_demand_replicas: int = 0) -> Choice:
    """Choose the cheapest instance type, at spot prices, whose GPUs hold the model's weights and key-value cache.

    Raises:
        ConfigError: the model's sizes are unknown, or no instance type of the region is large enough.
    """
    required_mib = gpu_memory_mib(model)
    candidates = [
        Choice(
            model,
            name,
            instance,
            price,
            _nodes(model, max(model.replicas.min, 1), instance),
            _nodes(model, on_demand_replicas, instance),
        )
        for name, price in prices.here.instances.items()
        if (instance := prices.hardware[name]).gpus >= model.gpus and instance.gpu_memory_mib >= required_mib
    ]
    if not candidates:
        raise ConfigError(
            f"No instance type in prices.yaml has {model.gpus} GPUs of {required_mib / 1024:.0f} GiB for '{model.id}'"
            f" in {prices.region}; raise its tensor_parallel_size."
        )
    return min(candidates, key=lambda choice: (choice.spot[0], choice.on_demand))


def choices(profile: Profile, prices: Prices) -> dict[str, Choice]:
    """`choose` for each model, by id. One replica of the aggregator stays on demand, so that answers stay possible.

    Raises:
        ConfigError: as `choose`; or all models are behind endpoints.
    """
    if not profile.models:
        raise ConfigError(f"'{profile.name}' serves no model itself; costs are computed for models on GPUs only.")
    kept = profile.base_of(aggregator(profile))
    return {model.id: choose(model, prices, on_demand_replicas=int(model.id == kept)) for model in profile.models}


def _nodes(model: ModelSpec, replicas: int, instance: Instance) -> int:
    return math.ceil(replicas / (instance.gpus // model.gpus))


def gpu_memory_mib(model: ModelSpec) -> int:
    """Memory that one GPU needs: its part of weights and cache, plus overhead, divided by vLLM's share of the GPU.

    Raises:
        ConfigError: the model has no `shape`, needs no GPU, or shares one.
    """
    if model.shape is None or not model.gpus:
        raise ConfigError(f"'{model.id}' has no 'shape' or uses no GPU; costs are computed for models on GPUs only.")
    if model.gpu_share < 1:
        raise ConfigError(f"'{model.id}' shares its GPU; costs are computed for models on whole GPUs only.")
    cache_bytes = CONTEXTS_CACHED * (model.shape.kv_bytes_per_token * model.context_tokens + model.shape.window_bytes)
    fixed_bytes = model.shape.weight_bytes + adapter_bytes(model, model.shape)
    per_gpu_gib = (fixed_bytes + cache_bytes) / model.gpus / GIB + GPU_OVERHEAD_GIB
    return math.ceil(per_gpu_gib / float(model.engine_kwargs.get("gpu_memory_utilization", GPU_SHARE)) * 1024)


def rooflines(chosen: Mapping[str, Choice], assumed: Assumptions) -> dict[str, Roofline]:
    """Roofline of each model that generates text, by id."""
    return {name: choice.roofline(assumed) for name, choice in chosen.items() if choice.model.generates}
