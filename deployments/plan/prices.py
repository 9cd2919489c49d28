"""Prices on AWS and the assumptions of the cost plan, read from `prices.yaml`."""

import datetime
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, model_validator

from serving.config import Frozen
from serving.errors import ConfigError
from serving.yaml_file import read_yaml

PRICES = Path(__file__).parent / "prices.yaml"


class Instance(Frozen):
    """An EC2 instance type with its GPUs."""

    vcpus: int = Field(ge=1)  # in which EC2 counts quotas
    memory_gib: float = Field(gt=0)  # of the node, as far as pods can have it
    gpu: str
    gpus: int = Field(ge=1)
    gpu_memory_mib: int
    bandwidth_gb_s: float
    tflops: float


class Price(Frozen):
    """Price of an instance type in one region, in dollars per hour."""

    on_demand: float = Field(gt=0)
    spot: tuple[float, float] = Field(description="In the cheapest and in the most expensive zone.")
    reserved: Mapping[int, float] = Field(default_factory=dict, description="For a term of so many years.")


class Region(Frozen):
    """Prices of one region, with their date and source."""

    date: datetime.date
    source: str
    reserved_date: datetime.date | None = None
    reserved_source: str | None = None
    instances: Mapping[str, Price]


class FixedPrices(Frozen):
    """Dollars per hour of everything except GPU nodes."""

    always: Mapping[str, float]
    running: Mapping[str, float] = Field(description="Only while the service is not stopped.")


class Assumptions(Frozen):
    """Load and efficiency that capacity is computed with."""

    decode_batch: int
    bandwidth_share: float
    compute_share: float
    utilization: float
    prompt_tokens: int
    answer_tokens: int
    min_0_hours_per_day: float
    host_memory_gib: float


class Prices(Frozen):
    """The content of prices.yaml."""

    region: str
    hours_per_month: int
    budget_per_month: float
    hardware: Mapping[str, Instance]
    regions: Mapping[str, Region]
    fixed_per_hour: FixedPrices
    eks_extended_support_per_hour: float
    assumed: Assumptions

    @model_validator(mode="after")
    def _names_are_known(self) -> "Prices":
        for name, region in self.regions.items():
            if unknown := region.instances.keys() - self.hardware.keys():
                raise ValueError(f"add {min(unknown)}, which {name} has a price for, to `hardware`")
        self.in_region(self.region)
        return self

    @property
    def here(self) -> Region:
        """Prices in `region`."""
        return self.regions[self.region]

    def in_region(self, name: str) -> "Prices":
        """The same prices with another `region`.

        Raises:
            ConfigError: the region has no prices.
        """
        if name not in self.regions:
            raise ConfigError(
                f"prices.yaml has no prices for the region '{name}'; choose one of {', '.join(self.regions)}, or add"
                " its prices."
            )
        return self.model_copy(update={"region": name})


def load_prices(path: Path = PRICES) -> Prices:
    """Read and validate prices.yaml."""
    return Prices.model_validate(read_yaml(path))
