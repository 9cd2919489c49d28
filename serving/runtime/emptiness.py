"""Empty answers: of a proposal, which is then no use, and of the final agent, whose empty answer is the answer.

A final agent has answered as soon as it generated something: an end token at once, the caller's own `stop` at the first
character, reasoning alone, a token that is part of a character. Only if nothing was generated has it failed.
"""

from serving.decoding import Decoding
from serving.types import Choice, Delta, GenerateRequest, Sampling


def is_proposal(choice: Choice, request: GenerateRequest) -> bool:
    """True if a choice can be a proposal: it has visible text, or calls of tools that `request` has.

    Reasoning alone is no proposal.
    """
    return bool(choice.text.strip() or (choice.tool_calls and request.tools))


def stopped_at_once(choice: Choice, sampling: Sampling, completion_tokens: int | None) -> bool:
    """True if a stop that the caller set ended the choice before its first visible character.

    Such a choice of an agent that was sampled as the answer is an answer: the caller asked for nothing more.
    """
    if choice.text.strip() or choice.tool_calls or choice.finish_reason != "stop":
        return False
    return _stops(sampling) and (choice.stop is not None or bool(completion_tokens))


def was_generated(terminal: Delta, sampling: Sampling) -> bool:
    """True if a final answer without text, reasoning and tool calls was generated, by its terminal delta.

    Tokens decide. Where an engine does not count them, the finish reason does: the end of the model itself, without a
    stop of the caller, leaves it open whether there was anything, and counts as nothing.
    """
    if terminal.finish_reason == "content_filter" or terminal.stop is not None:
        return True
    tokens = None if terminal.usage is None else terminal.usage.completion_tokens
    if tokens is not None:
        return tokens > 0
    return terminal.finish_reason == "length" or _stops(sampling)


def ended_by_itself(terminal: Delta, sampling: Sampling) -> bool:
    """True if the model ended its answer, and not a stop of the caller, a limit or a filter."""
    return terminal.finish_reason == "stop" and terminal.stop is None and not _stops(sampling)


def _stops(sampling: Sampling) -> bool:
    decoding: Decoding = sampling.decoding
    return bool(sampling.stop or decoding.stop_token_ids)
