"""What the orchestrator does, as Prometheus metrics on Ray's exporter. Names start with `moa_` (Ray adds `ray_`)."""

from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge, Histogram

from deployments.config import TokenPrice
from serving.telemetry import Observer, RequestEnd
from serving.types import AgentTrace, TokenUsage

# From what a cached first token takes to what a large model's long answer does, in seconds.
SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]


class RayObserver(Observer):
    """Counts per model, recipe, layer and role. Lost token counts are left out, not counted as zero."""

    def __init__(self, prices: Mapping[str, TokenPrice] | None = None) -> None:
        """`prices` by model id; what is not in it is left out of the estimated cost."""
        self._prices = dict(prices or {})
        request = ("model", "kind")
        agent = ("recipe", "layer", "role", "model")
        self._running = Gauge("moa_requests_running", "Requests being answered.", ("model",))
        self._counts: dict[str, int] = {}
        self._refused = Counter("moa_requests_refused", "Chat requests that no engine was asked for.", ("code",))
        self._requests = Counter("moa_requests", "Requests by outcome.", (*request, "outcome"))
        self._degraded = Counter("moa_requests_degraded", "Answers given without a part of their team.", request)
        self._tokens = Counter("moa_tokens", "Tokens of all requests.", (*request, "direction"))
        self._ttft = Histogram("moa_ttft_seconds", "To the first piece of the answer.", SECONDS, request)
        self._latency = Histogram("moa_request_seconds", "To the end of the answer.", SECONDS, request)
        self._agents = Counter("moa_agent_calls", "Calls of agents by outcome.", (*agent, "outcome"))
        self._agent_tokens = Counter("moa_agent_tokens", "Tokens of agents.", (*agent, "direction"))
        self._agent_queue = Histogram("moa_agent_queue_seconds", "Waiting in the engine.", SECONDS, agent)
        self._agent_ttft = Histogram("moa_agent_ttft_seconds", "To an agent's first token.", SECONDS, agent)
        # Engine time: what the way there and back adds is in an answer's trace, and in moa_request_seconds.
        self._agent_latency = Histogram(
            "moa_agent_seconds", "An agent's whole call, as its engine measured it.", SECONDS, agent
        )
        self._hedged = Counter("moa_hedged_calls", "Second attempts started.", ("recipe", "model"))
        self._cost = Counter("moa_estimated_cost_usd", "Tokens times their price.", ("recipe", "model"))
        self._prefills = Counter("moa_prefills", "Prompts computed ahead.", ("recipe", "model", "outcome"))

    def request_refused(self, code: str) -> None:
        self._refused.inc(1, {"code": code})

    def request_started(self, model: str) -> None:
        self._count(model, 1)

    def request_ended(self, end: RequestEnd) -> None:
        tags = {"model": end.model, "kind": end.kind}
        self._count(end.model, -1)
        self._requests.inc(1, {**tags, "outcome": end.outcome})
        if end.degraded:
            self._degraded.inc(1, tags)
        if end.usage is not None:
            _count_tokens(self._tokens, tags, end.usage.prompt_tokens, end.usage.completion_tokens)
            if end.kind == "model":  # a recipe's tokens are its agents'
                self._count_cost("none", end.model, end.usage)
        if end.ttft_s is not None:
            self._ttft.observe(end.ttft_s, tags)
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
        ):
            if seconds is not None:
                histogram.observe(seconds, tags)

    def hedged(self, recipe: str, model: str) -> None:
        self._hedged.inc(1, {"recipe": recipe, "model": model})

    def prefilled(self, recipe: str, model: str, ok: bool) -> None:
        self._prefills.inc(1, {"recipe": recipe, "model": model, "outcome": "ok" if ok else "failed"})

    def _count_cost(self, recipe: str, model: str, usage: TokenUsage) -> None:
        if price := self._prices.get(model):
            usd = (usage.prompt_tokens or 0) * price.prompt + (usage.completion_tokens or 0) * price.completion
            if usd:
                self._cost.inc(usd / 1e6, {"recipe": recipe, "model": model})

    def _count(self, model: str, change: int) -> None:
        self._counts[model] = self._counts.get(model, 0) + change
        self._running.set(self._counts[model], {"model": model})


def _count_tokens(counter: Counter, tags: dict[str, str], prompt: int | None, completion: int | None) -> None:
    for direction, tokens in (("prompt", prompt), ("completion", completion)):
        if tokens:
            counter.inc(tokens, {**tags, "direction": direction})
