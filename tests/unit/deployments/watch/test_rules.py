"""Rules of a local server: those of the chart, with this machine's budget and price."""

from typing import Any

import pytest

from deployments.watch.rules import BUDGET, GPU_COST, NAMESPACE, local_rules


def expressions(rules: dict[str, Any]) -> dict[str, str]:
    return {
        rule["record"]: " ".join(rule["expr"].split())
        for group in rules["groups"]
        for rule in group["rules"]
        if "record" in rule
    }


def test_without_options_the_budget_is_the_servers_and_the_price_the_charts() -> None:
    found = expressions(local_rules())
    assert found[BUDGET] == f'max(ray_moa_budget_usd_per_month{{namespace="{NAMESPACE}"}})'
    assert found[GPU_COST] == f'sum by (group) (moa:gpus:count{{namespace="{NAMESPACE}"}}) * 1.96'


def test_a_budget_and_a_price_replace_them() -> None:
    found = expressions(local_rules(300.0, 2.5))
    assert found[BUDGET] == "vector(300.0)"
    assert found[GPU_COST] == f'sum by (group) (moa:gpus:count{{namespace="{NAMESPACE}"}}) * 2.5'


@pytest.mark.parametrize("options", [(300.0, None), (None, 2.5)])
def test_one_of_them_leaves_all_else_as_it_is(options: tuple[float | None, float | None]) -> None:
    changed, usual = expressions(local_rules(*options)), expressions(local_rules())
    assert [name for name in usual if usual[name] != changed[name]] == [BUDGET if options[0] else GPU_COST]
