"""Prefill: while proposers still run, the next layer's prompts are computed as far as they are known.

The paper names time to first token as MoA's limit, since the last layer waits for all before it. The known part is
computed early: the conversation, the instruction and every finished reference. The final prompt is later rendered
whole and finds its prefix in the engine's cache, so prefill never changes an answer.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from serving.engine import Engine
from serving.errors import MoaError
from serving.references import References
from serving.runtime.agents import Agent
from serving.runtime.context import RunContext
from serving.runtime.proposals import Proposals
from serving.runtime.task import Task
from serving.types import GenerateRequest, Sampling

PRIORITY = 2**20  # behind all real work: a request's priority is below 2**11, times 64 for its layers
BLOCK_CHARACTERS = 128  # about one cache block of 32 tokens: less fills no new block
# While text is still being written. An engine computes that many tokens in about the time of one, so finer steps would
# cost calls and shorten nothing.
STEP_CHARACTERS = 512
# Settings of an agent that do not change its prompt: agents that differ only in these share one prefill.
_PROMPT_ONLY = {
    "temperature": None,
    "top_p": None,
    "max_tokens": None,
    "deadline_s": None,
    "first_token_deadline_s": None,
}

logger = logging.getLogger(__name__)


class LayerPrefill:
    """Prefills of the agents that will read one layer's proposals."""

    def __init__(
        self,
        context: RunContext,
        agents: Sequence[Agent],
        proposals: Proposals,
        before: References,
        layer: int,
        *,
        final: bool = False,
    ) -> None:
        """Start one background task per distinct prompt; none if the policy switches prefill off.

        Args:
            context: the run.
            agents: the readers.
            proposals: the layer's proposals, which grow.
            before: references that come before them in the prompt.
            layer: number of the layer that writes them.
            final: the readers write the final answer.
        """
        self._final = final
        self._context, self._proposals, self._before, self._layer = context, proposals, before, layer
        self._marker = f"[[{secrets.token_hex(8)}]]"  # random, so that no text can contain it
        self._prefills: dict[Agent, _AgentPrefill] = {}
        if context.policy.prefill == "off":
            return
        observer, recipe, engines = context.runtime.observer, context.report.recipe, context.runtime.engines
        for agent in dict.fromkeys(agent.model_copy(update=_PROMPT_ONLY) for agent in agents):

            def ended(ok: bool, model: str = agent.model) -> None:
                observer.prefilled(recipe, model, "layer", ok)

            self._prefills[agent] = _AgentPrefill(
                agent.model, engines[agent.model], self._marker, context.runtime.prefill_settle_s, ended
            )

    @property
    def incremental(self) -> bool:
        """True if proposals are prefilled while they are being written."""
        return self._context.policy.prefill == "incremental" and bool(self._prefills)

    def update(self, step_characters: int = BLOCK_CHARACTERS) -> None:
        """Prefill what is known of the prompts, if that is `step_characters` more than before."""
        if not self._prefills:
            return
        references, characters = self._proposals.known(self._marker)
        if not references or not references[-1].text.endswith(self._marker):
            return  # all is known: the real call comes now
        asked = self._context.request
        for agent, prefill in self._prefills.items():
            if prefill.wants(characters, step_characters):
                # The next layer's proposers draft calls if this layer's do.
                task = Task(self._before + references, drafts=self._context.drafting and not self._final)
                request = replace(
                    self._context.prompted(agent, task, final=self._final),
                    request_id=f"{asked.request_id}-{self._layer + 1}-prefill-{characters}",
                    session=self._context.session(self._layer + 1),
                    sampling=Sampling(),
                    priority=PRIORITY,
                    stream_interval=None,
                )
                prefill.update(request, characters)

    def cancel(self) -> None:
        """End all prefills; the run's `close` waits for their work in the engines to end."""
        for prefill in self._prefills.values():
            self._context.cancel(prefill.task)


class _AgentPrefill:
    """Keeps one agent's next prompt computed, one call at a time; the newest state wins."""

    def __init__(self, model: str, engine: Engine, marker: str, settle_s: float, ended: Callable[[bool], None]) -> None:
        self._model, self._engine, self._marker, self._ended = model, engine, marker, ended
        self._settle_s = settle_s
        self._wanted: GenerateRequest | None = None
        self._known_characters = -STEP_CHARACTERS
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(self._keep_up(), name=f"prefill {model}")

    def wants(self, known_characters: int, step_characters: int) -> bool:
        """True if the references have grown enough for another `update`; asked before a prompt is built for it."""
        return known_characters - self._known_characters >= step_characters

    def update(self, request: GenerateRequest, known_characters: int) -> None:
        """Have `request`'s prompt computed up to the marker."""
        self._known_characters = known_characters
        self._wanted = request
        self._changed.set()

    async def _keep_up(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(self._settle_s)
            self._changed.clear()
            request, self._wanted = self._wanted, None
            if request is None:
                continue
            try:
                await self._engine.prefill(request, self._marker)
            except MoaError as error:
                # Costs speed, not the answer: the real call meets the same error and handles it.
                logger.debug("prefill on %s ended: %s", self._model, error)
                self._ended(False)
                return
            self._ended(True)
