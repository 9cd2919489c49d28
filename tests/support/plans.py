"""Profiles on GPUs, and round prices, for tests of the cost plan."""

from deployments.config import Profile
from deployments.model_spec import ModelSpec, Replicas
from deployments.plan.choice import Choice
from deployments.plan.month import Hours, Month
from deployments.plan.prices import Instance, Price, load_prices

PRICES = load_prices()
SHAPE = {"parameters": 70_000_000_000, "layers": 80, "kv_heads": 8, "head_dim": 128, "weight_bits": 8}


def model(model_id: str = "a", gpus: int = 4, replicas: int = 1, **changes: object) -> ModelSpec:
    """A model of 70 billion parameters in 8 bits."""
    return ModelSpec.model_validate(
        {
            "id": model_id,
            "source": "org/model",
            "shape": SHAPE,
            "engine_kwargs": {"max_model_len": 32768, "tensor_parallel_size": gpus, "gpu_memory_utilization": 0.9},
            "replicas": {"min": replicas},
            **changes,
        }
    )


def profile(**changes: object) -> Profile:
    """Three such models, of which `a` is the aggregator."""
    models = [model(name).model_dump() for name in ("a", "b", "c")]
    team = {"proposers": ["a", "b", "c"], "aggregator": "a"}
    return Profile.model_validate(
        {"name": "p", "models": models, "team": team, "recipes": ["moa-lite", "moa"], **changes}
    )


def stopping(spec: ModelSpec) -> ModelSpec:
    """The model with `replicas.min` 0."""
    return spec.model_copy(update={"replicas": Replicas.model_construct(min=0, max=2, target_ongoing_requests=32)})


# Ten dollars an hour on demand, two to four at spot prices, six and four for one and three years.
NODE = Instance(vcpus=48, memory_gib=400, gpu="G", gpus=4, gpu_memory_mib=100_000, bandwidth_gb_s=1000, tflops=1000)
PRICE = Price(on_demand=10, spot=(2, 4), reserved={1: 6, 3: 4})
FIXED = PRICES.fixed_per_hour.model_copy(update={"always": {"eks": 1.0}, "running": {"orchestrators": 2.0}})
ROUND = PRICES.model_copy(update={"fixed_per_hour": FIXED, "hours_per_month": 100})


ALWAYS = Hours()


def month(*models: ModelSpec, price: Price = PRICE, hours: Hours = ALWAYS, floor: int = 1) -> Month:
    """A month of 100 hours, in which the first model has `floor` nodes on demand; all but GPUs cost 1 + 2 an hour."""
    chosen = {
        spec.id: Choice(spec, "n.4xlarge", NODE, price, max(spec.replicas.min, 1), 0 if place else floor)
        for place, spec in enumerate(models or (model("a"), model("b")))
    }
    return Month(chosen, ROUND, hours)
