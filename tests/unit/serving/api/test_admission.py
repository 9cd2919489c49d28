"""Limits on requests in progress and on bodies being read, and how callers share them."""

from contextlib import ExitStack

import pytest

from serving.api.admission import Admission, BodyBudget, FairLimit
from serving.api.keys import ANY_CALLER, Caller
from serving.errors import Overloaded
from serving.telemetry import Observer


def test_a_permit_lives_as_long_as_its_block() -> None:
    admission = Admission(2, 3.0)
    with admission.permit(ANY_CALLER), admission.permit(ANY_CALLER):
        assert admission.in_flight == 2
        with pytest.raises(Overloaded) as caught, admission.permit(ANY_CALLER):
            pass
        assert caught.value.retry_after_s == 3.0
        assert admission.in_flight == 2
    assert admission.in_flight == 0
    admission.check(ANY_CALLER)


def test_a_permit_is_given_back_when_its_block_fails() -> None:
    admission = Admission(1, 1.0)
    with pytest.raises(ZeroDivisionError), admission.permit(ANY_CALLER):
        raise ZeroDivisionError
    assert admission.in_flight == 0


def test_what_all_bodies_hold_is_bounded_and_forgotten_with_each() -> None:
    budget = BodyBudget(10, 3.0)
    with budget.body(ANY_CALLER) as first:
        first(6)
        with budget.body(ANY_CALLER) as second:
            second(4)
            with pytest.raises(Overloaded) as caught:
                second(1)
        assert caught.value.retry_after_s == 3.0
        assert budget.held_bytes == 6
        with budget.body(ANY_CALLER) as third:
            third(4)
    assert budget.held_bytes == 0


FLOOD, NEIGHBOUR, THIRD = (Caller(name) for name in ("flood", "neighbour", "third"))


def admitted(admission: Admission, caller: Caller, open_requests: ExitStack, tries: int = 100) -> int:
    """Number of requests of a caller that are admitted, one after the other, and stay open."""
    for number in range(tries):
        try:
            open_requests.enter_context(admission.permit(caller))
        except Overloaded:
            return number
    return tries


def test_one_callers_flood_takes_no_place_from_the_others_shares() -> None:
    admission = Admission(12, 3.0)
    with ExitStack() as open_requests:
        assert admitted(admission, FLOOD, open_requests) == 12  # alone it has all
        assert admitted(admission, NEIGHBOUR, open_requests) == 6
        assert admitted(admission, THIRD, open_requests) == 4
        assert admitted(admission, FLOOD, open_requests) == 0
    assert (admission.in_flight, admission.requests.held) == (0, {})


def test_each_of_many_callers_has_a_place() -> None:
    admission = Admission(2, 3.0)
    with ExitStack() as open_requests:
        assert admitted(admission, FLOOD, open_requests) == 2
        assert [admitted(admission, Caller(str(n)), open_requests) for n in range(5)] == [1] * 5


def test_a_keys_own_limit_comes_first_and_is_said() -> None:
    admission, small = Admission(12, 3.0), Caller("small", max_in_flight=2)
    with ExitStack() as open_requests:
        assert admitted(admission, small, open_requests) == 2
        with pytest.raises(Overloaded, match="The key 'small' has 2 requests in progress, its limit") as caught:
            admission.check(small)
        assert caught.value.retry_after_s == 3.0
        admission.check(NEIGHBOUR)
    admission.check(small)


def test_one_callers_bodies_take_no_bytes_from_the_others_shares() -> None:
    budget = BodyBudget(10, 3.0)
    with budget.body(FLOOD) as flood, budget.body(NEIGHBOUR) as neighbour:
        flood(10)
        neighbour(5)
        for more in (flood, neighbour):
            with pytest.raises(Overloaded):
                more(1)
    assert budget.held_bytes == 0


def test_a_limit_that_nobody_has_reached_is_common() -> None:
    limit = FairLimit(4)
    limit.add("a", 3)
    assert limit.allows("a")
    assert not limit.allows("a", 2)
    assert limit.allows("b", 2)


def test_what_becomes_of_each_keys_requests_is_reported() -> None:
    events: list[tuple[object, ...]] = []

    class Reader(Observer):
        def caller_admitted(self, caller: str, priority_class: str, prompts: int) -> None:
            events.append(("admitted", caller, priority_class, prompts))

        def caller_refused(self, caller: str, priority_class: str) -> None:
            events.append(("refused", caller, priority_class))

        def caller_running(self, caller: str, priority_class: str, prompts: int) -> None:
            events.append(("running", caller, priority_class, prompts))

    admission = Admission(1, 3.0, Reader())
    caller = Caller("a", priority_class="batch")
    with admission.permit(caller, 3), pytest.raises(Overloaded):
        admission.check(caller)
    assert events == [
        ("running", "a", "batch", 3),
        ("admitted", "a", "batch", 3),
        ("refused", "a", "batch"),
        ("running", "a", "batch", 0),
    ]
