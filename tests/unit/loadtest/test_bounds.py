"""Bounds of the numbers that the measuring commands take: refused in one sentence before anything starts."""

import sys
from collections.abc import Callable

import pytest

from loadtest import api_cost
from loadtest.bench import speculation, tool_loop
from loadtest.scale import __main__ as scale
from loadtest.torture import __main__ as torture

Main = Callable[[list[str]], int]
Case = tuple[Main, list[str], list[str]]
COUNTS: list[Case] = [
    (tool_loop.main, ["http://host"], ["--loops", "--calls"]),
    (speculation.main, [], ["--questions", "--drafts", "--lookup"]),
    (scale.main, [], ["--replicas"]),
]
NUMBERS: list[Case] = [
    (tool_loop.main, ["http://host"], ["--tool-s"]),
    (scale.main, [], ["--opened-per-s", "--seconds", "--itl-s", "--prefill-tokens-per-s", "--batch-slowdown"]),
    (torture.main, [], ["--fuzz-s"]),
]


@pytest.mark.parametrize("case", COUNTS)
@pytest.mark.parametrize("value", ["0", "-3", "nan", "1.5", "9" * 40])
def test_counts_are_whole_numbers_from_one(case: Case, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    _check_refusals(case, value, "must be a whole number from 1 to", capsys)


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x"])
def test_numbers_are_finite_and_not_negative(case: Case, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    _check_refusals(case, value, "must be a number", capsys)


def _check_refusals(case: Case, value: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    main, first, options = case
    for option in options:
        with pytest.raises(SystemExit, match="2"):
            main([*first, option, value])
        assert f"argument {option}: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--tokens", "--rounds"])
def test_the_cost_of_the_api_has_bounds(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["api_cost", option, "0"])
    with pytest.raises(SystemExit, match="2"):
        api_cost.main()
    assert f"argument {option}: must be a whole number from 1 to" in capsys.readouterr().err
