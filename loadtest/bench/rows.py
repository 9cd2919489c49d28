"""Rows of the benchmark, their measures, and the aims of this server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["pass", "team", "staircase"]
ROUNDS = 6  # the fewest whose range contains the median with 95% confidence
PROMPT_TOKENS = 128
PASS_TOKENS = 64  # of a single-model answer
BUSY_STREAMS = 16

MEASURES: Mapping[str, str] = {
    "ttft_ms": "first answer token - request sent; p50",
    "tpot_ms": "(end - first answer token) / (answer tokens - 1); p50",
    "tokens_per_s": "answer tokens / time of the round",
    "e2e_ms": "end of the answer - question sent; p50",
    "after_proposals_ms": "first answer token - end of the last proposal; p50. A proposal ends when it is"
    " received by this server's orchestrator, or by the client of client-side MoA",
    "requests_per_s": "requests / time of the round",
    "overhead_ms": "(e2e - sum of each layer's slowest time, as the engines measured it) / layers; p50",
    "critical_path": "e2e / sum of each layer's slowest time, as the engines measured it; p50",
}
OF_KIND: Mapping[Kind, tuple[str, ...]] = {
    "pass": ("ttft_ms", "tpot_ms", "tokens_per_s"),
    "team": ("e2e_ms", "ttft_ms", "after_proposals_ms", "requests_per_s", "overhead_ms", "critical_path"),
    "staircase": ("ttft_ms", "e2e_ms", "requests_per_s"),
}
RECIPES: Mapping[Kind, str] = {"team": "moa-lite", "staircase": "moa-staircase"}  # that answer the rows of a kind


LESS_IS_BETTER: Mapping[str, bool] = {name: not name.endswith("_per_s") for name in MEASURES}


@dataclass(frozen=True, slots=True)
class Row:
    """Workload of one row."""

    kind: Kind
    streams: int  # concurrent requests
    tokens: int  # of the answer, and of each proposal
    requests: int  # in each round

    @property
    def id(self) -> str:
        """Name of the row on the command line and in the results."""
        return f"pass-{self.streams}" if self.kind == "pass" else f"{self.kind}-{self.tokens}-{self.streams}"

    @property
    def title(self) -> str:
        """Name of the row in tables."""
        if self.kind == "pass":
            return f"one model, {self.streams} streams"
        return f"{RECIPES[self.kind]}, {self.tokens} tokens per proposal, {self.streams} at a time"

    @property
    def deciding(self) -> str:
        """Measure of the row's verdict: the time of an answer, or the throughput if the engines are busy."""
        if self.kind == "pass":
            return "ttft_ms" if self.streams == 1 else "tokens_per_s"
        if self.kind == "staircase":
            return "ttft_ms"
        return "e2e_ms" if self.streams < BUSY_STREAMS else "requests_per_s"


ROWS: tuple[Row, ...] = (  # sized so that all rounds take about 25 minutes on two cores
    Row("pass", 1, PASS_TOKENS, 6),
    Row("pass", 8, PASS_TOKENS, 16),
    Row("pass", 32, PASS_TOKENS, 64),
    Row("team", 1, 64, 2),
    Row("team", 4, 64, 4),
    Row("team", 16, 64, 16),
    Row("team", 1, 512, 1),
    Row("team", 4, 512, 4),
    Row("team", 16, 512, 16),
    Row("staircase", 1, 512, 1),
)
QUICK: tuple[Row, ...] = tuple(row for row in ROWS if row.id in ("pass-1", "pass-32", "team-64-1", "team-64-16"))


@dataclass(frozen=True, slots=True)
class Aim:
    """Aim of this server with its default policy: relative to the baseline, or absolute."""

    row: str
    measure: str
    relative: bool
    compare: Literal["<=", ">="]
    bound: float

    def __str__(self) -> str:
        return f"{self.row} {self.measure} {self.compare} {self.bound:g}{'x' if self.relative else ''}"

    def met(self, value: float) -> bool:
        """True if `value` reaches the aim."""
        return value <= self.bound if self.compare == "<=" else value >= self.bound


AIMS: tuple[Aim, ...] = (
    Aim("pass-1", "ttft_ms", True, "<=", 1.5),
    Aim("pass-32", "tokens_per_s", True, ">=", 0.75),
    *(Aim(f"team-{tokens}-{streams}", "e2e_ms", True, "<=", 0.9) for tokens in (64, 512) for streams in (1, 4)),
    *(Aim(f"team-{tokens}-16", "requests_per_s", True, ">=", 1.15) for tokens in (64, 512)),
    Aim("team-512-1", "after_proposals_ms", True, "<=", 0.35),
    *(Aim(f"team-{tokens}-1", "critical_path", False, "<=", 1.10) for tokens in (64, 512)),
    Aim("team-64-1", "overhead_ms", False, "<=", 5.0),
    Aim("staircase-512-1", "ttft_ms", True, "<=", 0.2),
)
