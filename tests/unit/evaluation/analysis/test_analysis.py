"""The papers' tables, on rows whose answers are known."""

import pytest

from evaluation.analysis.accuracy import accuracy, versus
from evaluation.analysis.cost import costs
from evaluation.analysis.layers import by_layer
from evaluation.analysis.mixing import by_mixing
from evaluation.analysis.proposers import by_proposers
from evaluation.analysis.roles import by_role
from evaluation.analysis.stats import paired, wilson
from evaluation.analysis.teams import Team, proposals, references, team, usual_team
from evaluation.rows import Row
from tests.support.rows import agent, row, team_row


def test_wilson_is_the_textbook_interval() -> None:
    share = wilson(0.9, 10)
    assert (share.low, share.high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))
    assert wilson(1.0, 5).high == 1.0
    assert wilson(0.0, 5).low == 0.0


def test_samples_of_an_item_count_once() -> None:
    rows = [row("a", "1", "yes", sample=0), row("a", "1", "no", sample=1), row("a", "2", "yes")]
    (entry,) = accuracy(rows)
    assert entry.overall is not None
    assert (entry.overall.n, entry.overall.value) == (2, 0.75)


def test_accuracy_by_task_failures_and_order() -> None:
    rows = [
        row("good", "1", "yes", skill="x"),
        row("good", "2", "no", skill="y"),
        row("good", "3", "yes", skill="y", degraded=True),
        row("bad", "1", "no", skill="x"),
        row("bad", "2", "", skill="y", score=None, error="lost"),
    ]
    good, bad = accuracy(rows)
    assert (good.arm, bad.arm) == ("good", "bad")
    assert {name: part.value for name, part in good.tasks.items()} == {"data/x": 1.0, "data/y": 0.5}
    assert (good.macro, good.degraded, bad.failed) == (0.75, 1, 1)
    assert bad.overall is not None
    assert bad.overall.n == 1


def test_arms_are_compared_on_the_items_that_both_answered() -> None:
    rows = [row("a", str(i), "yes") for i in range(10)]
    rows += [row("b", str(i), "yes" if i >= 8 else "no") for i in range(2, 10)]
    against = versus(rows, "a", "b")
    assert against is not None
    assert (against.n, against.difference) == (8, 0.75)
    assert against.p == pytest.approx(2 / 2**6)  # six items differ, all one way
    assert against.low <= 0.75 <= against.high
    assert versus(rows, "a", "none") is None


def test_arms_that_never_differ_have_no_evidence() -> None:
    same = paired("a", "b", {1: 1.0, 2: 0.0}, {1: 1.0, 2: 0.0})
    assert same is not None
    assert (same.difference, same.p) == (0.0, 1.0)


LAYERED = row(
    "moa",
    "1",
    "yes",
    trace=[
        agent("a", "no"),
        agent("b", "yes", position=1),
        agent("c", "", position=2, outcome="timeout"),
        agent("a", "yes", layer=2),
        agent("b", "yes", layer=2, position=1),
        agent("b", "yes", layer=3, role="aggregator"),
    ],
)


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


def test_calls_are_counted_once_for_samples_of_one_call() -> None:
    samples = [agent("a", "x"), agent("a", "y", position=1, prompt_tokens=0, completion_tokens=0)]
    assert row("self", "1", "x", trace=[*samples, agent("a", "x", layer=2, role="aggregator")]).calls == 2
    assert row("self", "1", "x", trace=[agent("a", "x", prompt_tokens=None)]).calls == 1
    assert row("single", "1", "x").calls == 1


def test_accuracy_by_layer_is_that_of_the_agents_own_texts() -> None:
    cells = {(cell.layer, cell.model, cell.role): cell.accuracy for cell in by_layer([LAYERED])}
    assert {key: share.value for key, share in cells.items()} == {
        (1, "a", "proposer"): 0.0,
        (1, "b", "proposer"): 1.0,
        (2, "a", "proposer"): 1.0,
        (2, "b", "proposer"): 1.0,
        (3, "b", "aggregator"): 1.0,
    }


def arms_of_teams() -> list[Row]:
    """Two items; three single models, mixed teams with two aggregators, sampled teams."""
    rows = []
    for item, right in (("1", "a"), ("2", "b")):
        said = {model: "yes" if model == right else "no" for model in ("a", "b")}
        rows += [row(model, item, text) for model, text in said.items()]
        rows.append(team_row("mixed", item, said, "yes", by="a"))
        rows.append(team_row("mixed-by-b", item, said, said["b"], by="b"))
        rows.append(team_row("one", item, [("b", said["b"])], said["b"], by="a"))
        rows.append(team_row("self", item, [("b", said["b"])] * 2, said["b"], by="a"))
    return rows


def test_accuracy_by_number_of_proposers() -> None:
    points = {(p.aggregator, p.setting, p.proposers): p for p in by_proposers(arms_of_teams())}
    assert {key: point.accuracy.value for key, point in points.items()} == {
        ("a", "one model", 1): 0.5,
        ("a", "one model", 2): 0.5,
        ("a", "several models", 1): 0.5,
        ("a", "several models", 2): 1.0,
        ("b", "several models", 2): 0.5,
    }
    assert points["a", "one model", 1].arms == points["a", "several models", 1].arms == ("one",)


def test_three_layers_do_not_count_as_more_proposers() -> None:
    assert by_proposers([LAYERED]) == []


def test_each_model_in_each_role() -> None:
    roles = {role.model: role for role in by_role(arms_of_teams())}
    a, b = roles["a"], roles["b"]
    shares = [a.alone, a.proposal, a.aggregator, b.alone, b.proposal, b.sole_proposer, b.aggregator]
    assert [share.value for share in shares if share] == [0.5, 0.5, 1.0, 0.5, 0.5, 0.5, 0.5]
    assert a.sole_proposer is None


def test_self_moa_against_mixed_by_task_and_over_all() -> None:
    rows = [found.model_copy(update={"skill": {"1": "x", "2": "y"}[found.item]}) for found in arms_of_teams()]
    x, y, every = by_mixing(rows)
    assert (x.task, y.task, every.task) == ("data/x", "data/y", "all")
    assert x.self_moa is not None
    assert every.mixed is not None
    assert every.self_vs_mixed is not None
    assert (x.self_moa.accuracy.value, every.mixed.arm, every.self_vs_mixed.difference) == (0.0, "mixed", -0.5)


def test_costs_are_means_and_unknown_stays_unknown() -> None:
    rows = [
        team_row("team", "1", {"a": "x", "b": "y"}, "x", by="a"),
        row("model", "1", "x", prompt_tokens=30, completion_tokens=10, latency_s=1.0),
        row("model", "2", "x", prompt_tokens=None, latency_s=3.0),
        row("lost", "1", "x", prompt_tokens=None, latency_s=None),
    ]
    by_arm = {entry.arm: entry for entry in costs(rows)}
    assert (by_arm["team"].calls, by_arm["model"].calls) == (3.0, 1.0)
    assert (by_arm["model"].tokens, by_arm["model"].latency_s) == (40.0, 2.0)
    assert (by_arm["lost"].tokens, by_arm["lost"].usd, by_arm["lost"].latency_p95_s) == (None, None, None)
