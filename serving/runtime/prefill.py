"""Prefill ahead: while proposers still run, the next layer's prompts are computed as far as they are known.

The paper names time to first token as MoA's limit, since the last layer waits for all before it. What can be
known early is computed early: the conversation, the instructions and every finished reference. The final prompt
is later rendered whole and finds its prefix in the engine's cache, so prefilling never changes an answer.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable

from serving.engine import Engine, complete
from serving.errors import MoaError
from serving.types import GenerateRequest

PRIORITY = 2**40  # behind all real work: a caller's `priority` is below 2**31, times 64 for its layers
BLOCK_CHARACTERS = 128  # about one cache block of 32 tokens: less fills no new block
# While text is still being written. An engine computes so many tokens in about the time of one, so that finer steps
# would cost calls and shorten nothing.
STEP_CHARACTERS = 512
# Proposals often end together. When the last one is in, the real call computes what is left, and would have to wait for
# a prefill that has just begun.
SETTLE_S = 0.02

logger = logging.getLogger(__name__)


def marker() -> str:
    """Stands where a prompt is not known yet; random, so that no text can contain it."""
    return f"[[{secrets.token_hex(8)}]]"


class Prefill:
    """Keeps one agent's next prompt computed, one call at a time; the newest state wins."""

    def __init__(self, model: str, engine: Engine, ended: Callable[[bool], None]) -> None:
        self._model, self._engine, self._ended = model, engine, ended
        self._wanted: GenerateRequest | None = None
        self._known_characters = -STEP_CHARACTERS
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(self._keep_up(), name=f"prefill {model}")

    def wants(self, known_characters: int, step_characters: int) -> bool:
        """Whether the references have grown enough for another `update`; asked before a prompt is built for it."""
        return known_characters - self._known_characters >= step_characters

    def update(self, request: GenerateRequest, known_characters: int) -> None:
        """Have `request`'s prompt computed up to its marker."""
        self._known_characters = known_characters
        self._wanted = request
        self._changed.set()

    async def _keep_up(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE_S)
            self._changed.clear()
            request, self._wanted = self._wanted, None
            if request is None:
                continue
            try:
                await complete(self._model, self._engine, request)
            except MoaError as error:
                # Costs speed, not the answer: the real call meets the same error and deals with it.
                logger.debug("prefill on %s ended: %s", self._model, error)
                self._ended(False)
                return
            self._ended(True)
