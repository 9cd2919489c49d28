"""Dollars a month, against values computed by hand: a month of 100 hours, nodes of 10, 2 and 4 dollars an hour."""

import pytest

from deployments.plan.month import Hours
from deployments.plan.prices import Price
from tests.support.plans import model, month, stopping

FIXED = 100 * (1 + 2)


def test_a_month_on_demand_and_at_spot_prices() -> None:
    assert month().on_demand == FIXED + 100 * 2 * 10
    assert [month().spot_first(zone) for zone in (0, 1)] == [FIXED + 100 * (10 + 2), FIXED + 100 * (10 + 4)]


def test_a_share_of_fallback_costs_its_share_of_the_difference() -> None:
    assert month().spot_first(0, 0.25) == FIXED + 100 * (10 + 0.75 * 2 + 0.25 * 10)
    assert month().spot_first(1, 1.0) == month().on_demand


def test_the_fallback_limit_is_where_the_month_costs_the_budget() -> None:
    limit = month().fallback_limit(0, 2000)
    assert limit == pytest.approx((2000 - 1500) / 800)
    assert month().spot_first(0, limit) == pytest.approx(2000)


def test_a_budget_can_hold_always_or_never() -> None:
    assert month().fallback_limit(0, month().on_demand) is None
    assert month().fallback_limit(1, 100) == 0


def test_without_spot_nodes_a_budget_holds_or_does_not() -> None:
    kept = month(model("a"))
    assert kept.fallback_limit(0, kept.on_demand) is None
    assert kept.fallback_limit(0, kept.on_demand - 1) == 0


def test_nights_cost_what_is_not_stopped() -> None:
    half = month(hours=Hours(per_day=12))
    assert half.fixed == 100 * (1 + 2 / 2)
    assert half.spot_first(0) == half.fixed + 50 * (10 + 2)


def test_a_model_that_stops_is_paid_for_the_hours_in_which_it_runs() -> None:
    some = month(model("a"), stopping(model("b")), hours=Hours(min_0_per_day=6))
    assert some.spot_first(0) == FIXED + 100 * 10 + 25 * 2
    assert some.on_demand == FIXED + 100 * 10 + 25 * 10


def test_a_model_that_stops_runs_no_longer_than_the_service() -> None:
    night = month(stopping(model("a")), floor=0, hours=Hours(per_day=12, min_0_per_day=18))
    assert night.spot_first(0) == night.fixed + 50 * 2


def test_a_capacity_reservation_is_paid_at_night_too() -> None:
    half = month(hours=Hours(per_day=12))
    assert half.capacity_reserved(floor_only=True, zone=0) == half.fixed + 100 * 10 + 50 * 2
    assert half.capacity_reserved(floor_only=False, zone=0) == half.fixed + 100 * 2 * 10


def test_reserved_instances_replace_the_floor_or_all_nodes() -> None:
    assert month().reserved(1, floor_only=True, zone=1) == FIXED + 100 * (6 + 4)
    assert month().reserved(3, floor_only=False, zone=1) == FIXED + 100 * 2 * 4


def test_a_rate_that_is_unknown_gives_no_number() -> None:
    unknown = Price(on_demand=10, spot=(2, 4), reserved={3: 4})
    assert month(price=unknown).reserved(1, floor_only=True, zone=0) is None
    assert month(price=unknown).reserved(3, floor_only=True, zone=0) == FIXED + 100 * (4 + 2)


def test_without_a_floor_nothing_of_it_is_reserved() -> None:
    assert month(floor=0).reserved(1, floor_only=True, zone=0) == month(floor=0).spot_first(0)


def test_a_savings_plan_takes_its_discount_off() -> None:
    assert month().discounted(0.3, floor_only=True, zone=0) == pytest.approx(FIXED + 100 * (7 + 2))
    assert month().discounted(0.3, floor_only=False, zone=0) == pytest.approx(FIXED + 100 * 2 * 7)


def test_the_month_of_some_models_leaves_the_others_out() -> None:
    assert month().only({"a": ()}).on_demand == FIXED + 100 * 10
