"""Limits and budgets of callers: reserved before an answer, corrected by its cost after it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from serving.api.estimates import Estimate, Estimator
from serving.api.keys import Caller
from serving.api.limit_counters import LimitCounters
from serving.api.limit_headers import RateStatus
from serving.api.limit_plan import (
    SLOT_MARGIN_S,
    Entry,
    counter_key,
    plan_of,
    refusal,
    settlement_of,
    statuses_of,
)
from serving.api.reservation import Held, Reservation
from serving.api.settings import ApiSettings
from serving.api.windows import MINUTE_S, minute_of
from serving.cards import ModelCard
from serving.errors import StoreRequired
from serving.failures import log_exception
from serving.store.counters import Addition
from serving.store.errors import StoreUnavailable
from serving.store.spending import Period, Spent
from serving.store.store import Store
from serving.telemetry import Observer

FLUSH_S = 5.0  # for corrections that wait when the server stops
MAX_KNOWN = 10_000  # markers

logger = logging.getLogger("serving.api")


class Limiter:
    """The limits of all callers of one replica, shared with the other replicas through the store."""

    def __init__(
        self,
        settings: ApiSettings,
        cards: Mapping[str, ModelCard],
        store: Store | None,
        observer: Observer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`cards`: of all models and recipes, by id. `clock`: Unix time in seconds."""
        self._settings, self._observer, self.clock = settings, observer, clock
        self.estimator = Estimator(cards)
        self.counters = LimitCounters(store, clock)
        self._running: dict[int, Held] = {}  # requests in progress that are limited, by identity
        self._counted: set[str] = set()  # markers of the windows in which this replica has counted
        self._task: asyncio.Task[None] | None = None

    async def reserve(
        self,
        caller: Caller,
        model: str,
        estimates: list[Estimate],
        on_status: Callable[[list[RateStatus]], None],
        *,
        within_budgets: bool = True,
    ) -> Reservation:
        """Reserve room for a request to `model`: one round trip to the store.

        Args:
            caller: who asks.
            model: id of the model or recipe, by which costs are learned.
            estimates: one for each prompt of the request.
            on_status: gets the state of the limits of a minute, also of a request that is refused.
            within_budgets: a budget that has too little left refuses the request; False: its cost is only counted.

        Raises:
            RateLimitExceeded: a limit is reached.
            BudgetExceeded: a budget has too little left.
            StoreRequired: the store is away, and the settings refuse requests without it.
        """
        now = self.clock()
        if (budget_usd := caller.limits.usd_per_month) is not None:
            self._observer.key_budget(caller.name, budget_usd)
        entries, held = plan_of(
            caller,
            sum(self.estimator.expected(model, one).tokens for one in estimates),
            sum((self.estimator.reserved(model, one) for one in estimates), Spent()),
            len(estimates),
            now,
            within_budgets=within_budgets,
        )
        additions = [entry.addition for entry in entries]
        spent_before = await self._spent_before(caller.name, entries)
        added, shared = await self.counters.add(additions)
        totals, granted = added.totals, added.granted
        if granted and not shared:
            self._without_store(additions)
        seeds: dict[str, float] = {}
        if granted:
            try:
                seeds = await self._seeds(caller.name, entries, totals, spent_before, now, shared)
            except BaseException:  # such as a caller that left: nobody would settle what it has reserved
                self.counters.take_back(additions, shared=shared)
                raise
        if seeds:
            totals = tuple(total + seeds.get(one.key, 0.0) for one, total in zip(additions, totals, strict=True))
            before = tuple(total - one.amount for one, total in zip(additions, totals, strict=True))
            if not all(one.fits(total) for one, total in zip(additions, before, strict=True)):
                # Not the markers: the counters have begun.
                self.counters.take_back([e.addition for e in entries if e.unit != "marker"], shared=shared)
                totals, granted = before, False
        on_status(statuses_of(entries, totals))
        if not granted:
            raise refusal(caller, entries, totals, now, self._settings.retry_after_s)
        if held.slots is not None:
            self._running[id(held)] = held
            if self._task is None:
                self._task = asyncio.create_task(self._count_always(), name="slots")
        return Reservation(model, estimates, self.estimator, held, self._settle)

    async def close(self) -> None:
        """Write the corrections that wait, and end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self.counters.close(FLUSH_S)

    def count_ahead(self) -> None:
        """Count the requests in progress in the next minute, so that their places stay taken in it."""
        following = minute_of(self.clock() + MINUTE_S)
        additions = []
        for held in self._running.values():
            if held.slots is not None and int(following.name) not in held.slots:
                held.slots.add(int(following.name))
                key = counter_key(held.caller, "slots", following)
                additions.append(Addition(key, held.count, following.ttl_s(self.clock())))
        self.counters.correct(additions)

    async def _count_always(self) -> None:
        while True:
            left_s = minute_of(self.clock()).left_s(self.clock()) - SLOT_MARGIN_S
            await asyncio.sleep(left_s if left_s > 0 else left_s + MINUTE_S)
            try:
                self.count_ahead()
            except Exception as error:  # it must not end the counting
                log_exception(logger, error, "Requests in progress were not counted in the next minute")

    async def _spent_before(self, caller: str, entries: Sequence[Entry]) -> Mapping[Period, Spent] | None:
        """Sums spent in windows that this replica has not counted in yet; None: there are none, or it is unknown.

        Read before the counters are added to: afterwards it could contain the cost of requests that they have, too.
        """
        new = [one for one in entries if one.unit == "marker" and one.addition.key not in self._counted]
        if not new:
            return None
        if len(self._counted) > MAX_KNOWN:
            self._counted.clear()
        return await self._read_spent(caller, new)

    async def _read_spent(self, caller: str, markers: Sequence[Entry]) -> Mapping[Period, Spent] | None:
        if self.counters.spending is None:
            return {}
        with suppress(StoreUnavailable):
            return await self.counters.spending.read([caller], [one.window.name for one in markers])
        return None

    async def _seeds(
        self,
        caller: str,
        entries: Sequence[Entry],
        totals: Sequence[float],
        before: Mapping[Period, Spent] | None,
        now: float,
        shared: bool,
    ) -> dict[str, float]:
        """Sums spent before, by counter, for counters that have just begun: budgets outlive their counters."""
        markers = [(one, total) for one, total in zip(entries, totals, strict=True) if one.unit == "marker"]
        begun = [one for one, total in markers if total <= 1]
        if begun and any(one.addition.key in self._counted for one in begun):
            before = await self._read_spent(caller, begun)  # counters that were lost
        if begun and before is None:
            self.counters.take_back([one.addition for one in begun], shared=shared)  # the next request tries again
            return {}
        self._counted |= {one.addition.key for one, _ in markers}
        seeds = [
            Addition(counter_key(caller, unit, one.window), amount, one.window.ttl_s(now))
            for one in begun
            if (spent := (before or {}).get((caller, one.window.name))) is not None
            for unit, amount in (("tokens", spent.tokens), ("usd", spent.usd))
        ]
        if shared:
            self.counters.correct(seeds)
        else:
            self.counters.local.add_all(seeds)
        return {one.key: one.amount for one in seeds}

    def _settle(self, held: Held, spent: Spent) -> None:
        """Put the cost of a request that has ended in the place of what it has reserved."""
        self._running.pop(id(held), None)
        self.counters.correct(settlement_of(held, spent, self.clock()))
        if held.budgets:
            self.counters.spend({(held.caller, window.name): spent for window in held.budgets})

    def _without_store(self, additions: Sequence[Addition]) -> None:
        """Go on without the store, or refuse, as the settings say."""
        decision = self._settings.limits_without_store
        self._observer.limits_without_store(decision)
        if decision == "refuse":
            self.counters.take_back(additions, shared=False)
            raise StoreRequired("The limits of the API key cannot be checked")
