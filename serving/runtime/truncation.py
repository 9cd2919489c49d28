"""Truncation of references that do not fit a model's context: the longest are cut first.

The engine that has the tokenizer fits the prompt itself (`fit`); an endpoint, whose tokenizer is elsewhere, is asked
again with what its error says (`PromptFitter`). A conversation that does not fit by itself stays the caller's error.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from serving.conversation import Message
from serving.engine import answer_tokens
from serving.errors import ContextTooLong
from serving.runtime.prompts import prompt_messages, shortened
from serving.types import GenerateRequest

T = TypeVar("T")
MAX_ROUNDS = 4
SAFETY_FACTOR = 1.1  # characters per token differ from text to text: leave a tenth less than the estimate
ANSWER_SHARE = 8  # without max_tokens, an eighth of the context is kept for the answer


class PromptFitter:
    """The prompt of one request, shorter after each `shorten`."""

    def __init__(self, request: GenerateRequest, context_tokens: int | None) -> None:
        """Prepare the whole prompt; `context_tokens`: None if the engine does not know its own context."""
        self.request = request
        self.shortened = 0  # references that are not whole
        self.image_tokens = 0  # of the prompt: they have no characters
        self.min_answer_tokens = 0
        self._whole = request.references
        self._rounds = 0
        if request.references is not None and request.references.references and request.sampling.max_tokens is None:
            self.min_answer_tokens = (context_tokens or 0) // ANSWER_SHARE
        if context_tokens and context_tokens <= (request.token_cap or 0):
            self.request = replace(request, token_cap=None)  # the context itself is the narrower limit

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation to render."""
        return prompt_messages(self.request)

    def shorten(self, error: ContextTooLong) -> None:
        """Shorten the references by as much as `error` says; raise it if that cannot help."""
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            raise error
        left = error.context_tokens - error.prompt_tokens
        if error.context_tokens // ANSWER_SHARE < left < (self.request.token_cap or 0):
            # An endpoint gets the operator's limit as `max_tokens`, for which there must be room.
            self.request = replace(self.request, token_cap=left)
            return
        block = self.request.references
        references = block.references if block is not None else ()
        reserved = self.request.sampling.max_tokens or error.context_tokens // ANSWER_SHARE
        excess_tokens = error.prompt_tokens + reserved - error.context_tokens
        prompt_characters = sum(len(message.content) for message in self.messages)
        characters_per_token = prompt_characters / max(error.prompt_tokens - self.image_tokens, 1)
        reference_characters = sum(len(reference.text) for reference in references)
        excess_characters = max(excess_tokens, 1) * characters_per_token
        room = int((reference_characters - excess_characters) / SAFETY_FACTOR)
        if block is not None and self._whole is not None and room > 0:
            cut = shortened(references, room)
            self.request = replace(self.request, references=replace(block, references=cut))
            self.shortened = sum(a.text != b.text for a, b in zip(self._whole.references, cut, strict=True))
        elif self.min_answer_tokens and error.prompt_tokens < error.context_tokens:
            # The conversation itself fills the context: an answer as long as what is left beats no answer.
            self.min_answer_tokens = 0
        else:
            raise error


@dataclass(frozen=True, slots=True)
class FittedPrompt(Generic[T]):
    """A prompt that fits its context."""

    tokens: Sequence[T]
    messages: tuple[Message, ...]
    max_tokens: int  # of the answer
    shortened: int  # references that were cut


async def fit(
    model: str,
    request: GenerateRequest,
    render: Callable[[tuple[Message, ...]], Awaitable[Sequence[T]]],
    context_tokens: int,
    image_tokens: Callable[[], int] = lambda: 0,
) -> FittedPrompt[T]:
    """Render the prompt of `request`, with its references shortened until it fits.

    Args:
        model: id of the model, for errors.
        request: the request; its `max_tokens`, or an eighth of the context, is kept for the answer.
        render: chat template and tokenizer: messages to tokens. It may raise `ContextTooLong` itself.
        context_tokens: size of the model's context.
        image_tokens: number of those tokens of the prompt last rendered that are images.

    Raises:
        ContextTooLong: the conversation does not fit, whatever the references.
    """
    fitter = PromptFitter(request, context_tokens)
    while True:
        messages = fitter.messages
        try:
            tokens = await render(messages)
            fitter.image_tokens = image_tokens()
            most = answer_tokens(model, fitter.request, len(tokens), context_tokens, fitter.min_answer_tokens)
        except ContextTooLong as error:
            fitter.shorten(error)
        else:
            return FittedPrompt(tokens, messages, most, fitter.shortened)
