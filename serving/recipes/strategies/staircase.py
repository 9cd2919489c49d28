"""Staircase streaming (arXiv 2510.05059): the aggregator begins with the first chunks of the proposals."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import ClassVar, Literal

from pydantic import Field, StrictFloat, StrictInt

from serving.conversation import Thinking
from serving.engine import CONTINUING
from serving.recipes.base import Answering, Recipe
from serving.recipes.cost import Cost
from serving.references import References
from serving.runtime.agents import Agent, AgentField, Team
from serving.runtime.growing import Parts
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE
from serving.runtime.reasons import WHOLE
from serving.runtime.run import Run
from serving.runtime.staircase import Chunks
from serving.types import Delta, GenerateRequest, Sampling

STILL_WRITTEN = (
    " A response that ends with [...] is still being written: begin your reply with what you know, and go on with it as"
    " more of the responses becomes known."
)
HEADING = "\n\nResponses from models:"
# Settings of `Decoding` that hold for each token by itself, so that several calls honour them as one does.
PER_TOKEN = ("logit_bias", "allowed_token_ids", "stop_token_ids", "include_stop_str_in_output")


class Staircase(Answering):
    """One layer of proposers, and an aggregator that writes its answer in chunks while they write theirs.

    A request that chunks cannot honour waits for whole proposals, as with `layered`; the answer says so.
    """

    strategy: Literal["staircase"] = "staircase"
    per_request: ClassVar[frozenset[str]] = (Recipe.per_request - {"reference_order"}) | {
        "models",
        "aggregator",
        "first_chunk_tokens",
        "chunk_tokens",
    }
    team = "proposers"
    tool_modes = ("final", "vote")
    caller = "the aggregator, which then waits for whole proposals; with `vote` proposers"
    without_effect = frozenset({"reference_order"})  # proposals are in the order in which they are first read
    final = "aggregator"
    proposers: Team
    aggregator: AgentField
    prompt: str = Field(
        default=AGGREGATE_AND_SYNTHESIZE.removesuffix(HEADING) + STILL_WRITTEN + HEADING,
        min_length=1,
        description="Instruction above the references.",
    )
    first_chunk_tokens: StrictInt = Field(
        default=32, ge=1, le=4096, description="Length of each proposal at which the aggregator begins."
    )
    chunk_tokens: StrictInt = Field(
        default=64,
        ge=1,
        le=4096,
        description="Length of each chunk of the answer, and of what the proposals must grow by before the next one.",
    )
    max_chunks: StrictInt = Field(
        default=16, ge=1, le=256, description="Chunks of the answer before all proposals have ended."
    )
    chunk_grace_s: StrictFloat = Field(
        default=0.5, ge=0, description="Wait for the chunks of the other proposals, once min_proposals have theirs."
    )
    parts: Parts = Field(
        default="merged",
        description="Proposals in the prompt: one growing reference each (merged), or what is new behind all that was"
        " there, so that the prompt so far stays cached (appended).",
    )

    def agents(self) -> Iterable[Agent]:
        return (*self.proposers, self.aggregator, *(self.fallbacks or ()))

    def requires(self) -> Mapping[str, frozenset[str]]:
        return {self.aggregator.model: frozenset({CONTINUING})}

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        answer = self.answer_cost(self.aggregator, sampling)
        chunks = self.max_chunks
        if answer.tokens is not None:
            chunks = min(chunks, -(-answer.tokens // self.chunk_tokens))
        return self.proposals_cost(self.proposers, sampling) + answer + Cost(chunks, 0)

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        if (what := self._needs_whole(run.request)) is not None:
            run.note(WHOLE(what=what))
            return await self.aggregated(run, self._references, self.aggregator, self.proposers)
        chunks = Chunks(self.first_chunk_tokens, self.chunk_tokens, self.max_chunks, self.chunk_grace_s, self.parts)
        fallbacks = self.replacements(self.aggregator, self.proposers)
        return run.staircase(self.aggregator, self.proposers, chunks, fallbacks=fallbacks)

    async def _references(self, run: Run) -> References:
        return await run.propose(self.proposers, feeding=[self.aggregator])

    def _needs_whole(self, request: GenerateRequest) -> str | None:
        """Name of what the request has that several calls cannot honour as one does; None: there is nothing."""
        sampling = request.sampling
        thinking = self.aggregator.thinking.value if self.aggregator.thinking is not None else Thinking(enabled=False)
        if request.thinking != Thinking():
            thinking = request.thinking
        found = {
            "tools or results of tools": bool(request.tools)
            or any(message.role == "tool" or message.tool_calls for message in request.messages),
            "a response format": sampling.response_format is not None,
            "thinking": thinking.enabled is not False,
            "penalties": bool(sampling.presence_penalty or sampling.frequency_penalty)
            or sampling.repetition_penalty is not None,
            "min_tokens and stop": bool(sampling.min_tokens and sampling.stop),
            "add_generation_prompt": request.prompt_end == "message",
            **{name: name not in PER_TOKEN for name in sampling.decoding.fields},
        }
        return next((what for what, present in found.items() if present), None)
