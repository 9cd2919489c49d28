"""Limits on requests in progress and on bodies being read."""

import pytest

from serving.api.dependencies import Admission, BodyBudget
from serving.errors import Overloaded


def test_a_permit_lives_as_long_as_its_block() -> None:
    admission = Admission(2, 3.0)
    with admission.permit(), admission.permit():
        assert admission.in_flight == 2
        with pytest.raises(Overloaded) as caught, admission.permit():
            pass
        assert caught.value.retry_after_s == 3.0
        assert admission.in_flight == 2
    assert admission.in_flight == 0
    admission.check()


def test_a_permit_is_given_back_when_its_block_fails() -> None:
    admission = Admission(1, 1.0)
    with pytest.raises(ZeroDivisionError), admission.permit():
        raise ZeroDivisionError
    assert admission.in_flight == 0


def test_what_all_bodies_hold_is_bounded_and_forgotten_with_each() -> None:
    budget = BodyBudget(10, 3.0)
    with budget.body() as first:
        first(6)
        with budget.body() as second:
            second(4)
            with pytest.raises(Overloaded) as caught:
                second(1)
        assert caught.value.retry_after_s == 3.0
        assert budget.held_bytes == 6
        with budget.body() as third:
            third(4)
    assert budget.held_bytes == 0
