"""Agents and teams: thinking as it is written in YAML; repeats are written out, up to the limit."""

import tracemalloc
from collections.abc import Iterator

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from serving.conversation import Thinking
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


@pytest.mark.parametrize(
    ("text", "thinking"),
    [
        ("off", Thinking(enabled=False)),
        ("on", Thinking(enabled=True)),
        ('"off"', Thinking(enabled=False)),
        ('"on"', Thinking(enabled=True)),
        ("{effort: low}", Thinking(enabled=True, effort="low")),
        ("{effort: none}", Thinking(enabled=False, effort="none")),
        ("{budget_tokens: 100}", Thinking(enabled=True, budget_tokens=100)),
    ],
)
def test_thinking_is_off_on_or_a_mapping(text: str, thinking: Thinking) -> None:
    agent = Agent.model_validate(yaml.safe_load(f"{{model: a, thinking: {text}}}"))
    assert agent.thinking is not None
    assert agent.thinking.value == thinking
    assert Agent.model_validate(agent.model_dump()) == agent
    assert len({agent, agent.model_copy()}) == 1


@pytest.mark.parametrize("thinking", ["maybe", 3, {"effort": "most"}, {"budget_tokens": -1}, {"colour": 1}])
def test_other_thinking_is_refused(thinking: object) -> None:
    with pytest.raises(ValidationError):
        Agent.model_validate({"model": "a", "thinking": thinking})
