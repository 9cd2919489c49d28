"""What an engine makes of a prompt and the room that its context leaves."""

from serving.errors import ContextTooLong
from serving.types import GenerateRequest


def answer_tokens(model: str, request: GenerateRequest, prompt_tokens: int, context_tokens: int) -> int:
    """How many tokens the answer may have: `max_tokens`, or else what the context and `most_tokens` leave.

    Raises:
        ContextTooLong: they do not fit beside the prompt, nor what the request reserves where it has no `max_tokens`.
    """
    asked = request.sampling.max_tokens
    left = context_tokens - prompt_tokens
    if left < max(asked or request.reserve_tokens, 1):
        raise ContextTooLong(model, prompt_tokens, context_tokens, asked or 0)
    if asked is not None:
        return asked
    return left if request.most_tokens is None else min(left, request.most_tokens)
