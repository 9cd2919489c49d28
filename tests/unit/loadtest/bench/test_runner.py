"""Turns of the contenders, without servers."""

from pathlib import Path

import pytest

from deployments.config import load_profile
from loadtest.bench import runner
from loadtest.bench.client import session
from loadtest.bench.contenders import Contender
from loadtest.bench.measurement import WARM_UP, WARM_UP_AGAIN, Measured, Progress
from loadtest.bench.results import Results
from loadtest.bench.rows import ROWS
from loadtest.bench.runner import ATTEMPTS, Bench, Column, groups
from loadtest.progress import ProgressLine


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["vllm", "stock", "moa"], [["vllm", "moa"], ["vllm", "stock"]]),
        (["moa", "vllm"], [["vllm", "moa"]]),
        (["vllm", "stock"], [["vllm", "stock"]]),
        (["moa", "stock"], [["moa"], ["stock"]]),
        (["vllm"], [["vllm"]]),
    ],
)
def test_the_baseline_runs_beside_each_contender(names: list[str], expected: list[list[str]]) -> None:
    assert groups(names) == expected


class Turns:
    """Columns that only note that they are measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, shares: list[float]) -> None:
        self.seen: list[tuple[str, str, int]] = []
        self._left = iter(shares)
        monkeypatch.setattr(runner, "ForeignLoad", lambda: self)

    def share(self) -> float:
        return next(self._left, 0.0)

    def column(self, name: str) -> Column:
        async def measure(asked: str, progress: Progress, warm_up: int) -> Measured:
            self.seen.append((name, asked, warm_up))
            return {"ttft_ms": float(len(self.seen))}

        return Column(name, measure)


async def measured(turns: Turns, monkeypatch: pytest.MonkeyPatch, rounds: int) -> Results:
    results = Results(ROWS, "moa-off", {})
    bench = Bench(load_profile("tiny"), Path(), results, [], Path(), ProgressLine(), rounds)
    monkeypatch.setattr(
        bench, "_columns", lambda contender, http, row: [turns.column(name) for name in contender.hosts]
    )
    contenders = [Contender("vllm", {"vllm": ""}), Contender("moa", {"moa-off": "", "moa-on": ""})]
    async with session() as http:
        await bench._measure(contenders, http, ROWS[0])
    return results


async def test_contenders_take_turns_with_the_same_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, [])
    results = await measured(turns, monkeypatch, 2)
    assert turns.seen == [
        ("vllm", "pass-1-0-0", WARM_UP),
        ("moa-off", "pass-1-0-0", WARM_UP),
        ("moa-on", "pass-1-0-0", WARM_UP),
        ("moa-off", "pass-1-1-0", WARM_UP_AGAIN),
        ("moa-on", "pass-1-1-0", WARM_UP_AGAIN),
        ("vllm", "pass-1-1-0", WARM_UP_AGAIN),
    ]
    assert [set(one) for one in results.rounds["pass-1"]] == [{"vllm", "moa-off", "moa-on"}] * 2
    assert (results.repeated, results.busy) == (0, 0)


async def test_a_measurement_on_a_busy_machine_is_repeated_with_new_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, [0.5, 0.5, 0.0])
    results = await measured(turns, monkeypatch, 1)
    assert [asked for name, asked, _ in turns.seen if name == "vllm"] == ["pass-1-0-0", "pass-1-0-1", "pass-1-0-2"]
    assert results.rounds["pass-1"][0]["vllm"] == {"ttft_ms": 3.0}
    assert (results.repeated, results.busy) == (2, 0)


async def test_a_machine_that_stays_busy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    results = await measured(Turns(monkeypatch, [0.5] * ATTEMPTS), monkeypatch, 1)
    assert (results.repeated, results.busy) == (ATTEMPTS - 1, 1)
    assert "on a busy machine all the same: 1" in results.table()
