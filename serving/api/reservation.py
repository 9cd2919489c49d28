"""Reservations of requests in their callers' limits, and their costs in the end."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from serving.api.estimates import CHARACTERS_PER_TOKEN, Estimate, Estimator, estimate_of
from serving.api.windows import Window
from serving.engine import Engine, EngineWrapper
from serving.store.spending import Spent
from serving.types import Delta, GenerateRequest
from serving.usage import TokenUsage


@dataclass(slots=True)
class Held:
    """Counters that hold a reservation.

    Attributes:
        caller: name of the caller.
        count: requests in progress.
        minute: in which the request began.
        minute_tokens: reserved in it; None: its tokens are not limited.
        budgets: reserved in the day and the month; empty: the caller has no budget.
        slots: numbers of the minutes in which the requests in progress are counted; None: they are not limited.
    """

    caller: str
    count: int
    minute: Window
    minute_tokens: float | None = None
    budgets: dict[Window, Spent] = field(default_factory=dict)
    slots: set[int] | None = None


class Reservation:
    """A request of a caller with limits, from its admission to its end: a context manager around its answer."""

    def __init__(
        self,
        model: str,
        estimates: list[Estimate],
        estimator: Estimator,
        held: Held,
        settle: Callable[[Held, Spent], None],
    ) -> None:
        """`estimates`: one of each prompt. `settle` is called once, with the cost."""
        self._model, self._estimates, self._estimator = model, estimates, estimator
        self.held: Held | None = held
        self._settle = settle
        self._spent: list[Spent] = []
        self._ended = 0  # prompts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def engine(self, engine: Engine) -> Engine:
        """`engine`, whose answers are counted."""
        return MeteredEngine(self._model, engine, self)

    def charge(self, usage: TokenUsage) -> None:
        """Count the result of a pooling engine, the only one of its request."""
        estimate = self._estimates[0]
        spent = self._estimator.cost(self._model, usage, None)
        if spent is None:
            spent = self._estimator.expected(self._model, estimate)
        else:
            self._estimator.learn(self._model, estimate, spent)
        self._spent.append(spent)
        self._end()

    async def metered(
        self, request: GenerateRequest, stream: AsyncGenerator[Delta, None]
    ) -> AsyncGenerator[Delta, None]:
        """`stream`, whose cost is counted when it ends in any way.

        Without its usage, the cost is estimated: by its text if it was left before its end or failed in the middle. A
        stream that failed before any text costs nothing.
        """
        estimate = estimate_of(request, self._estimates[0].work)
        characters, ended, failed = 0, False, False
        try:
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    if delta.usage is None:
                        characters += len(delta.text) + len(delta.reasoning)
                        yield delta
                        continue
                    ended = True
                    self._count(estimate, delta, characters)
                    yield delta
        except Exception:
            failed = True
            raise
        finally:
            if not ended and (characters or not failed):
                self._spent.append(self._so_far(estimate, characters))
            self._ended += 1
            if self._ended == len(self._estimates):
                self._end()

    def _count(self, estimate: Estimate, delta: Delta, characters: int) -> None:
        spent = self._estimator.cost(self._model, delta.usage or TokenUsage(), delta.report)
        if spent is None:
            spent = self._so_far(estimate, characters)
        else:
            self._estimator.learn(self._model, estimate, spent)
        self._spent.append(spent)

    def _so_far(self, estimate: Estimate, characters: int) -> Spent:
        return self._estimator.expected(self._model, replace(estimate, answer=characters / CHARACTERS_PER_TOKEN))

    def _end(self) -> None:
        if self.held is not None:
            held, self.held = self.held, None
            self._settle(held, sum(self._spent, Spent()))


class MeteredEngine(EngineWrapper):
    """An engine whose answers count for a reservation."""

    def __init__(self, name: str, engine: Engine, reservation: Reservation) -> None:
        super().__init__(name, engine)
        self._reservation = reservation

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        return self._reservation.metered(request, self.engine.generate(request))


class Unlimited:
    """The reservation of a caller without limits: nothing is counted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def engine(self, engine: Engine) -> Engine:
        """`engine` itself."""
        return engine

    def charge(self, usage: TokenUsage) -> None:
        """Nothing."""


UNLIMITED = Unlimited()
