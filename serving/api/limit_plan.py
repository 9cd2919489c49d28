"""The counters that a request of a caller adds to, and what their sums say."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.api.keys import Caller
from serving.api.limit_headers import RateStatus
from serving.api.limit_settings import KeyLimits
from serving.api.reservation import Held
from serving.api.windows import MINUTE_S, Window, day_of, minute_of, month_of
from serving.errors import BudgetExceeded, MoaError, RateLimitExceeded
from serving.store.counters import Addition
from serving.store.spending import Spent

SLOT_MARGIN_S = 10.0  # before a minute ends, its requests in progress are counted in the next one, too
PREFIX = "limit"  # of the counters' keys


@dataclass(frozen=True, slots=True)
class Entry:
    """One counter of a request.

    Attributes:
        unit: "requests", "tokens", "usd", "slots" (requests in progress), or "marker" (requests of a day or month,
            which tell that its other counters have begun).
        window: time that it counts.
        limit: of the caller; None: none, it is only counted.
        addition: to the counter.
    """

    unit: str
    window: Window
    limit: float | None
    addition: Addition


def counter_key(caller: str, unit: str, window: Window) -> str:
    """Key of a counter."""
    return f"{PREFIX}:{caller}:{unit}:{window.name}"


def plan_of(
    caller: Caller, tokens: float, cost: Spent, count: int, now: float, *, within_budgets: bool = True
) -> tuple[list[Entry], Held]:
    """Counters of a request and what they hold then.

    A request that needs more than a limit allows in a whole window takes all of it: it could never begin else.

    Args:
        caller: who has the limits.
        tokens: expected, for the limit of a minute.
        cost: to reserve in budgets.
        count: prompts of the request.
        now: Unix time in seconds.
        within_budgets: a budget that has too little left refuses it; False: what it costs is only counted.
    """
    limits, minute = caller.limits, minute_of(now)
    held = Held(caller.name, count, minute)
    entries: list[Entry] = []

    def add(unit: str, window: Window, amount: float, limit: float | None, *, bounded: bool = True) -> float:
        amount = amount if limit is None or not bounded else min(amount, limit)
        key = counter_key(caller.name, unit, window)
        entries.append(Entry(unit, window, limit, Addition(key, amount, window.ttl_s(now), limit if bounded else None)))
        return amount

    if limits.requests_per_minute is not None:
        add("requests", minute, count, limits.requests_per_minute)
    if limits.tokens_per_minute is not None:
        held.minute_tokens = add("tokens", minute, tokens, limits.tokens_per_minute)
    if limits.concurrent_requests is not None:
        held.count = int(add("slots", minute, count, limits.concurrent_requests))
        held.slots = {int(minute.name)}
        if minute.left_s(now) <= SLOT_MARGIN_S:
            following = minute_of(minute.ends_at)
            add("slots", following, held.count, None)
            held.slots.add(int(following.name))
    for window, budget_tokens, budget_usd in budgets_of(limits, now):
        reserved_tokens = add("tokens", window, cost.tokens, budget_tokens, bounded=within_budgets)
        reserved_usd = add("usd", window, cost.usd, budget_usd, bounded=within_budgets)
        add("marker", window, 1, None)
        held.budgets[window] = Spent(reserved_tokens, reserved_usd)
    return entries, held


def budgets_of(limits: KeyLimits, now: float) -> list[tuple[Window, float | None, float | None]]:
    """The day and the month with their budgets of tokens and dollars; empty if there is no budget."""
    if not limits.budgeted:
        return []
    return [
        (day_of(now), limits.tokens_per_day, limits.usd_per_day),
        (month_of(now), limits.tokens_per_month, limits.usd_per_month),
    ]


def settlement_of(held: Held, spent: Spent, now: float) -> list[Addition]:
    """Additions that put the cost of a request that has ended in the place of what it has reserved.

    Tokens beyond those reserved count in the present minute if the one in which the request began is over. The day and
    the month are those in which it began.
    """
    minute = minute_of(now)
    additions: list[Addition] = []

    def add(unit: str, window: Window, amount: float) -> None:
        if amount:
            additions.append(Addition(counter_key(held.caller, unit, window), amount, window.ttl_s(now)))

    if held.minute_tokens is not None:
        more = spent.tokens - held.minute_tokens
        if minute == held.minute or more > 0:
            add("tokens", minute, more)
    for number in held.slots or ():
        window = minute_of(number * MINUTE_S)
        if window.ends_at > now:
            add("slots", window, -held.count)
    for window, reserved in held.budgets.items():
        more_spent = spent - reserved
        add("tokens", window, more_spent.tokens)
        add("usd", window, more_spent.usd)
    return additions


def statuses_of(entries: Sequence[Entry], totals: Sequence[float]) -> list[RateStatus]:
    """State of the limits of a minute."""
    return [
        RateStatus(one.unit, int(one.limit), max(0, int(one.limit - total)), one.window.ends_at)
        for one, total in zip(entries, totals, strict=True)
        if one.window.unit == "minute" and one.unit in ("requests", "tokens") and one.limit is not None
    ]


def refusal(caller: Caller, entries: Sequence[Entry], totals: Sequence[float], now: float, slot_s: float) -> MoaError:
    """Error of a request that one of the limits refuses; of several the one that lasts longest.

    `totals`: without the request. `slot_s`: time after which to retry if too many are in progress.
    """
    failing = [(one, total) for one, total in zip(entries, totals, strict=True) if not one.addition.fits(total)]
    waits = [(slot_s if one.unit == "slots" else one.window.left_s(now), one, total) for one, total in failing]
    wait_s, one, total = max(waits, key=lambda wait: wait[0])
    limit = one.limit or 0
    subject, again = f"The key '{caller.name}'", f"try again in {wait_s:.0f} s"
    if one.unit == "slots":
        message = f"{subject} has {total:.0f} requests in progress of {limit:.0f} allowed; wait for one to end."
        return RateLimitExceeded(message, slot_s)
    if one.window.unit != "minute":
        return budget_exceeded(caller, one, now)
    if one.unit == "requests":
        return RateLimitExceeded(f"{subject} may make {limit:.0f} requests a minute, its limit; {again}.", wait_s)
    left = max(0, limit - total)
    return RateLimitExceeded(
        f"{subject} has {left:.0f} of its {limit:.0f} tokens a minute left, and the request needs about"
        f" {one.addition.amount:.0f}; {again}.",
        wait_s,
    )


def budget_exceeded(caller: Caller, entry: Entry, now: float) -> BudgetExceeded:
    """Error of a request beyond a budget."""
    window = entry.window
    amount = f"{entry.limit:g} dollars" if entry.unit == "usd" else f"{entry.limit or 0:.0f} tokens"
    return BudgetExceeded(
        f"The key '{caller.name}' has too little left of its budget of {amount} for the {window.unit} {window.name}"
        " (UTC)",
        window.unit,
        window.left_s(now),
    )
