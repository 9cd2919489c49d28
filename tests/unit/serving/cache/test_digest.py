"""Digests of values."""

import subprocess
import sys
from dataclasses import dataclass, field

from serving.cache.digest import digest
from serving.runtime.agents import Agent
from tests.support.paths import ROOT


@dataclass
class Point:
    x: int
    y: int = field(default=0, compare=False)


@dataclass
class Other:
    x: int


def test_no_two_different_values_share_a_digest() -> None:
    values = [
        *(None, True, False, 1, 0, 1.0, "1", b"1", "", (), {}, frozenset(), "None"),
        *(("a", "b"), ("ab",), ("a", ("b",)), {"a": "b"}, {"a": None}, {"b": "a"}, {"a": 1, "b": 2}, {"b": 2, "a": 1}),
        *(Point(1), Point(2), Other(1), Agent(model="a"), Agent(model="b"), frozenset({"a"}), frozenset({"a", "b"})),
        *(float("nan"), float("inf"), "\ud800", "\udfff", object),
    ]
    assert len({digest(value) for value in values}) == len(values)


def test_equal_values_have_equal_digests() -> None:
    assert digest(Point(1, 1)) == digest(Point(1, 2))
    assert digest([1, 2]) == digest((1, 2))
    assert digest(0.0) == digest(-0.0)
    assert digest(Agent(model="a")) == digest(Agent(model="a", repeat=1))


def test_all_processes_have_the_same_digest_of_a_set() -> None:
    program = "from serving.cache.digest import digest; print(digest(frozenset('abcdefgh'), {'x': {1, 2}}))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
