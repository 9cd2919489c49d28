"""Wire format between replicas, in a module that imports nothing heavy: the reader of a pickle imports its classes.

A delta travels as a plain tuple, which takes a third of the bytes and the time of a pickled dataclass. Short forms
leave out what most deltas lack:

    (index, text)                                     a piece of text
    (index, text, finish_reason)                      a choice's end
    (index, text, finish_reason, usage, timing, logprobs, shortened)
"""

from dataclasses import dataclass
from typing import Any

from serving.types import Delta, Timing, TokenLogprob, TokenUsage

Packed = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters of a replica's engine: the requests it holds now and its work since its start."""

    unfinished_requests: int
    finished_requests: int
    aborted_requests: int
    generated_tokens: int
    pid: int


def pack(delta: Delta) -> Packed:
    """Tuple of `delta` without its report, which engines do not write."""
    if delta.usage is None and delta.logprobs is None:
        if delta.finish_reason is None:
            return (delta.index, delta.text)
        return (delta.index, delta.text, delta.finish_reason)
    usage, timing = delta.usage, delta.timing
    return (
        delta.index,
        delta.text,
        delta.finish_reason,
        usage and (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
        timing and (timing.queue_s, timing.ttft_s, timing.total_s),
        None if delta.logprobs is None else tuple(_pack_logprob(logprob) for logprob in delta.logprobs),
        delta.shortened,
    )


def unpack(packed: Packed) -> Delta:
    """Delta of a tuple made by `pack`."""
    if len(packed) == 2:
        return Delta(packed[1], packed[0])
    if len(packed) == 3:
        return Delta(packed[1], packed[0], finish_reason=packed[2])
    index, text, finish_reason, usage, timing, logprobs, shortened = packed
    return Delta(
        text,
        index,
        None if logprobs is None else tuple(_unpack_logprob(logprob) for logprob in logprobs),
        finish_reason,
        usage and TokenUsage(*usage),
        timing and Timing(*timing),
        shortened=shortened,
    )


def _pack_logprob(logprob: TokenLogprob) -> Packed:
    return (logprob.token, logprob.logprob, logprob.token_bytes, tuple(_pack_logprob(top) for top in logprob.top))


def _unpack_logprob(packed: Packed) -> TokenLogprob:
    token, logprob, token_bytes, top = packed
    return TokenLogprob(token, logprob, token_bytes, tuple(_unpack_logprob(one) for one in top))
