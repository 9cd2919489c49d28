"""What a profile costs on AWS, and what it can serve for that: `python -m deployments.plan large --cost`.

Prices and assumptions are in `prices.yaml`, dated. Throughput is a roofline from the GPUs' figures, not a measurement.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from deployments.config import ModelSpec, Profile
from deployments.plan.memory import GIB, GPU_OVERHEAD_GIB, GPU_SHARE
from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest, Message, Sampling

PRICES = Path(__file__).parent / "prices.yaml"
ONE_MODEL = "one model"  # the row to compare recipes with
CONTEXTS_CACHED = 4  # full contexts that the key-value cache must hold
UPGRADE_H = 0.5  # for which a second cluster runs beside the first


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Instance(Table):
    gpu: str
    gpus: int = Field(ge=1)
    gpu_memory_mib: int
    bandwidth_gb_s: float
    tflops: float
    on_demand: float = Field(gt=0, description="Dollars an hour.")
    spot: tuple[float, float] = Field(description="Dollars an hour in the cheapest and in the dearest zone.")
    spot_of: str | None = Field(default=None, description="Where and when, if not the file's region and date.")


class Assumed(Table):
    decode_batch: int
    bandwidth_share: float
    compute_share: float
    utilization: float
    prompt_tokens: int
    answer_tokens: int


class Prices(Table):
    date: str
    region: str
    hours_per_month: int
    instances: Mapping[str, Instance]
    fixed_per_hour: Mapping[str, float]
    assumed: Assumed


@dataclass(frozen=True, slots=True)
class Choice:
    """A model on the instance that serves it at the least price."""

    model: ModelSpec
    instance_name: str
    instance: Instance
    nodes: int  # for the least number of replicas
    floor_nodes: int  # of these, on demand

    @property
    def on_demand(self) -> float:
        return self.nodes * self.instance.on_demand

    @property
    def spot(self) -> tuple[float, float]:
        """Dollars an hour, the floor on demand and the rest on spot, in the cheapest and in the dearest zone."""
        floor, rest = self.floor_nodes * self.instance.on_demand, self.nodes - self.floor_nodes
        return floor + rest * self.instance.spot[0], floor + rest * self.instance.spot[1]

    def seconds(self, prompt_tokens: int, completion_tokens: int, assumed: Assumed) -> float:
        """Of one replica, for so many tokens among a full batch's."""
        assert self.model.shape is not None
        gpus = self.model.gpus
        step_s = self.model.shape.weight_bytes / (gpus * self.instance.bandwidth_gb_s * 1e9 * assumed.bandwidth_share)
        flops = gpus * self.instance.tflops * 1e12 * assumed.compute_share
        prefill_s = prompt_tokens * 2 * self.model.shape.parameters / flops
        return prefill_s + completion_tokens * step_s / assumed.decode_batch

    def usd_per_million_tokens(self, assumed: Assumed) -> tuple[float, float]:
        """Of prompt and of completion, at the cheapest price and the assumed utilization."""
        usd_per_s = self.spot[0] / self.model.replicas.min / 3600 / assumed.utilization
        return self.seconds(10**6, 0, assumed) * usd_per_s, self.seconds(0, 10**6, assumed) * usd_per_s


def load_prices(path: Path = PRICES) -> Prices:
    raw = yaml.safe_load(path.read_text())
    return Prices.model_validate({**raw, "date": str(raw["date"])})


def choose(model: ModelSpec, prices: Prices, *, floor: int = 0) -> Choice:
    """The cheapest instance, at spot prices, whose GPUs hold the model's weights and key-value cache.

    Raises:
        ConfigError: the model's sizes are not known, or no instance is large enough.
    """
    need_mib = gpu_memory_mib(model)
    choices = [
        Choice(model, name, instance, _nodes(model, model.replicas.min, instance), _nodes(model, floor, instance))
        for name, instance in prices.instances.items()
        if instance.gpus >= model.gpus and instance.gpu_memory_mib >= need_mib
    ]
    if not choices:
        raise ConfigError(
            f"No instance in prices.yaml has {model.gpus} GPUs of {need_mib / 1024:.0f} GiB for '{model.id}'; raise its"
            " tensor_parallel_size."
        )
    return min(choices, key=lambda choice: (choice.spot[0], choice.on_demand))


def _nodes(model: ModelSpec, replicas: int, instance: Instance) -> int:
    return math.ceil(replicas / (instance.gpus // model.gpus))


def gpu_memory_mib(model: ModelSpec) -> int:
    """What one GPU must have: its part of the weights and of the cache, the overhead, over vLLM's share."""
    if model.shape is None or not model.gpus:
        raise ConfigError(f"'{model.id}' has no 'shape', or needs no GPU; costs are reckoned for models on GPUs.")
    cache_bytes = model.shape.kv_bytes_per_token * CONTEXTS_CACHED * model.context_tokens
    per_gpu_gib = (model.shape.weight_bytes + cache_bytes) / model.gpus / GIB + GPU_OVERHEAD_GIB
    return math.ceil(per_gpu_gib / float(model.engine_kwargs.get("gpu_memory_utilization", GPU_SHARE)) * 1024)


async def tokens_per_answer(profile: Profile, assumed: Assumed) -> dict[str, dict[str, tuple[int, int]]]:
    """Recipe -> model -> (prompt tokens, completion tokens) of one answer, found by running each recipe.

    The engines are scripted: each answers with as many words as the assumption says, and counts what it is asked.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    answer = " ".join(["word"] * assumed.answer_tokens)
    question = Message("user", " ".join(["word"] * assumed.prompt_tokens))
    recipes = load_recipes(profile.recipes, profile.team)
    for name in (*recipes, ONE_MODEL):
        engines = {model.id: ScriptedEngine(model.id, answer) for model in profile.models}
        orchestrator = Orchestrator(engines, recipes)
        asked = _aggregator(profile) if name == ONE_MODEL else name
        request = GenerateRequest("cost", (question,), Sampling(max_tokens=assumed.answer_tokens, temperature=0))
        await complete(asked, orchestrator.engines[asked], request)
        found[name] = {model: _tokens(engine) for model, engine in engines.items() if engine.requests}
    return found


def _tokens(engine: ScriptedEngine) -> tuple[int, int]:
    """Asked of the engine, prompts that were only computed ahead left out: the prefix cache has them already."""
    calls = [request for request in engine.requests if request.prefill_marker is None]
    prompts = sum(len(message.content.split()) for call in calls for message in call.messages)
    most = len(str(engine.answer).split())
    return prompts, sum(min(call.sampling.max_tokens or most, most) * call.sampling.n for call in calls)


def _aggregator(profile: Profile) -> str:
    named = profile.team.get("aggregator", profile.models[0].id)
    return named if isinstance(named, str) else named[0]


def report(profile: Profile, prices: Prices | None = None) -> str:
    """The whole page, as text. Raises `ConfigError` where the profile has models without GPUs."""
    prices = prices or load_prices()
    assumed, hours = prices.assumed, prices.hours_per_month
    floor_id = _aggregator(profile)
    choices = {m.id: choose(m, prices, floor=1 if m.id == floor_id else 0) for m in profile.models}
    lines = [
        f"{profile.name} on AWS, {prices.region}, prices of {prices.date}; one replica of {floor_id} stays on demand",
        "",
        f"{'model':<20} {'GPUs':>18} {'instances':>18} {'on demand/h':>12} {'spot first/h':>16}"
        f" {'$/M prompt':>11} {'$/M answer':>11}",
    ]
    for choice in choices.values():
        gpus = f"{choice.model.gpus * choice.model.replicas.min} x {choice.instance.gpu}"
        low, high = choice.spot
        prompt, answer = choice.usd_per_million_tokens(assumed)
        lines.append(
            f"{choice.model.id:<20} {gpus:>18} {f'{choice.nodes} x {choice.instance_name}':>18}"
            f" {choice.on_demand:>12.2f} {f'{low:.2f} - {high:.2f}':>16} {prompt:>11.2f} {answer:>11.2f}"
        )
    fixed = sum(prices.fixed_per_hour.values())
    gpu_count = profile.gpus
    on_demand = sum(choice.on_demand for choice in choices.values())
    spot = [sum(choice.spot[zone] for choice in choices.values()) for zone in (0, 1)]
    lines += [
        f"{'beside the GPUs':<58} {fixed:>12.2f} {fixed:>16.2f}",
        _total("an hour", fixed + on_demand, [fixed + zone for zone in spot]),
        _total("a month", (fixed + on_demand) * hours, [(fixed + zone) * hours for zone in spot], ",.0f"),
        "",
        _total("an hour of one GPU", on_demand / gpu_count, [zone / gpu_count for zone in spot]),
        _total(
            f"an upgrade: {gpu_count} more GPUs for half an hour",
            on_demand * UPGRADE_H,
            [zone * UPGRADE_H for zone in spot],
        ),
        *sorted(
            {
                f"Spot prices of {choice.instance_name} are of {choice.instance.spot_of}."
                for choice in choices.values()
                if choice.instance.spot_of
            }
        ),
        "",
        f"What that serves, {assumed.prompt_tokens} tokens asked and {assumed.answer_tokens} from each agent, by a"
        f" roofline at {assumed.utilization:.0%} of the time:",
        "",
        f"{'recipe':<20} {'tokens/answer':>14} {'answers/month':>14} {'tokens/month':>14} {'$/1,000 at full load':>22}"
        f" {'$/1,000 at 300,000':>20}",
    ]
    for name, work in asyncio.run(tokens_per_answer(profile, assumed)).items():
        busy_s = {model: choices[model].seconds(*tokens, assumed) for model, tokens in work.items()}
        capacity = min(
            choices[model].model.replicas.min * assumed.utilization * hours * 3600 / seconds
            for model, seconds in busy_s.items()
        )
        used = [choices[model] for model in work]
        month = [(fixed + sum(choice.spot[zone] for choice in used)) * hours for zone in (0, 1)]
        tokens = sum(prompt + completion for prompt, completion in work.values())
        full = f"{month[0] / capacity * 1000:.2f} - {month[1] / capacity * 1000:.2f}"
        given = f"{month[0] / 300:.2f} - {month[1] / 300:.2f}" if capacity >= 300_000 else "does not fit"
        label = f"{ONE_MODEL} ({_aggregator(profile)})" if name == ONE_MODEL else name
        lines.append(f"{label:<20} {tokens:>14,} {capacity:>14,.0f} {capacity * tokens:>14,.0f} {full:>22} {given:>20}")
    return "\n".join([*lines, "", "A recipe's row counts the nodes of the models that it asks, for the whole month."])


def _total(name: str, on_demand: float, spot: list[float], form: str = ".2f") -> str:
    return f"{name:<58} {on_demand:>12{form}} {f'{spot[0]:{form}} - {spot[1]:{form}}':>16}"
