"""Accuracy of a model in each role."""

from evaluation.analysis.roles import by_role
from tests.support.rows import arms_of_teams


def test_each_model_in_each_role() -> None:
    roles = {role.model: role for role in by_role(arms_of_teams())}
    a, b = roles["a"], roles["b"]
    shares = [a.alone, a.proposal, a.aggregator, b.alone, b.proposal, b.sole_proposer, b.aggregator]
    assert [share.value for share in shares if share] == [0.5, 0.5, 1.0, 0.5, 0.5, 0.5, 0.5]
    assert a.sole_proposer is None
