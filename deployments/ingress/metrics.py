"""Prometheus metrics of the orchestrator, on Ray's exporter. Names start with `moa_`; Ray adds the prefix `ray_`."""

from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge, Histogram

from deployments.ingress.buckets import SECONDS, TPOT_SECONDS, TTFT_SECONDS
from deployments.model_identity import TokenPrice
from serving.telemetry import NO_RECIPE, Observer, RequestEnd
from serving.types import AgentStatus, AgentTrace
from serving.usage import TokenUsage

# Outcomes that say how long a model kept its layer waiting. A failure ends early, and a cancelled call was not needed.
WAITED: frozenset[AgentStatus] = frozenset({"ok", "empty", "straggler", "timeout"})


class RayObserver(Observer):
    """Metrics per model, recipe, layer and role. Unknown token counts are left out, not counted as zero."""

    def __init__(
        self, prices: Mapping[str, TokenPrice] | None = None, budget_usd_per_month: float | None = None
    ) -> None:
        """Create the metrics.

        Args:
            prices: by model id; a model without a price is left out of the estimated cost.
            budget_usd_per_month: exported as it is, for the dashboards; None: not exported.
        """
        self._prices = dict(prices or {})
        seconds = list(SECONDS)
        request = ("model", "kind")
        agent = ("recipe", "layer", "role", "model")
        self._running = Gauge("moa_requests_running", "Requests in progress.", ("model",))
        self._running_counts: dict[str, int] = {}
        self._refused = Counter(
            "moa_requests_refused", "Chat requests refused before any engine was called.", ("code",)
        )
        key = ("key", "priority_class")
        self._key_requests = Counter(
            "moa_key_requests",
            "Prompts by the name of their API key and what became of them.",
            (*key, "outcome"),
        )
        self._key_running = Gauge("moa_key_requests_running", "Prompts in progress by the name of their API key.", key)
        self._requests = Counter("moa_requests", "Requests by outcome.", (*request, "outcome"))
        self._degraded = Counter("moa_requests_degraded", "Answers for which a part of the team failed.", request)
        self._tokens = Counter("moa_tokens", "Tokens of requests.", (*request, "direction"))
        self._ttft = Histogram("moa_ttft_seconds", "Time to the first text of the answer.", list(TTFT_SECONDS), request)
        self._tpot = Histogram(
            "moa_tpot_seconds", "Time per output token after the first.", list(TPOT_SECONDS), request
        )
        self._latency = Histogram("moa_request_seconds", "Time to the end of the answer.", seconds, request)
        self._agents = Counter("moa_agent_calls", "Agent calls by outcome.", (*agent, "outcome"))
        self._agent_tokens = Counter("moa_agent_tokens", "Tokens of agent calls.", (*agent, "direction"))
        self._agent_queue = Histogram(
            "moa_agent_queue_seconds", "Time that an agent call waits in the engine.", seconds, agent
        )
        self._agent_ttft = Histogram("moa_agent_ttft_seconds", "Time to an agent's first token.", seconds, agent)
        # Engine time: the time between orchestrator and engine is in an answer's trace and in moa_request_seconds.
        self._agent_latency = Histogram(
            "moa_agent_seconds", "Duration of an agent call, as measured by its engine.", seconds, agent
        )
        self._agent_wait = Histogram(
            "moa_agent_wait_seconds",
            "Time from an agent call's start to its end, or to its end by a deadline or the straggler grace period.",
            seconds,
            agent,
        )
        self._hedged = Counter("moa_hedged_calls", "Hedged second attempts started.", ("recipe", "model"))
        self._votes = Counter("moa_tool_votes", "Votes on drafted tool calls.", ("recipe", "outcome"))
        self._refilled = Counter("moa_refilled_slots", "Slots given to another model.", ("recipe", "model"))
        self._cost = Counter("moa_estimated_cost_usd", "Tokens times their price, in dollars.", ("recipe", "model"))
        self._prefills = Counter("moa_prefills", "Prefills by outcome.", ("recipe", "model", "kind", "outcome"))
        self._store = Gauge("moa_store_available", "1 if the part of the store can be reached, else 0.", ("part",))
        self._cache = Counter("moa_cache_answers", "Answers and the response cache, by event.", ("model", "event"))
        self._cache_bytes = Counter("moa_cache_bytes", "Stored answers read and written.", ("direction",))
        self._lost_records = Counter("moa_lost_records", "Records that could not be written to the store.")
        self._without_store = Counter(
            "moa_limits_without_store", "Requests whose limits could not be asked of the store.", ("decision",)
        )
        self._key_tokens = Counter(
            "moa_key_tokens", "Tokens of all calls by the name of the API key of their request.", ("key", "direction")
        )
        self._spent = Gauge(
            "moa_spent_usd", "Dollars of this month (UTC) by API key, by the records of all replicas.", ("key",)
        )
        self._key_budget = Gauge("moa_key_budget_usd_per_month", "Budget of an API key, in dollars a month.", ("key",))
        grades = [grade / 10 for grade in range(1, 11)]
        self._quality = Histogram(
            "moa_quality_grade", "A judge's grades of a share of the answers, 0 to 1.", grades, ("model", "proposers")
        )
        self._ungraded = Counter("moa_ungraded_answers", "Answers of the sample without a grade.", ("reason",))
        self._feedback = Histogram("moa_feedback_score", "Scores of callers' feedback, 0 to 1.", grades, ("model",))
        self._batch_lines = Gauge("moa_batch_lines", "Lines of batches that have not ended, by state.", ("state",))
        self._batch_line_ends = Counter("moa_batch_line_ends", "Attempts at lines of batches by outcome.", ("outcome",))
        self._batches = Counter("moa_batches", "Batches that have ended, by status.", ("status",))
        self._budget = Gauge("moa_budget_usd_per_month", "Budget of the profile, in dollars a month.")
        if budget_usd_per_month is not None:
            self._budget.set(budget_usd_per_month)

    def store_checked(self, part: str, available: bool) -> None:
        self._store.set(1 if available else 0, {"part": part})

    def records_lost(self, count: int) -> None:
        self._lost_records.inc(count)

    def limits_without_store(self, decision: str) -> None:
        self._without_store.inc(1, {"decision": decision})

    def cache_used(self, model: str, event: str, size_bytes: int = 0) -> None:
        self._cache.inc(1, {"model": model, "event": event})
        if size_bytes:
            self._cache_bytes.inc(size_bytes, {"direction": "read" if event == "hit" else "written"})

    def key_used(self, key: str, usage: TokenUsage) -> None:
        _count_tokens(self._key_tokens, {"key": key}, usage.prompt_tokens, usage.completion_tokens)

    def spent(self, key: str, usd: float) -> None:
        self._spent.set(usd, {"key": key})

    def key_budget(self, key: str, usd: float) -> None:
        self._key_budget.set(usd, {"key": key})

    def answer_rated(self, model: str, score: float) -> None:
        self._feedback.observe(score, {"model": model})

    def answer_graded(self, model: str, proposers: int, score: float) -> None:
        self._quality.observe(score, {"model": model, "proposers": str(proposers)})

    def answer_not_graded(self, reason: str) -> None:
        self._ungraded.inc(1, {"reason": reason})

    def batch_lines(self, running: int, waiting: int) -> None:
        self._batch_lines.set(running, {"state": "running"})
        self._batch_lines.set(max(waiting - running, 0), {"state": "waiting"})

    def batch_line_ended(self, outcome: str) -> None:
        self._batch_line_ends.inc(1, {"outcome": outcome})

    def batch_ended(self, status: str) -> None:
        self._batches.inc(1, {"status": status})

    def request_refused(self, code: str) -> None:
        self._refused.inc(1, {"code": code})

    def caller_admitted(self, caller: str, priority_class: str, prompts: int) -> None:
        self._key_requests.inc(prompts, {"key": caller, "priority_class": priority_class, "outcome": "admitted"})

    def caller_refused(self, caller: str, priority_class: str) -> None:
        self._key_requests.inc(1, {"key": caller, "priority_class": priority_class, "outcome": "refused"})

    def caller_running(self, caller: str, priority_class: str, prompts: int) -> None:
        self._key_running.set(prompts, {"key": caller, "priority_class": priority_class})

    def request_started(self, model: str) -> None:
        self._add_running(model, 1)

    def request_ended(self, end: RequestEnd) -> None:
        tags = {"model": end.model, "kind": end.kind}
        self._add_running(end.model, -1)
        self._requests.inc(1, {**tags, "outcome": end.outcome})
        if end.degraded:
            self._degraded.inc(1, tags)
        if end.usage is not None:
            _count_tokens(self._tokens, tags, end.usage.prompt_tokens, end.usage.completion_tokens)
            if end.kind == "model":  # a recipe's tokens are those of its agents
                self._count_cost(NO_RECIPE, end.model, end.usage)
        if end.ttft_s is not None:
            self._ttft.observe(end.ttft_s, tags)
        if end.tpot_s is not None:
            self._tpot.observe(end.tpot_s, tags)
        self._latency.observe(end.total_s, tags)

    def agent_ended(self, recipe: str, trace: AgentTrace) -> None:
        tags = {"recipe": recipe, "layer": str(trace.layer), "role": trace.role, "model": trace.model}
        self._agents.inc(1, {**tags, "outcome": trace.status})
        _count_tokens(self._agent_tokens, tags, trace.usage.prompt_tokens, trace.usage.completion_tokens)
        self._count_cost(recipe, trace.model, trace.usage)
        for histogram, seconds in (
            (self._agent_queue, trace.timing.queue_s),
            (self._agent_ttft, trace.timing.ttft_s),
            (self._agent_latency, trace.timing.total_s),
            (self._agent_wait, trace.elapsed_s if trace.status in WAITED else None),
        ):
            if seconds is not None:
                histogram.observe(seconds, tags)

    def hedged(self, recipe: str, model: str) -> None:
        self._hedged.inc(1, {"recipe": recipe, "model": model})

    def voted(self, recipe: str, agreed: bool) -> None:
        self._votes.inc(1, {"recipe": recipe, "outcome": "agreed" if agreed else "conflict"})

    def refilled(self, recipe: str, model: str) -> None:
        self._refilled.inc(1, {"recipe": recipe, "model": model})

    def prefilled(self, recipe: str, model: str, kind: str, ok: bool) -> None:
        outcome = "ok" if ok else "failed"
        self._prefills.inc(1, {"recipe": recipe, "model": model, "kind": kind, "outcome": outcome})

    def _count_cost(self, recipe: str, model: str, usage: TokenUsage) -> None:
        if price := self._prices.get(model):
            usd = (usage.prompt_tokens or 0) * price.prompt + (usage.completion_tokens or 0) * price.completion
            if usd:
                self._cost.inc(usd / 1e6, {"recipe": recipe, "model": model})

    def _add_running(self, model: str, change: int) -> None:
        self._running_counts[model] = self._running_counts.get(model, 0) + change
        self._running.set(self._running_counts[model], {"model": model})


def _count_tokens(counter: Counter, tags: dict[str, str], prompt: int | None, completion: int | None) -> None:
    for direction, tokens in (("prompt", prompt), ("completion", completion)):
        if tokens:
            counter.inc(tokens, {**tags, "direction": direction})
