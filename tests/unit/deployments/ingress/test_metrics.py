"""Metrics that the observer records, caught from Ray's own metric classes without a cluster."""

from typing import Any

import pytest
from ray.util import metrics as ray_metrics

from deployments.ingress.metrics import RayObserver
from deployments.model_identity import TokenPrice
from serving.telemetry import Observer, RequestEnd
from serving.types import AgentTrace, Timing
from serving.usage import TokenUsage

Recorded = list[tuple[str, float, dict[str, str]]]

MODEL = {"model": "a", "kind": "model"}
AGENT = {"recipe": "moa", "layer": "2", "role": "proposer", "model": "a"}
PRICES = {"a": TokenPrice(prompt=2, completion=10)}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    found: Recorded = []

    def record(self: Any, value: float, tags: dict[str, str] | None = None) -> None:
        assert set(tags or {}) == set(self._tag_keys)
        found.append((self.info["name"], value, tags or {}))

    monkeypatch.setattr(ray_metrics.Metric, "_record", record)
    return found


def end(**changes: Any) -> RequestEnd:
    values = {
        "model": "a",
        "kind": "model",
        "outcome": "ok",
        "degraded": False,
        "usage": TokenUsage(30, 5, 20),
        "ttft_s": 0.25,
        "total_s": 1.5,
        "answer_tokens": 6,
    }
    return RequestEnd(**{**values, **changes})


def trace(**changes: Any) -> AgentTrace:
    values = {
        "layer": 2,
        "agent": 1,
        "role": "proposer",
        "model": "a",
        "status": "ok",
        "usage": TokenUsage(30, 5),
        "timing": Timing(0.5, 0.75, 2.0),
        "elapsed_s": 2.5,
    }
    return AgentTrace(**{**values, **changes})


def test_prompts_are_counted_by_the_name_of_their_key(recorded: Recorded) -> None:
    observer, key = RayObserver(), {"key": "team-a", "priority_class": "batch"}
    observer.caller_running("team-a", "batch", 3)
    observer.caller_admitted("team-a", "batch", 3)
    observer.caller_refused("team-a", "batch")
    assert recorded == [
        ("moa_key_requests_running", 3, key),
        ("moa_key_requests", 3, {**key, "outcome": "admitted"}),
        ("moa_key_requests", 1, {**key, "outcome": "refused"}),
    ]


def test_every_hook_of_the_observer_records_something() -> None:
    hooks = {name for name, value in vars(Observer).items() if callable(value)}
    assert hooks == {name for name in vars(RayObserver) if not name.startswith("_")}


def test_a_refusal_is_counted_by_its_code_and_nothing_else(recorded: Recorded) -> None:
    RayObserver().request_refused("invalid_api_key")
    assert recorded == [("moa_requests_refused", 1, {"code": "invalid_api_key"})]


def test_running_requests_are_a_gauge_for_each_model(recorded: Recorded) -> None:
    observer = RayObserver()
    for model in ("a", "a", "b"):
        observer.request_started(model)
    observer.request_ended(end())
    running = [(tags["model"], value) for name, value, tags in recorded if name == "moa_requests_running"]
    assert running == [("a", 1), ("a", 2), ("b", 1), ("a", 1)]


def test_a_models_answer_is_counted_with_its_tokens_cost_and_times(recorded: Recorded) -> None:
    observer = RayObserver(PRICES)
    observer.request_started("a")
    recorded.clear()
    observer.request_ended(end())
    assert recorded == [
        ("moa_requests_running", 0, {"model": "a"}),
        ("moa_requests", 1, {**MODEL, "outcome": "ok"}),
        ("moa_tokens", 30, {**MODEL, "direction": "prompt"}),
        ("moa_tokens", 5, {**MODEL, "direction": "completion"}),
        ("moa_estimated_cost_usd", pytest.approx(110e-6), {"recipe": "none", "model": "a"}),
        ("moa_ttft_seconds", 0.25, MODEL),
        ("moa_tpot_seconds", 0.25, MODEL),
        ("moa_request_seconds", 1.5, MODEL),
    ]


def test_a_recipes_cost_is_that_of_its_agents(recorded: Recorded) -> None:
    RayObserver({"moa": PRICES["a"]}).request_ended(end(model="moa", kind="recipe", degraded=True))
    names = [name for name, _, _ in recorded]
    assert "moa_estimated_cost_usd" not in names
    assert ("moa_requests_degraded", 1, {"model": "moa", "kind": "recipe"}) in recorded


def test_a_request_without_an_answer_has_an_outcome_and_a_duration_only(recorded: Recorded) -> None:
    RayObserver(PRICES).request_ended(end(outcome="cancelled", usage=None, ttft_s=None))
    assert recorded[1:] == [
        ("moa_requests", 1, {**MODEL, "outcome": "cancelled"}),
        ("moa_request_seconds", 1.5, MODEL),
    ]


def test_a_lost_count_is_left_out_and_not_counted_as_zero(recorded: Recorded) -> None:
    observer = RayObserver(PRICES)
    observer.request_ended(end(usage=TokenUsage(None, 5, None)))
    observer.agent_ended("moa", trace(usage=TokenUsage(None, None, None)))
    tokens = [(name, value, tags["direction"]) for name, value, tags in recorded if name.endswith("tokens")]
    assert tokens == [("moa_tokens", 5, "completion")]
    assert [value for name, value, _ in recorded if "cost" in name] == [pytest.approx(50e-6)]


def test_an_agents_call_is_counted_with_its_tokens_cost_and_times(recorded: Recorded) -> None:
    RayObserver(PRICES).agent_ended("moa", trace(status="straggler"))
    assert recorded == [
        ("moa_agent_calls", 1, {**AGENT, "outcome": "straggler"}),
        ("moa_agent_tokens", 30, {**AGENT, "direction": "prompt"}),
        ("moa_agent_tokens", 5, {**AGENT, "direction": "completion"}),
        ("moa_estimated_cost_usd", pytest.approx(110e-6), {"recipe": "moa", "model": "a"}),
        ("moa_agent_queue_seconds", 0.5, AGENT),
        ("moa_agent_ttft_seconds", 0.75, AGENT),
        ("moa_agent_seconds", 2.0, AGENT),
        ("moa_agent_wait_seconds", 2.5, AGENT),
    ]


def test_the_time_that_a_layer_waited_for_a_model_includes_calls_that_were_cut_off(recorded: Recorded) -> None:
    """The engine's own time is unknown for them: without these, the slowest model would look fast."""
    observer = RayObserver()
    for number, status in enumerate(("ok", "empty", "straggler", "timeout", "failed", "cancelled")):
        observer.agent_ended("moa", trace(status=status, timing=Timing(), elapsed_s=float(number)))
    assert [value for name, value, _ in recorded if name == "moa_agent_wait_seconds"] == [0, 1, 2, 3]


@pytest.mark.parametrize(("budget", "values"), [(None, []), (300.0, [300.0])])
def test_a_budget_is_exported_only_if_there_is_one(
    recorded: Recorded, budget: float | None, values: list[float]
) -> None:
    RayObserver(budget_usd_per_month=budget)
    assert [value for name, value, _ in recorded if name == "moa_budget_usd_per_month"] == values


def test_unknown_times_and_prices_are_left_out(recorded: Recorded) -> None:
    RayObserver(PRICES).agent_ended("moa", trace(model="b", timing=Timing(ttft_s=0.0)))
    assert [name for name, _, _ in recorded] == [
        "moa_agent_calls",
        "moa_agent_tokens",
        "moa_agent_tokens",
        "moa_agent_ttft_seconds",
        "moa_agent_wait_seconds",
    ]


def test_the_store_is_a_gauge_for_each_part_and_lost_records_are_counted(recorded: Recorded) -> None:
    observer = RayObserver()
    observer.store_checked("database", True)
    observer.store_checked("expiring", False)
    observer.records_lost(3)
    assert recorded == [
        ("moa_store_available", 1, {"part": "database"}),
        ("moa_store_available", 0, {"part": "expiring"}),
        ("moa_lost_records", 3, {}),
    ]


def test_lines_of_batches_are_gauges_by_state_and_counted_by_outcome(recorded: Recorded) -> None:
    observer = RayObserver()
    observer.batch_lines(4, 10)
    observer.batch_line_ended("retried")
    observer.batch_ended("completed")
    assert recorded == [
        ("moa_batch_lines", 4, {"state": "running"}),
        ("moa_batch_lines", 6, {"state": "waiting"}),
        ("moa_batch_line_ends", 1, {"outcome": "retried"}),
        ("moa_batches", 1, {"status": "completed"}),
    ]


def test_second_attempts_are_counted(recorded: Recorded) -> None:
    RayObserver().hedged("moa", "a")
    assert recorded == [("moa_hedged_calls", 1, {"recipe": "moa", "model": "a"})]


@pytest.mark.parametrize(("agreed", "outcome"), [(True, "agreed"), (False, "conflict")])
def test_votes_on_tool_calls_are_counted_by_outcome(recorded: Recorded, agreed: bool, outcome: str) -> None:
    RayObserver().voted("moa", agreed)
    assert recorded == [("moa_tool_votes", 1, {"recipe": "moa", "outcome": outcome})]


def test_refilled_slots_are_counted_by_the_model_that_takes_them(recorded: Recorded) -> None:
    RayObserver().refilled("moa", "c")
    assert recorded == [("moa_refilled_slots", 1, {"recipe": "moa", "model": "c"})]


@pytest.mark.parametrize(("ok", "outcome"), [(True, "ok"), (False, "failed")])
def test_prefills_are_counted_by_outcome(recorded: Recorded, ok: bool, outcome: str) -> None:
    RayObserver().prefilled("moa", "a", "next_turn", ok)
    assert recorded == [("moa_prefills", 1, {"recipe": "moa", "model": "a", "kind": "next_turn", "outcome": outcome})]


def test_the_cache_counts_its_answers_by_event_and_the_bytes_of_entries(recorded: Recorded) -> None:
    observer = RayObserver()
    recorded.clear()
    for event, size in (("miss", 0), ("stored", 300), ("hit", 200), ("degraded", 0)):
        observer.cache_used("m", event, size)
    assert recorded == [
        ("moa_cache_answers", 1, {"model": "m", "event": "miss"}),
        ("moa_cache_answers", 1, {"model": "m", "event": "stored"}),
        ("moa_cache_bytes", 300, {"direction": "written"}),
        ("moa_cache_answers", 1, {"model": "m", "event": "hit"}),
        ("moa_cache_bytes", 200, {"direction": "read"}),
        ("moa_cache_answers", 1, {"model": "m", "event": "degraded"}),
    ]


def test_keys_are_counted_by_name_and_scores_by_model(recorded: Recorded) -> None:
    observer = RayObserver()
    observer.key_used("alice", TokenUsage(30, 5, 20))
    observer.key_used("alice", TokenUsage(None, None))
    observer.spent("alice", 12.5)
    observer.key_budget("alice", 50.0)
    observer.answer_graded("moa", 3, 0.7)
    observer.answer_not_graded("full")
    observer.answer_rated("moa", 1.0)
    assert recorded == [
        ("moa_key_tokens", 30, {"key": "alice", "direction": "prompt"}),
        ("moa_key_tokens", 5, {"key": "alice", "direction": "completion"}),
        ("moa_spent_usd", 12.5, {"key": "alice"}),
        ("moa_key_budget_usd_per_month", 50.0, {"key": "alice"}),
        ("moa_quality_grade", 0.7, {"model": "moa", "proposers": "3"}),
        ("moa_ungraded_answers", 1, {"reason": "full"}),
        ("moa_feedback_score", 1.0, {"model": "moa"}),
    ]
