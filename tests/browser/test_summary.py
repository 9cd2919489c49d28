"""Numbers under an answer: tokens, calls and cost, from the trace and from `moa.usage`."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.console_page import open_console

Serve = Callable[..., str]
Sums = Callable[..., dict[str, Any]]


@pytest.fixture
def sums(page: Page, serve: Serve) -> Sums:
    """`totals` of the page's script."""
    open_console(page, serve())

    def of(moa: dict[str, Any], usage: dict[str, Any] | None = None) -> dict[str, Any]:
        return page.evaluate(
            """async ([moa, usage]) => {
                const { cost, totals } = await import("./console/summary.js");
                const sums = totals(moa, usage, { first: 1, total: 2 });
                const prices = { a: { prompt: 1, completion: 10 }, b: { prompt: 2, completion: 0 } };
                return { ...sums, cost: cost(sums, (model) => prices[model]) };
            }""",
            [moa, usage],
        )

    return of


def agent(model: str, prompt: int | None, completion: int | None, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return {"model": model, "usage": usage, "outcome": "ok", "total_ms": 5, **more}


def trace(*agents: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"layer": 1, "agents": [*agents]}]


def test_tokens_are_the_teams_sum(sums: Sums) -> None:
    answers_own = {"prompt_tokens": 1, "completion_tokens": 1}
    found = sums({"trace": trace(agent("a", 10, 2), agent("b", 20, 3))}, answers_own)
    assert (found["prompt"], found["completion"], found["calls"], found["lower"]) == (30, 5, 2, False)
    assert found["cost"] == pytest.approx((10 + 2 * 10 + 20 * 2) / 1e6)
    team = {"prompt_tokens": 40, "completion_tokens": 6}  # with calls that are not in the trace
    found = sums({"trace": trace(agent("a", 10, 2)), "usage": team}, answers_own)
    assert (found["prompt"], found["completion"]) == (40, 6)
    assert sums({"trace": []}, answers_own)["prompt"] == 1


def test_unknown_counts_make_the_sum_a_lower_bound(sums: Sums) -> None:
    found = sums({"trace": trace(agent("a", 10, 2), agent("b", None, None))})
    assert (found["prompt"], found["completion"], found["lower"]) == (10, 2, True)


def test_equal_agents_are_one_call(sums: Sums) -> None:
    found = sums(
        {"trace": trace(agent("a", 10, 8), agent("a", 0, 0), agent("a", 10, 8), agent("b", 0, 0, outcome="failed"))}
    )
    assert (found["calls"], found["engine"]) == (3, 15)


def test_a_model_without_a_price_has_no_cost(sums: Sums) -> None:
    assert sums({"trace": trace(agent("a", 10, 2), agent("c", 10, 2))})["cost"] is None
