"""Replicas, nodes and dollars of a load, worked by hand.

One instance type of ten dollars an hour (spot: two to four) with four GPUs of 1,000 GB/s and 1,000 TFLOPS, and models
of 70 billion parameters in 8 bits on four GPUs. An answer of 400 tokens to a prompt of 500 keeps a replica busy for

    prompt   2 x 70e9 x 500 / (4 x 1,000e12 x 0.35)                                    = 0.05 s
    answer   400 / 32 x (70e9 + 32 x 700 x 327,680 bytes) / (4 x 1,000e9 x 0.6 bytes/s) = 0.402812 s
"""

import re

import pytest

from deployments.config import load_profile
from deployments.plan.answer_tokens import ONE_MODEL, Call
from deployments.plan.capacity import Load, replicas_needed, report
from deployments.plan.cost import CostOptions
from deployments.plan.prices import Region
from serving.errors import ConfigError
from tests.support.plans import NODE, PRICE, ROUND, model, profile

BUSY_S = 0.05 + 0.402812
HERE = Region(date=ROUND.here.date, source="none", instances={"n.4xlarge": PRICE})
PRICES = ROUND.model_copy(update={"hardware": {"n.4xlarge": NODE}, "regions": {"us-east-1": HERE}})
OPTIONS = CostOptions(PRICES)
ANSWER = [Call(500, 400)]


def replicas(rate: float) -> int:
    return replicas_needed(model(), "n.4xlarge", ANSWER, Load.of_rate(rate, OPTIONS), PRICES)


def rows(page: str) -> list[list[str]]:
    """Columns of the table's rows; a label that is left out is no column."""
    table = page.split("\n\n")[1].splitlines()[1:]
    return [re.split(r"\s{2,}", line.strip()) for line in table]


def test_replicas_are_busy_for_half_of_the_time() -> None:
    assert replicas(5) == 5  # 5 x 0.452812 / 0.5 = 4.53
    assert replicas(0.001) == 1
    assert replicas(0.5 / BUSY_S * 0.999) == 1
    assert replicas(0.5 / BUSY_S * 1.001) == 2


def test_a_month_of_answers_is_a_rate_over_its_running_hours() -> None:
    assert Load.of_month(360_000, OPTIONS) == Load(1, 360_000)  # of 100 hours
    assert Load.of_month(360_000, CostOptions(PRICES, hours_per_day=12)) == Load(2, 360_000)
    assert Load.of_rate(1, CostOptions(PRICES, hours_per_day=12)) == Load(1, 180_000)


def test_the_page_counts_replicas_nodes_and_dollars() -> None:
    """Five nodes, one on demand: 300 for the rest and 100 hours of 5 x 10, or of 10 + 4 x 2 to 10 + 4 x 4."""
    page = report(profile(), OPTIONS, Load.of_rate(5, OPTIONS), ONE_MODEL)
    assert page.startswith("p on AWS for 5 requests/s (1,800,000 answers a month), us-east-1, ")
    assert rows(page) == [
        ["one model", "a", "5", "20 x G", "5 x n.4xlarge"],
        ["total", "5", "20", "5", "5,300", "2,100 - 2,900", "1.17 - 1.61"],
    ]
    assert "The profile allows 1 of a: set replicas.max to 5 for the largest row." in page


def test_half_of_the_day_costs_half_of_the_nodes() -> None:
    options = CostOptions(PRICES, hours_per_day=12)
    page = report(profile(), options, Load.of_rate(5, options), ONE_MODEL)
    # 100 hours of one dollar and 50 of two; 50 hours of 5 x 10, of 10 + 4 x 2 and of 10 + 4 x 4.
    assert rows(page)[1][4:6] == ["2,700", "1,100 - 1,500"]
    assert "run for 12 hours a day" in page


def test_every_model_of_a_recipe_has_its_replicas() -> None:
    """In moa-lite b and c answer once: 5 x 0.452812 / 0.5. a also aggregates: it needs more than twice as many."""
    found = rows(report(profile(), OPTIONS, Load.of_rate(5, OPTIONS), "moa-lite"))
    assert [row[-4:][0] for row in found[:3]] == ["a", "b", "c"]
    counts = [int(row[-3]) for row in found[:3]]
    assert counts[1:] == [5, 5]
    assert counts[0] >= 10
    assert found[3][:4] == ["total", str(sum(counts)), str(4 * sum(counts)), str(sum(counts))]


def test_what_the_capacity_table_says_is_held_by_one_replica_of_each() -> None:
    """docs/cost.md: large answers 381,674 times a month by moa, on its three replicas."""
    options = CostOptions()
    found = rows(report(load_profile("large"), options, Load.of_month(381_673, options), "moa"))
    assert found[3][:4] == ["total", "3", "6", "3"]
    more = rows(report(load_profile("large"), options, Load.of_month(381_675, options), "moa"))
    assert more[3][:4] == ["total", "4", "8", "4"]


def test_a_cascade_has_a_best_and_a_worst_case() -> None:
    options = CostOptions()
    page = report(load_profile("lite"), options, Load.of_rate(1, options), "cascade")
    found = rows(page)
    assert [row[0] for row in found if "cascade" in row[0]] == ["cascade, at best", "cascade, at worst"]
    assert "a real load lies between the two" in " ".join(page.split())
    assert "add g6 to karpenter.gpu.families" in page


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no recipe 'debat'; choose one of: moa-lite, moa, one model"):
        report(profile(), OPTIONS, Load.of_rate(5, OPTIONS), "debat")
