"""prices.yaml, and the choice of a region."""

import pytest
import yaml
from pydantic import ValidationError

from deployments.plan.prices import PRICES, Price, Prices, Region, load_prices
from serving.errors import ConfigError

LOADED = load_prices()
REGIONS = LOADED.regions
EVERY = {(region, name): price for region in REGIONS for name, price in REGIONS[region].instances.items()}


def test_another_region_has_its_own_prices() -> None:
    other = next(region for region in REGIONS if region != LOADED.region)
    assert LOADED.in_region(other).here == REGIONS[other]
    assert LOADED.here == REGIONS[LOADED.region]


def test_a_region_without_prices_is_refused() -> None:
    with pytest.raises(ConfigError, match="no prices for the region 'mars-1'; choose one of us-east-1, "):
        LOADED.in_region("mars-1")


def test_a_price_of_an_unknown_instance_type_is_refused() -> None:
    raw = yaml.safe_load(PRICES.read_text())
    del raw["hardware"]["g7e.12xlarge"]
    with pytest.raises(ValidationError, match=r"add g7e.12xlarge, which us-east-1 has a price for, to `hardware`"):
        Prices.model_validate(raw)


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_prices_have_a_date_and_a_source(region: Region) -> None:
    assert region.source
    has_rates = any(price.reserved for price in region.instances.values())
    assert has_rates == (region.reserved_date is not None) == bool(region.reserved_source)


@pytest.mark.parametrize("price", EVERY.values(), ids=str)
def test_spot_and_reserved_nodes_cost_no_more_than_on_demand(price: Price) -> None:
    assert 0 < price.spot[0] <= price.spot[1] <= price.on_demand
    rates = [price.on_demand, *(price.reserved[years] for years in sorted(price.reserved))]
    assert rates == sorted(rates, reverse=True)


def test_a_version_of_eks_out_of_standard_support_costs_more() -> None:
    assert LOADED.fixed_per_hour.always["eks"] == 0.10
    assert LOADED.eks_extended_support_per_hour == 0.60
