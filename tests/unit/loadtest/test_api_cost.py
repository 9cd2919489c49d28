"""The cost of the API: it is measured, and a checkout is compared with itself."""

import subprocess
import sys

import pytest

from loadtest import api_cost
from tests.support.paths import ROOT


async def test_every_cost_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_cost, "REPETITIONS", 1)
    monkeypatch.setattr(api_cost, "REQUESTS", 2)
    costs = await api_cost.measure(50)
    assert len(costs) == 6
    assert all(cost > 0 for name, cost in costs.items() if name.startswith("ms"))


def test_a_slower_checkout_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    other = ROOT / "elsewhere"
    cost = "us per delta, one by one, streamed"

    def measured(root: object, tokens: int) -> dict[str, float]:
        return {cost: 4.0 if root == other else slow, "ms per request, whole": 0.2 if root == other else 0.4}

    monkeypatch.setattr(api_cost, "measure_checkout", measured)
    slow = 4.1
    assert api_cost.compare(other, 10, 1) == 0
    slow = 4.3
    assert api_cost.compare(other, 10, 1) == 1
    assert "slower than allowed" in capsys.readouterr().out


def test_a_process_measures_the_checkout_that_it_is_given() -> None:
    command = [sys.executable, "-P", api_cost.__file__, "--help"]
    shown = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True)
    assert "--against" in shown.stdout
