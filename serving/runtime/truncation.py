"""References that do not fit a model's context are shortened, the longest first, until they do.

A conversation that does not fit by itself stays the caller's error.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from serving.errors import ContextTooLong
from serving.runtime.prompts import References, shortened
from serving.types import GenerateRequest, Message

Build = Callable[[References], tuple[Message, ...]]  # the messages around some references

ROUNDS = 4
SPARE = 1.1  # characters per token differ from text to text: cut a tenth more than the estimate
ANSWER_SHARE = 8  # without max_tokens, an eighth of the context is kept for the answer


@dataclass
class PromptFitter:
    """One call's request, and after each `shorten` one with shorter references."""

    asked: GenerateRequest  # its messages are built anew
    build: Build
    references: References
    context_tokens: int | None  # the model's; None: not known, so that nothing can be kept for the answer beforehand
    shortened: int = 0  # how many references are not whole any more
    request: GenerateRequest = field(init=False)
    _rounds: int = 0

    def __post_init__(self) -> None:
        self._whole = self.references
        if self.references and self.asked.sampling.max_tokens is None:
            self.asked = replace(self.asked, min_answer_tokens=(self.context_tokens or 0) // ANSWER_SHARE)
        if self.context_tokens and self.context_tokens <= (self.asked.token_cap or 0):
            self.asked = replace(self.asked, token_cap=None)  # the context itself is the narrower limit
        self._make()

    def _make(self) -> None:
        self.request = replace(self.asked, messages=self.build(self.references))

    def shorten(self, error: ContextTooLong) -> None:
        """Make a request that is as much shorter as `error` says; raises it where that cannot help."""
        self._rounds += 1
        if self._rounds > ROUNDS:
            raise error
        left = error.context_tokens - error.prompt_tokens
        if error.context_tokens // ANSWER_SHARE < left < (self.asked.token_cap or 0):
            # To an endpoint the operator's limit is a `max_tokens` like any other, for which there must be room.
            self.asked = replace(self.asked, token_cap=left)
            self._make()
            return
        reserved = self.asked.sampling.max_tokens or error.context_tokens // ANSWER_SHARE
        excess_tokens = error.prompt_tokens + reserved - error.context_tokens
        characters_per_token = sum(len(m.content) for m in self.request.messages) / max(error.prompt_tokens, 1)
        had = sum(len(reference.text) for reference in self.references)
        room = had - int(max(excess_tokens, 1) * characters_per_token * SPARE) - 1
        if room > 0:
            self.references = shortened(self.references, room)
            self.shortened = sum(a.text != b.text for a, b in zip(self._whole, self.references, strict=True))
        elif self.asked.min_answer_tokens and error.prompt_tokens < error.context_tokens:
            # The conversation itself fills the context: what is left of it is more than no answer.
            self.asked = replace(self.asked, min_answer_tokens=0)
        else:
            raise error
        self._make()
