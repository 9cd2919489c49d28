"""Table of the ways to buy GPU nodes: on demand, spot, capacity reservations, Reserved Instances, Savings Plans."""

from collections.abc import Iterator

from deployments.plan.month import Month

TERMS = (1, 3)  # years


def purchases(month: Month, savings_plan: float | None) -> Iterator[str]:
    """Lines of the table.

    Args:
        month: the profile's month.
        savings_plan: discount of a Savings Plan, 0 to 1; None: not known, so that it has no rows.
    """
    yield "Dollars a month by the way in which GPU nodes are bought:"
    yield ""
    yield f"{'':<58} {'floor':>18} {'all GPU nodes':>16}"
    yield _row("on demand", None, (month.on_demand, month.on_demand))
    yield _row("spot, floor on demand", _both(month.spot_first(0), month.spot_first(1)), None)
    yield _row(
        "capacity reservation, paid in every hour",
        _both(*(month.capacity_reserved(floor_only=True, zone=zone) for zone in (0, 1))),
        _both(*(month.capacity_reserved(floor_only=False, zone=zone) for zone in (0, 1))),
    )
    for years in TERMS:
        floor = [month.reserved(years, floor_only=True, zone=zone) for zone in (0, 1)]
        every = [month.reserved(years, floor_only=False, zone=zone) for zone in (0, 1)]
        label = f"Reserved Instances, {years} year{'s' if years > 1 else ''}, nothing upfront"
        yield _row(label, _both(*floor), _both(*every), "no rate")
    if savings_plan is not None:
        yield _row(
            f"Savings Plan, {savings_plan:.0%} off",
            _both(*(month.discounted(savings_plan, floor_only=True, zone=zone) for zone in (0, 1))),
            _both(*(month.discounted(savings_plan, floor_only=False, zone=zone) for zone in (0, 1))),
        )
    yield ""
    yield from _break_even(month)


def _break_even(month: Month) -> Iterator[str]:
    """Discounts from which a commitment, which is paid in every hour, costs less than what it replaces."""
    if kept := [choice for choice in month.chosen.values() if choice.on_demand_nodes]:
        floor = 1 - min(month.hours.share(choice) for choice in kept)
        discount = f"from a discount of {floor:.0%} on the price on demand" if floor else "at any discount"
        yield f"A commitment for the nodes on demand pays {discount}."
    on_spot = [choice for choice in month.chosen.values() if choice.spot_nodes]
    if not on_spot:
        return
    shares = [
        choice.price.spot[zone] / choice.price.on_demand * month.hours.share(choice)
        for choice in on_spot
        for zone in (0, 1)
    ]
    least, most = 1 - max(shares), 1 - min(shares)
    yield f"In place of spot nodes it pays from a discount of {least:.0%} - {most:.0%}, by zone and model."


def _both(cheapest: float | None, highest: float | None) -> tuple[float, float] | None:
    return None if cheapest is None or highest is None else (cheapest, highest)


def _row(label: str, floor: tuple[float, float] | None, every: tuple[float, float] | None, missing: str = "") -> str:
    return f"{label:<58} {_dollars(floor, missing):>18} {_dollars(every, missing):>16}".rstrip()


def _dollars(both: tuple[float, float] | None, missing: str) -> str:
    if both is None:
        return missing
    written = [f"{dollars:,.0f}" for dollars in both]
    return written[0] if written[0] == written[1] else " - ".join(written)
