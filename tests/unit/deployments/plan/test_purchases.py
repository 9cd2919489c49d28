"""The table of ways to buy GPU nodes."""

import re

from deployments.plan.month import Hours, Month
from deployments.plan.prices import Price
from deployments.plan.purchases import purchases
from tests.support.plans import model, month, stopping

UNKNOWN = Price(on_demand=10, spot=(2, 4))


def rows(of: Month, savings_plan: float | None = None) -> dict[str, list[str]]:
    """Columns of each row by its label."""
    lines = [re.split(r"\s{2,}", line) for line in purchases(of, savings_plan)]
    return {label: columns for label, *columns in lines if columns}


def test_each_way_has_its_dollars() -> None:
    found = rows(month(), 0.3)
    assert found["on demand"] == ["2,300"]
    assert found["spot, floor on demand"] == ["1,500 - 1,700"]
    assert found["capacity reservation, paid in every hour"] == ["1,500 - 1,700", "2,300"]
    assert found["Reserved Instances, 1 year, nothing upfront"] == ["1,100 - 1,300", "1,500"]
    assert found["Reserved Instances, 3 years, nothing upfront"] == ["900 - 1,100", "1,100"]
    assert found["Savings Plan, 30% off"] == ["1,200 - 1,400", "1,700"]


def test_a_rate_that_is_unknown_is_not_guessed() -> None:
    found = rows(month(price=UNKNOWN))
    assert found["Reserved Instances, 1 year, nothing upfront"] == ["no rate", "no rate"]
    assert not any(label.startswith("Savings Plan") for label in found)


def test_the_break_even_discounts_are_printed() -> None:
    *_, floor, spot = purchases(month(), None)
    assert floor == "A commitment for the nodes on demand pays at any discount."
    assert spot == "In place of spot nodes it pays from a discount of 60% - 80%, by zone and model."


def test_a_service_that_stops_at_night_needs_a_larger_discount() -> None:
    *_, floor, spot = purchases(month(hours=Hours(per_day=12)), None)
    assert "pays from a discount of 50% on the price on demand." in floor
    assert "from a discount of 80% - 90%" in spot


def test_a_model_that_stops_by_itself_needs_a_larger_discount_for_its_floor() -> None:
    *_, floor, _ = purchases(month(stopping(model("a")), model("b"), hours=Hours(min_0_per_day=6)), None)
    assert "pays from a discount of 75% on the price on demand." in floor


def test_without_nodes_on_demand_there_is_nothing_to_commit_to() -> None:
    assert not any("nodes on demand" in line for line in purchases(month(floor=0), None))


def test_without_spot_nodes_there_is_nothing_to_replace() -> None:
    assert "spot nodes" not in [*purchases(month(model("a")), None)][-1]
