"""Teams: repeats are written out, and no more of them than may be."""

import time
import tracemalloc

import pytest
from pydantic import TypeAdapter, ValidationError

from serving.runtime.agents import Agent, Team

TEAM: TypeAdapter[tuple[Agent, ...]] = TypeAdapter(Team)


def test_repeats_are_written_out() -> None:
    team = TEAM.validate_python([{"model": "a", "repeat": 2}, "b"])
    assert team == (Agent(model="a"), Agent(model="a"), Agent(model="b"))
    assert len(TEAM.validate_python([{"model": "a", "repeat": 64}])) == 64


@pytest.mark.parametrize("team", [[{"model": "a", "repeat": 64}] * 140_000, ["a"] * 1_000_000, ["a"] * 65])
def test_a_team_that_is_too_large_is_refused_at_once(team: list[object]) -> None:
    tracemalloc.start()
    began = time.process_time()
    try:
        TEAM.validate_python(team)
        found = None
    except ValidationError as error:
        found = error
    took_s, (_, peak_bytes) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert found.errors()[0]["type"] == "too_long"
    assert took_s < 0.1
    assert peak_bytes < 2**20
