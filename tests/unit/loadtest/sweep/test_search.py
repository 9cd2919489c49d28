"""The search for the highest rate, with servers that hold a known rate."""

import pytest

from loadtest.sweep.search import Search


def tried(search: Search, holds: float) -> list[float]:
    """Rates that are tried with a server that meets the SLO up to `holds` requests/s."""
    rates = []
    while (rate := search.next_rate) is not None:
        rates.append(rate)
        search.record(rate, met=rate <= holds)
    return rates


def test_doubles_until_a_rate_misses_then_halves_the_interval() -> None:
    search = Search(1, 1000, 0.1)
    assert tried(search, holds=5.5) == [1, 2, 4, 8, 6, 5, 5.5]
    assert (search.met, search.missed) == (5.5, 6)  # 6 is 9% above 5.5
    assert search.outcome == "Highest rate that met the SLO: 5.5 requests/s; 6 missed it."


def test_halves_below_a_first_rate_that_misses() -> None:
    search = Search(8, 1000, 0.5)
    assert tried(search, holds=1.6) == [8, 4, 2, 1, 1.5]
    assert (search.met, search.missed) == (1.5, 2)


def test_gives_up_at_a_64th_of_the_first_rate() -> None:
    search = Search(64, 1000, 0.1)
    assert tried(search, holds=0) == [64, 32, 16, 8, 4, 2, 1]
    assert search.met is None
    assert search.outcome == "No rate met the SLO: the lowest that was tried is 1 requests/s."


def test_ends_at_the_highest_rate_it_may_try() -> None:
    search = Search(1, 5, 0.1)
    assert tried(search, holds=100) == [1, 2, 4, 5]
    assert search.outcome == "At least 5 requests/s meet the SLO: no rate that was tried missed it."


@pytest.mark.parametrize("holds", [0.3, 1.0, 3.7, 17.0, 240.0])
@pytest.mark.parametrize("precision", [0.01, 0.1, 1.0])
def test_finds_the_rate_within_its_precision(holds: float, precision: float) -> None:
    search = Search(1, 1000, precision)
    rates = tried(search, holds)
    assert len(rates) == len(set(rates))
    assert search.met is not None
    assert search.missed is not None
    assert search.met <= holds < search.missed <= search.met * (1 + precision)
