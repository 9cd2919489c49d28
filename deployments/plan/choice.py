"""A model on an EC2 instance type: the types that can serve it, its price and its roofline."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from deployments.model_shape import ModelShape
from deployments.model_spec import ModelSpec
from deployments.plan.adapter_memory import adapter_bytes
from deployments.plan.answer_tokens import Call
from deployments.plan.memory import GIB, GPU_OVERHEAD_GIB, GPU_SHARE
from deployments.plan.packing import Replica, fits
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
