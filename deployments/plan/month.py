"""Dollars that a profile costs in a month: spot and on demand, stopped at night, reserved."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from deployments.plan.choice import Choice
from deployments.plan.prices import Prices

HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours a day in which the service runs, and in which models with `replicas.min` 0 run a replica."""

    per_day: float = HOURS_PER_DAY
    min_0_per_day: float = HOURS_PER_DAY

    def share(self, choice: Choice) -> float:
        """Share of a month's hours in which the model runs."""
        return (self.per_day if choice.always_runs else min(self.min_0_per_day, self.per_day)) / HOURS_PER_DAY


@dataclass(frozen=True, slots=True)
class Month:
    """A profile's models on their nodes for a month."""

    chosen: Mapping[str, Choice]
    prices: Prices
    hours: Hours = Hours()

    @property
    def fixed(self) -> float:
        """Dollars for everything except GPU nodes."""
        fixed = self.prices.fixed_per_hour
        running = sum(fixed.running.values()) * self.hours.per_day / HOURS_PER_DAY
        return self.prices.hours_per_month * (sum(fixed.always.values()) + running)

    @property
    def on_demand(self) -> float:
        """Dollars with every node on demand."""
        return self.fixed + sum(self._hours(choice) * choice.on_demand for choice in self.chosen.values())

    def spot_first(self, zone: int, fallback_share: float = 0.0) -> float:
        """Dollars with the floor on demand and the rest on spot.

        Args:
            zone: 0 for the prices of the cheapest zone, 1 for those of the most expensive one.
            fallback_share: share of the hours of spot nodes in which no spot capacity exists, so that nodes on demand
                take their place; 0 to 1.
        """
        extra = fallback_share * (self.on_demand - self._all_spot(zone))
        return self._all_spot(zone) + extra

    def _all_spot(self, zone: int) -> float:
        return self.fixed + sum(self._hours(choice) * choice.spot[zone] for choice in self.chosen.values())

    def fallback_limit(self, zone: int, budget: float) -> float | None:
        """Share of spot fallback at which the month costs `budget` dollars.

        Returns:
            0 to 1; 0 if the month costs more even without fallback, None if it never does.
        """
        cheapest = self._all_spot(zone)
        if self.on_demand <= budget:
            return None
        return (budget - cheapest) / (self.on_demand - cheapest) if cheapest < budget else 0.0

    def capacity_reserved(self, *, floor_only: bool, zone: int) -> float:
        """Dollars with a capacity reservation, which costs the price on demand in every hour, used or not.

        Args:
            floor_only: reserve the nodes that are on demand anyway; otherwise all GPU nodes.
            zone: as in `spot_first`, for the nodes that are not reserved.
        """
        return self._committed({name: choice.price.on_demand for name, choice in self.chosen.items()}, floor_only, zone)

    def discounted(self, discount: float, *, floor_only: bool, zone: int) -> float:
        """Dollars with a Savings Plan for the GPU nodes, paid in every hour, used or not.

        Args:
            discount: share of the price on demand that the plan takes off; 0 to 1.
            floor_only: as in `capacity_reserved`.
            zone: as in `spot_first`.
        """
        rates = {name: choice.price.on_demand * (1 - discount) for name, choice in self.chosen.items()}
        return self._committed(rates, floor_only, zone)

    def reserved(self, years: int, *, floor_only: bool, zone: int) -> float | None:
        """Dollars with Reserved Instances for `years`; None if prices.yaml lacks the rate of an instance type.

        Args:
            years: the term.
            floor_only: as in `capacity_reserved`.
            zone: as in `spot_first`.
        """
        rates = {
            name: choice.price.reserved.get(years)
            for name, choice in self.chosen.items()
            if choice.on_demand_nodes or not floor_only
        }
        known = {name: rate for name, rate in rates.items() if rate is not None}
        return None if len(known) < len(rates) else self._committed(known, floor_only, zone)

    def _committed(self, rates: Mapping[str, float], floor_only: bool, zone: int) -> float:
        """Dollars if nodes are paid in every hour of the month at `rates` per model."""
        total = self.fixed
        for name, choice in self.chosen.items():
            nodes = choice.on_demand_nodes if floor_only else choice.nodes
            total += nodes * rates.get(name, 0.0) * self.prices.hours_per_month
            total += (choice.nodes - nodes) * choice.price.spot[zone] * self._hours(choice)
        return total

    def only(self, models: Mapping[str, object]) -> "Month":
        """The month of the given models alone."""
        return replace(self, chosen={name: choice for name, choice in self.chosen.items() if name in models})

    def _hours(self, choice: Choice) -> float:
        return self.prices.hours_per_month * self.hours.share(choice)
