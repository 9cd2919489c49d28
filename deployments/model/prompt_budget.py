"""Limits of the work on one prompt, which several threads may read."""

import threading
from dataclasses import dataclass, field


class PromptTooLong(Exception):
    """A prompt has more tokens than its budget. `exact`: it has `tokens`, else at least so many."""

    def __init__(self, tokens: int, *, exact: bool) -> None:
        super().__init__(tokens)
        self.tokens, self.exact = tokens, exact


class PromptAbandoned(Exception):
    """Nobody waits for the prompt any more; its work ends."""


@dataclass(frozen=True, slots=True)
class PromptBudget:
    """Length that a prompt may have, by default any, and whether anybody still waits for it."""

    context_tokens: int | None = None  # a longer prompt is refused as soon as that is known; None: any length
    cached_tokens: int | None = None  # a longer prompt is not kept in a cache; None: any length
    _abandoned: threading.Event = field(default_factory=threading.Event)

    def abandon(self) -> None:
        """Let the work end at its next `check`."""
        self._abandoned.set()

    def check(self) -> None:
        """Raise `PromptAbandoned` if nobody waits any more."""
        if self._abandoned.is_set():
            raise PromptAbandoned

    def check_length(self, tokens: int, *, exact: bool = True) -> None:
        """Raise `PromptTooLong` for a prompt of `tokens`, or of at least so many."""
        if self.context_tokens is not None and tokens > self.context_tokens:
            raise PromptTooLong(tokens, exact=exact)
