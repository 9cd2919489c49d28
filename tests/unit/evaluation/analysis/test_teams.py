"""Teams, proposals and references, read from a trace."""

import pytest

from evaluation.analysis.teams import Team, proposals, references, team, usual_team
from tests.support.rows import LAYERED, agent, row, team_row


def test_a_team_is_read_from_the_trace() -> None:
    assert team(LAYERED) == Team(("a", "b", "c"), 3, "b", 6)
    assert team(LAYERED).kind == "mixed"
    assert [found.model for found in proposals(LAYERED)] == ["a", "b"]
    assert [found.layer for found in references(LAYERED)] == [2, 2]


@pytest.mark.parametrize(
    ("trace", "kind"),
    [
        ([], "single"),
        ([agent("a", "x", role="model")], "single"),
        ([agent("a", "x"), agent("a", "y", position=1)], "self"),
        ([agent("a", "x", role="solver"), agent("a", "y", role="critic", layer=2)], "other"),
    ],
)
def test_kinds_of_teams(trace: list[object], kind: str) -> None:
    assert team(row("arm", "1", "x", trace=trace)).kind == kind  # type: ignore[arg-type]


def test_an_arm_that_decides_as_it_goes_is_its_usual_self() -> None:
    short = team_row("adaptive", "1", [("a", "x"), ("b", "x")], "x", by="c")
    long = team_row("adaptive", "2", [("a", "x"), ("b", "y"), ("c", "y")], "y", by="c")
    assert usual_team([short, long, long]).proposers == ("a", "b", "c")


def test_the_team_of_a_loop_is_that_of_its_first_request() -> None:
    calls = [
        agent("a", "", layer=step_layer, role="aggregator", called=step == 1, step=step)
        for step, step_layer in ((1, 2), (2, 1))
    ]
    panel = [agent(name, "x", position=place, step=step) for step in (1, 2) for place, name in enumerate("bc")]
    looped = row("arm", "1", "x", trace=[*panel, *calls])
    assert team(looped).proposers == ("b", "c")
    assert (team(looped).aggregator, team(looped).kind) == ("a", "mixed")
    assert [found.step for found in references(looped)] == [1, 1]


def test_a_single_model_stays_single_while_it_calls_tools() -> None:
    steps = [agent("a", "", role="model", called=True), agent("a", "x", role="model", step=2)]
    assert team(row("a", "1", "x", trace=steps)).kind == "single"
