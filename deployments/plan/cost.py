"""Cost of a profile on AWS, and its capacity: `python -m deployments.plan large --cost`.

Prices and assumptions are in `prices.yaml`, with their date. Throughput is a roofline estimate from the GPUs' data
sheets, not a measurement.
"""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from deployments.config import Profile
from deployments.model_spec import ModelSpec
from deployments.plan.adapter_memory import adapter_bytes
from deployments.plan.memory import GIB, GPU_OVERHEAD_GIB, GPU_SHARE
from serving.conversation import Message
from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest, Sampling

PRICES = Path(__file__).parent / "prices.yaml"
ONE_MODEL = "one model"  # label of the row to compare recipes with
CONTEXTS_CACHED = 4  # number of full contexts that must fit into the key-value cache
UPGRADE_H = 0.5  # time for which a second cluster runs in parallel during an upgrade


class Table(BaseModel):
    """A part of prices.yaml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Instance(Table):
    """An EC2 instance type with its GPUs and prices."""

    gpu: str
    gpus: int = Field(ge=1)
    gpu_memory_mib: int
    bandwidth_gb_s: float
    tflops: float
    on_demand: float = Field(gt=0, description="Dollars per hour.")
    spot: tuple[float, float] = Field(description="Dollars per hour in the cheapest and in the most expensive zone.")
    spot_of: str | None = Field(default=None, description="Region and date of the spot prices, if not the file's.")


class Assumptions(Table):
    """Load and efficiency that capacity is computed with."""

    decode_batch: int
    bandwidth_share: float
    compute_share: float
    utilization: float
    prompt_tokens: int
    answer_tokens: int


class Prices(Table):
    """The content of prices.yaml."""

    date: str
    region: str
    hours_per_month: int
    instances: Mapping[str, Instance]
    fixed_per_hour: Mapping[str, float]
    assumed: Assumptions


@dataclass(frozen=True, slots=True)
class Choice:
    """A model on the cheapest instance type that can serve it."""

    model: ModelSpec
    instance_name: str
    instance: Instance
    nodes: int  # for the minimum number of replicas
    on_demand_nodes: int  # of `nodes`, never on spot

    @property
    def on_demand(self) -> float:
        """Dollars per hour with every node on demand."""
        return self.nodes * self.instance.on_demand

    @property
    def spot(self) -> tuple[float, float]:
        """Dollars per hour with `on_demand_nodes` on demand and the rest on spot, cheapest zone first."""
        on_demand = self.on_demand_nodes * self.instance.on_demand
        spot_nodes = self.nodes - self.on_demand_nodes
        return on_demand + spot_nodes * self.instance.spot[0], on_demand + spot_nodes * self.instance.spot[1]

    def seconds(self, prompt_tokens: int, completion_tokens: int, assumed: Assumptions) -> float:
        """Time that one replica, running full batches, spends on these tokens."""
        shape = self.model.shape
        assert shape is not None
        gpus = self.model.gpus
        step_s = shape.weight_bytes / (gpus * self.instance.bandwidth_gb_s * 1e9 * assumed.bandwidth_share)
        flops = gpus * self.instance.tflops * 1e12 * assumed.compute_share
        prefill_s = prompt_tokens * 2 * (shape.active_parameters or shape.parameters) / flops
        return prefill_s + completion_tokens * step_s / assumed.decode_batch

    def usd_per_million_tokens(self, assumed: Assumptions) -> tuple[float, float]:
        """Dollars for prompt and for completion tokens, at the cheapest price and the assumed utilization."""
        usd_per_s = self.spot[0] / self.model.replicas.min / 3600 / assumed.utilization
        return self.seconds(10**6, 0, assumed) * usd_per_s, self.seconds(0, 10**6, assumed) * usd_per_s


def load_prices(path: Path = PRICES) -> Prices:
    """Read and validate prices.yaml."""
    raw = yaml.safe_load(path.read_text())
    return Prices.model_validate({**raw, "date": str(raw["date"])})


def choose(model: ModelSpec, prices: Prices, *, on_demand_replicas: int = 0) -> Choice:
    """Choose the cheapest instance type, at spot prices, whose GPUs hold the model's weights and key-value cache.

    Raises:
        ConfigError: the model's sizes are unknown, or no instance type is large enough.
    """
    required_mib = gpu_memory_mib(model)
    candidates = [
        Choice(
            model,
            name,
            instance,
            _nodes(model, model.replicas.min, instance),
            _nodes(model, on_demand_replicas, instance),
        )
        for name, instance in prices.instances.items()
        if instance.gpus >= model.gpus and instance.gpu_memory_mib >= required_mib
    ]
    if not candidates:
        raise ConfigError(
            f"No instance type in prices.yaml has {model.gpus} GPUs of {required_mib / 1024:.0f} GiB for '{model.id}';"
            " raise its tensor_parallel_size."
        )
    return min(candidates, key=lambda choice: (choice.spot[0], choice.on_demand))


def choices(profile: Profile, prices: Prices) -> dict[str, Choice]:
    """`choose` for each model, by id. One replica of the aggregator stays on demand, so that answers stay possible.

    Raises:
        ConfigError: as `choose`.
    """
    kept = profile.base_of(_aggregator(profile))
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


async def tokens_per_answer(profile: Profile, assumed: Assumptions) -> dict[str, dict[str, tuple[int, int]]]:
    """Recipe -> model -> (prompt tokens, completion tokens) of one answer, counted by running each recipe.

    The engines are scripted: each answers with the assumed number of words, and one word counts as one token.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    answer = " ".join(["word"] * assumed.answer_tokens)
    question = Message("user", " ".join(["word"] * assumed.prompt_tokens))
    recipes = load_recipes(profile.recipes, profile.team)
    alone = [ONE_MODEL] if any(model.generates for model in profile.models) else []
    for name in (*recipes, *alone):
        engines = {model.id: ScriptedEngine(model.id, answer) for model in profile.generating}
        orchestrator = Orchestrator(engines, recipes)
        engine_id = _aggregator(profile) if name == ONE_MODEL else name
        request = GenerateRequest("cost", (question,), Sampling(max_tokens=assumed.answer_tokens, temperature=0))
        await complete(engine_id, orchestrator.engines[engine_id], request)
        work: dict[str, tuple[int, int]] = {}
        for model, engine in engines.items():
            if engine.requests:  # an adapter's tokens are computed on the GPUs of its model
                before, tokens = work.get(profile.base_of(model), (0, 0)), _tokens(engine)
                work[profile.base_of(model)] = (before[0] + tokens[0], before[1] + tokens[1])
        found[name] = work
    return found


def _tokens(engine: ScriptedEngine) -> tuple[int, int]:
    """Prompt and completion tokens of the engine's calls; prefills save theirs in these calls."""
    calls = engine.requests
    prompt_tokens = sum(len(message.content.split()) for call in calls for message in call.messages)
    answer_tokens = len(str(engine.answer).split())
    completion_tokens = sum(
        min(call.sampling.max_tokens or answer_tokens, answer_tokens) * call.sampling.n for call in calls
    )
    return prompt_tokens, completion_tokens


def _aggregator(profile: Profile) -> str:
    first = next((model for model in profile.models if model.generates), profile.models[0])
    named = profile.team.get("aggregator", first.id)
    return named if isinstance(named, str) else named[0]


def report(profile: Profile, prices: Prices | None = None) -> str:
    """Return the page as text.

    Raises:
        ConfigError: the profile has models without GPUs, or no instance type is large enough.
    """
    prices = prices or load_prices()
    chosen = choices(profile, prices)
    fixed = sum(prices.fixed_per_hour.values())
    return "\n".join(
        [
            f"{profile.name} on AWS, {prices.region}, prices of {prices.date}; one replica of"
            f" {_aggregator(profile)} stays on demand",
            "",
            *_costs(profile, chosen, prices, fixed),
            "",
            *_capacities(profile, chosen, prices, fixed),
            "",
            "A recipe's row counts the nodes of the models that it calls, for the whole month.",
        ]
    )


def _costs(profile: Profile, chosen: Mapping[str, Choice], prices: Prices, fixed: float) -> Iterator[str]:
    yield (
        f"{'model':<20} {'GPUs':>18} {'instances':>18} {'on demand/h':>12} {'spot first/h':>16}"
        f" {'$/M prompt':>11} {'$/M answer':>11}"
    )
    for choice in chosen.values():
        gpus = f"{choice.model.gpus * choice.model.replicas.min} x {choice.instance.gpu}"
        prompt, answer = choice.usd_per_million_tokens(prices.assumed)
        written = f"{answer:.2f}" if choice.model.generates else "-"
        yield (
            f"{choice.model.id:<20} {gpus:>18} {f'{choice.nodes} x {choice.instance_name}':>18}"
            f" {choice.on_demand:>12.2f} {_range(choice.spot):>16} {prompt:>11.2f} {written:>11}"
        )
    hours, gpu_count = prices.hours_per_month, profile.gpus
    on_demand = sum(choice.on_demand for choice in chosen.values())
    spot = [sum(choice.spot[zone] for choice in chosen.values()) for zone in (0, 1)]
    yield f"{'nodes without GPUs, storage, network':<58} {fixed:>12.2f} {fixed:>16.2f}"
    yield _total("total per hour", fixed + on_demand, [fixed + zone for zone in spot])
    yield _total("total per month", (fixed + on_demand) * hours, [(fixed + zone) * hours for zone in spot], ",.0f")
    yield ""
    yield _total("one GPU per hour", on_demand / gpu_count, [zone / gpu_count for zone in spot])
    label = f"an upgrade: {gpu_count:g} more GPUs for half an hour"
    yield _total(label, on_demand * UPGRADE_H, [zone * UPGRADE_H for zone in spot])
    yield from sorted(
        {
            f"Spot prices of {choice.instance_name} are those of {choice.instance.spot_of}."
            for choice in chosen.values()
            if choice.instance.spot_of
        }
    )


def _capacities(profile: Profile, chosen: Mapping[str, Choice], prices: Prices, fixed: float) -> Iterator[str]:
    assumed, hours = prices.assumed, prices.hours_per_month
    yield (
        f"Capacity for {assumed.prompt_tokens} prompt tokens and {assumed.answer_tokens} tokens from each agent, as a"
        f" roofline at {assumed.utilization:.0%} utilization:"
    )
    yield ""
    yield (
        f"{'recipe':<20} {'tokens/answer':>14} {'answers/month':>14} {'tokens/month':>14} {'$/1,000 at full load':>22}"
        f" {'$/1,000 at 300,000':>20}"
    )
    for name, work in asyncio.run(tokens_per_answer(profile, assumed)).items():
        busy_s = {model: chosen[model].seconds(*tokens, assumed) for model, tokens in work.items()}
        capacity = min(
            chosen[model].model.replicas.min * assumed.utilization * hours * 3600 / seconds
            for model, seconds in busy_s.items()
        )
        month = [(fixed + sum(chosen[model].spot[zone] for model in work)) * hours for zone in (0, 1)]
        tokens = sum(prompt + completion for prompt, completion in work.values())
        full_load = _range([usd / capacity * 1000 for usd in month])
        partial_load = _range([usd / 300 for usd in month]) if capacity >= 300_000 else "does not fit"
        label = f"{ONE_MODEL} ({_aggregator(profile)})" if name == ONE_MODEL else name
        yield (
            f"{label:<20} {tokens:>14,} {capacity:>14,.0f} {capacity * tokens:>14,.0f} {full_load:>22}"
            f" {partial_load:>20}"
        )


def _total(name: str, on_demand: float, spot: Sequence[float], form: str = ".2f") -> str:
    return f"{name:<58} {on_demand:>12{form}} {_range(spot, form):>16}"


def _range(dollars: Sequence[float], form: str = ".2f") -> str:
    return f"{dollars[0]:{form}} - {dollars[1]:{form}}"
