"""Parts of vLLM's outputs as values of this server: choices, finish reasons, logprobs, times."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vllm.outputs import CompletionOutput, RequestOutput

from deployments.model.token_logprobs import BytesOf, token_logprobs
from serving.conversation import FinishReason
from serving.errors import EngineFailed, IncompleteGeneration
from serving.types import Timing, TokenLogprob

FINISH_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length", "repetition": "stop"}


def copied(outputs: Sequence[CompletionOutput], copies: int) -> Iterator[CompletionOutput]:
    """The choices of an output, each `copies` times: greedy choices are equal, and vLLM generates one of them only."""
    for output in outputs:
        yield output
        for index in range(1, copies):
            yield replace(output, index=index)


def finish_reason(model: str, given: str | None) -> FinishReason | None:
    """Translate vLLM's finish reason; None if the choice has not ended.

    Raises:
        IncompleteGeneration: the engine aborted the request, as at a shutdown.
        EngineFailed: the engine failed on this request.
    """
    if given is None:
        return None
    if given == "abort":
        raise IncompleteGeneration(model, "the engine aborted the request")
    if given not in FINISH_REASONS:
        raise EngineFailed(model, f"the engine ended the request with finish reason '{given}'")
    return FINISH_REASONS[given]


def choice_logprobs(
    choice: CompletionOutput, alternatives: int | None, bytes_of: BytesOf
) -> tuple[TokenLogprob, ...] | None:
    """Log-probabilities of `choice`'s tokens, each with its most likely `alternatives`; None if not requested."""
    if alternatives is None or not choice.logprobs:
        return None
    return token_logprobs(choice.token_ids, list(choice.logprobs), alternatives, bytes_of=bytes_of)


def without_tokens(choice: CompletionOutput) -> CompletionOutput:
    """`choice` without the one token that vLLM makes at least."""
    reason = choice.finish_reason and ("length" if choice.finish_reason in FINISH_REASONS else choice.finish_reason)
    return CompletionOutput(choice.index, "", (), None, None, finish_reason=reason)


def timing(output: RequestOutput, started: float, waited_s: float) -> Timing:
    """Queue and first-token time from vLLM's clocks and the wait before; total since `started` in wall-clock s."""
    total_s = time.time() - started
    metrics = output.metrics
    if metrics is None:
        return Timing(total_s=total_s)
    queued = metrics.scheduled_ts - metrics.queued_ts if metrics.scheduled_ts else None
    first_s = metrics.first_token_latency + waited_s if metrics.first_token_latency else None
    return Timing(None if queued is None else queued + waited_s, first_s, total_s)
