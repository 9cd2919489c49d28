"""How a run treats its agents: quorum, deadlines, hedging, prefill ahead. The same for every recipe."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from serving.config import Frozen
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, Layout

PrefillMode = Literal["off", "on_complete", "incremental"]
ReferenceOrder = Literal["declared", "arrival"]


class Policy(Frozen):
    """Knobs that every recipe has. Seconds are seconds; `None` switches a knob off."""

    renamed: ClassVar[Mapping[str, str]] = {"prewarm": "prefill"}

    min_proposals: int = Field(default=1, ge=1, description="Fewer usable proposals of a layer fail the request.")
    straggler_grace_s: float | None = Field(
        default=None, ge=0, description="How long a layer waits for the rest once it has min_proposals."
    )
    proposer_deadline_s: float = Field(default=120.0, gt=0, description="Each proposer's, where it has none itself.")
    first_token_deadline_s: float = Field(default=60.0, gt=0, description="The aggregator's; then a fallback answers.")
    deadline_s: float = Field(default=300.0, gt=0, description="The whole request's.")
    hedge: bool = Field(default=False, description="A second attempt for a proposer slower than hedge_quantile.")
    hedge_quantile: float = Field(default=0.95, gt=0.5, lt=1, description="Of the durations of calls of its kind.")
    retries: int = Field(default=1, ge=0, le=5, description="New attempts after a replica is lost, for proposers.")
    prefill: PrefillMode = Field(default="on_complete", description="Prefill ahead: see docs/architecture.md.")
    reference_order: ReferenceOrder = Field(default="declared", description="Or as the proposals finished.")
    layout: Layout = Field(default="paper", description="Where the references stand: see serving/runtime/prompts.py.")
    prompt: str = Field(default=AGGREGATE_AND_SYNTHESIZE, min_length=1, description="Stands above the references.")
    temperature: float | None = Field(default=0.7, ge=0, le=2, description="Where neither agent nor request has one.")
    proposal_max_tokens: int | None = Field(default=None, ge=1, description="Of each proposal; else the request's.")
