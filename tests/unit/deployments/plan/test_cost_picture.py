"""The picture of the cost plan."""

import os
from xml.etree import ElementTree

from deployments.config import load_profile
from deployments.plan.cost import CostOptions
from deployments.plan.cost_picture import picture
from tests.support.paths import ROOT
from tests.support.plans import model, profile

LARGE = load_profile("large")
NAMESPACE = {"svg": "http://www.w3.org/2000/svg"}


def texts(drawn: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawn).iterfind("svg:text", NAMESPACE)]


def test_each_region_has_a_band_that_rises_to_the_price_on_demand() -> None:
    drawn = ElementTree.fromstring(picture(LARGE, CostOptions()))
    bands = [element.get("points", "").split() for element in drawn.iterfind("svg:polygon", NAMESPACE)]
    assert len(bands) == len(CostOptions().prices.regions)
    for band in bands:
        cheapest, _, on_demand, dearest = [float(point.partition(",")[2]) for point in band]
        assert cheapest >= dearest > on_demand, "smaller numbers are higher up"


def test_the_budget_and_the_regions_are_named() -> None:
    found = texts(picture(LARGE, CostOptions(budget=12_345)))
    assert "budget: 12,345" in found
    assert set(CostOptions().prices.regions) <= {*found}


def test_a_region_without_a_large_enough_instance_is_left_out() -> None:
    one = profile(models=[model("a", gpus=8).model_dump()], team={"aggregator": "a"}, recipes=[])
    prices = CostOptions().prices
    few = {name: region.model_copy(update={"instances": {}}) for name, region in prices.regions.items()}
    few["us-east-1"] = prices.regions["us-east-1"]
    found = texts(picture(one, CostOptions(prices.model_copy(update={"regions": few}))))
    assert {"us-east-1"} == set(prices.regions) & {*found}


def test_the_document_shows_what_the_command_draws() -> None:
    """UPDATE_DOCS=1 writes it."""
    path = ROOT / "docs" / "images" / "cost.svg"
    drawn = picture(LARGE, CostOptions())
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(drawn)
    assert path.read_text() == drawn
