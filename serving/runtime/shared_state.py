"""State that all runs of one server share."""

from dataclasses import dataclass, field

from serving.engine import Engine
from serving.runtime.advice import AdviceCache
from serving.runtime.hedging import HedgeBudget, RetryBudget
from serving.runtime.session_tasks import SessionTasks
from serving.runtime.single_flight import SingleFlight
from serving.telemetry import Observer
from serving.tracing.spans import Tracer

# Proposals often end together. When the last one ends, the real call computes the rest, and would have to wait for a
# prefill that has just begun: a prefill starts this long after the last news.
PREFILL_SETTLE_S = 0.02


@dataclass
class Runtime:
    """Engines of one server, its budgets of second attempts, its calls in flight and its advice."""

    engines: dict[str, Engine]
    observer: Observer = field(default_factory=Observer)
    budget: HedgeBudget = field(default_factory=HedgeBudget)
    retries: RetryBudget = field(default_factory=RetryBudget)
    shared: SingleFlight = field(default_factory=SingleFlight)
    advice: AdviceCache = field(default_factory=AdviceCache)
    session_tasks: SessionTasks = field(default_factory=SessionTasks)
    prefill_settle_s: float = PREFILL_SETTLE_S
    prices: dict[str, tuple[float, float]] = field(default_factory=dict)  # per prompt and completion token, by model
    tracer: Tracer | None = None  # None: nothing is traced
