"""Wire format between replicas, in a module that imports nothing heavy: the reader of a pickle imports its classes.

A delta travels as a plain tuple, which takes a third of the bytes and the time of a pickled dataclass. Short forms
leave out what most deltas lack:

    (index, text)                                     a piece of text
    (index, text, finish_reason)                      a choice's end
    (index, text, reasoning, tool_calls)              a piece of reasoning or of tool calls
    (index, text, finish_reason, usage, timing, logprobs, shortened)
    (index, text, finish_reason, usage, timing, logprobs, shortened, reasoning, tool_calls, stop, running_usage)
"""

from dataclasses import dataclass
from typing import Any

from serving.conversation import ToolCallDelta
from serving.types import Delta, Timing, TokenLogprob
from serving.usage import TokenUsage

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
    running = delta.running_usage
    plain = not (delta.reasoning or delta.tool_calls or delta.stop or running)
    if delta.usage is None and delta.logprobs is None and running is None:
        if delta.finish_reason is None:
            return (delta.index, delta.text) if plain else (delta.index, delta.text, *_pack_parsed(delta))
        if plain:
            return (delta.index, delta.text, delta.finish_reason)
    usage, timing = delta.usage, delta.timing
    packed = (
        delta.index,
        delta.text,
        delta.finish_reason,
        usage and _pack_usage(usage),
        timing and (timing.queue_s, timing.ttft_s, timing.total_s),
        None if delta.logprobs is None else tuple(_pack_logprob(logprob) for logprob in delta.logprobs),
        delta.shortened,
    )
    return packed if plain else (*packed, *_pack_parsed(delta), delta.stop, running and _pack_usage(running))


def unpack(packed: Packed) -> Delta:
    """Delta of a tuple made by `pack`."""
    if len(packed) == 2:
        return Delta(packed[1], packed[0])
    if len(packed) == 3:
        return Delta(packed[1], packed[0], finish_reason=packed[2])
    if len(packed) == 4:
        return Delta(packed[1], packed[0], reasoning=packed[2], tool_calls=_unpack_calls(packed[3]))
    index, text, finish_reason, usage, timing, logprobs, shortened, *parsed = packed
    return Delta(
        text,
        index,
        None if logprobs is None else tuple(_unpack_logprob(logprob) for logprob in logprobs),
        finish_reason,
        usage and TokenUsage(*usage),
        timing and Timing(*timing),
        shortened=shortened,
        reasoning=parsed[0] if parsed else "",
        tool_calls=_unpack_calls(parsed[1]) if parsed else (),
        stop=parsed[2] if parsed else None,
        running_usage=TokenUsage(*parsed[3]) if parsed and parsed[3] else None,
    )


def _pack_usage(usage: TokenUsage) -> Packed:
    return (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens)


def _pack_parsed(delta: Delta) -> Packed:
    return (delta.reasoning, tuple((call.index, call.id, call.name, call.arguments) for call in delta.tool_calls))


def _unpack_calls(packed: Packed) -> tuple[ToolCallDelta, ...]:
    return tuple(ToolCallDelta(*call) for call in packed)


def _pack_logprob(logprob: TokenLogprob) -> Packed:
    return (logprob.token, logprob.logprob, logprob.token_bytes, tuple(_pack_logprob(top) for top in logprob.top))


def _unpack_logprob(packed: Packed) -> TokenLogprob:
    token, logprob, token_bytes, top = packed
    return TokenLogprob(token, logprob, token_bytes, tuple(_unpack_logprob(one) for one in top))
