"""Mean cost of an answer."""

from evaluation.analysis.cost import costs
from tests.support.rows import row, team_row


def test_costs_are_means_and_unknown_stays_unknown() -> None:
    rows = [
        team_row("team", "1", {"a": "x", "b": "y"}, "x", by="a"),
        row("model", "1", "x", prompt_tokens=30, completion_tokens=10, latency_s=1.0),
        row("model", "2", "x", prompt_tokens=None, latency_s=3.0),
        row("lost", "1", "x", prompt_tokens=None, latency_s=None),
    ]
    by_arm = {entry.arm: entry for entry in costs(rows)}
    assert (by_arm["team"].calls, by_arm["model"].calls) == (3.0, 1.0)
    assert (by_arm["model"].prompt_tokens, by_arm["model"].latency_s) == (None, 2.0)
    assert (by_arm["lost"].tokens, by_arm["lost"].usd, by_arm["lost"].latency_p95_s) == (None, None, None)


def test_a_mean_of_the_cheap_answers_alone_is_no_mean() -> None:
    """A cascade whose second model has no price: only answers of the first have a cost."""
    rows = [row("cascade", str(i), "x", cost_usd=0.001 if i else None) for i in range(10)]
    assert costs(rows)[0].usd is None
    assert costs(rows + [row("cascade", str(i), "x", cost_usd=0.001) for i in range(10, 20)])[0].usd_per_1000 == 1.0
