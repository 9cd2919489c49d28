"""Load with the response cache."""

from collections import Counter

import pytest

from loadtest import cache
from loadtest.cache import Load, Round, questions, rounds, table


@pytest.mark.parametrize("load", [Load(100, 4, 0.5), Load(100, 4, 0.2), Load(20, 64, 0.5), Load(20, 1, 0.0)])
def test_a_share_of_the_questions_is_asked_twice(load: Load) -> None:
    order = questions(load, 1)
    counts = Counter(order)
    assert len(order) == load.requests
    assert load.requests - len(counts) == round(load.requests * load.hits)
    assert max(counts.values()) <= 2
    assert order == questions(load, 1)
    assert not counts.keys() & set(questions(load, 2)), "no round finds the answers of another one"


def test_repeated_questions_are_far_apart() -> None:
    order = questions(Load(100, 4, 0.5), 1)
    distances = [
        order.index(one, order.index(one) + 1) - order.index(one) for one, n in Counter(order).items() if n == 2
    ]
    assert sum(distance > 8 for distance in distances) > 0.7 * len(distances)


async def test_rounds_with_the_cache_hit_as_often_as_asked_and_others_never() -> None:
    on, off = await rounds(Load(20, 2, 0.5), 1, 3, 0.0, 0.0)
    assert [one.hits for one in (*on, *off)] == [0.5, 0.0]
    assert all(one.per_s > 0 and one.p50_s > 0 for one in (*on, *off))


def test_the_table_has_ratios_of_rounds_that_belong_together() -> None:
    on = [Round(20, 0.1, 0.4, 0.5, 0.001, 0.2), Round(40, 0.1, 0.4, 0.5, 0.001, 0.2)]
    off = [Round(10, 0.2, 0.4, 0.0, None, 0.2), Round(20, 0.2, 0.4, 0.0, None, 0.2)]
    printed = table(on, off)
    assert "requests/s                    15.0      30.0    2.00" in printed
    assert "50%" in printed


def test_a_wrong_share_of_hits_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one = Round(1, 1, 1, 0.3, None, 1)

    async def few(*_: object) -> tuple[list[Round], list[Round]]:
        return [one], [one]

    monkeypatch.setattr(cache, "rounds", few)
    monkeypatch.setattr("sys.argv", ["cache"])
    assert cache.main() == 1
    monkeypatch.setattr("sys.argv", ["cache", "--hits", "0.3"])
    assert cache.main() == 0
    assert "30%" in capsys.readouterr().out
