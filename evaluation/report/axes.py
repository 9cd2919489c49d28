"""Costs of an answer as axes of the report's plots."""

from collections.abc import Callable
from dataclasses import dataclass

from evaluation.analysis.cost import ArmCost
from evaluation.analysis.recommend import Currency


@dataclass(frozen=True, slots=True)
class Axis:
    """One kind of cost."""

    name: str  # in sentences: "in NAME"
    title: str
    unit: str
    cost: Callable[[ArmCost], float | None]  # mean of an arm's answers
    caption: str = ""
    wide: bool = False  # the plot has the whole width of the page


TOKENS = Axis("tokens", "tokens per answer, all agents", "tokens", lambda entry: entry.tokens)
USD = Axis("US$", "US$ per 1,000 answers", "US$ per 1,000 answers", lambda entry: entry.usd_per_1000)
SECONDS = Axis("seconds", "seconds to the complete answer", "s", lambda entry: entry.latency_s, wide=True)
TFLOPS = Axis("TFLOPs", "TFLOPs per answer, all agents", "TFLOPs", lambda entry: entry.tflops)
TFLOPS_IN_SEQUENCE = Axis(
    "TFLOPs in sequence",
    "TFLOPs in sequence",
    "TFLOPs in sequence",
    lambda entry: entry.tflops_in_sequence,
    caption="TFLOPs in sequence: of each layer the largest agent's, since its agents run at the same time",
)
OF_CURRENCY: dict[Currency, Axis] = {"tokens": TOKENS, "usd": USD, "latency_s": SECONDS, "tflops": TFLOPS}


def ordered(first: Currency) -> list[Axis]:
    """Return all axes: that of the recommendation first, those with a plot as wide as the page last."""
    chosen = OF_CURRENCY[first]
    others = (TOKENS, USD, TFLOPS, TFLOPS_IN_SEQUENCE, SECONDS)
    return [chosen, *(axis for axis in others if axis is not chosen)]
