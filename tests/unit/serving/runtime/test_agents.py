"""Teams: repeats are written out, up to the limit."""

import tracemalloc
from collections.abc import Iterator

import pytest
from pydantic import TypeAdapter, ValidationError

from serving.runtime.agents import MAX_AGENTS, Agent, Team

TEAM: TypeAdapter[tuple[Agent, ...]] = TypeAdapter(Team)


def test_repeats_are_written_out() -> None:
    team = TEAM.validate_python([{"model": "a", "repeat": 2}, "b"])
    assert team == (Agent(model="a"), Agent(model="a"), Agent(model="b"))
    assert len(TEAM.validate_python([{"model": "a", "repeat": 64}])) == 64


class CountedList(list[object]):
    """A list that counts the items that are read."""

    read = 0

    def __iter__(self) -> Iterator[object]:
        for item in super().__iter__():
            self.read += 1
            yield item


@pytest.mark.parametrize("team", [[{"model": "a", "repeat": 64}] * 140_000, ["a"] * 1_000_000, ["a"] * 65])
def test_a_team_that_is_too_large_is_refused_at_its_first_agents(team: list[object]) -> None:
    counted = CountedList(team)
    tracemalloc.start()
    with pytest.raises(ValidationError) as caught:
        TEAM.validate_python(counted)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.errors()[0]["type"] == "too_long"
    assert counted.read <= MAX_AGENTS + 2
    assert peak_bytes < 2**20
