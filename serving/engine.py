"""The one seam: everything that can answer is an `Engine`.

A vLLM replica behind a handle, a scripted engine, an external endpoint and a recipe run by the orchestrator
are all Engines; the API sees a mapping from model id to Engine.

Stream contract
---------------
* `generate` returns an async iterator of `Delta`; a whole answer is `collect()` over it, never a second path.
* Every choice ends with one delta that carries its `finish_reason`. Exactly one delta, the last of the stream,
  is terminal: it carries `usage` (with n = 1 it also carries the `finish_reason`). A stream that ends without
  it is an error, `IncompleteGeneration`.
* Closing the iterator (`aclose`) ends the work all the way down to the engine. Use `aclosing` around a loop:
  leaving `async for` early does not close an async generator by itself.
* Errors are raised, as `serving.errors`, and never returned as content.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from serving.errors import ContextTooLong, IncompleteGeneration
from serving.types import Choice, Completion, Delta, FinishReason, GenerateRequest, Timing, TokenLogprob, TokenUsage

__all__ = ["Engine", "checked", "collect", "complete"]


class Engine(Protocol):
    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Answer `request` as a stream; raises `serving.errors.MoaError`."""
        ...

    async def check_health(self) -> None:
        """Return when the engine is warmed and answers; raise `EngineUnavailable` otherwise."""
        ...


async def checked(model: str, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """`stream`, with its contract enforced; closed, it closes `stream`.

    Raises:
        IncompleteGeneration: no terminal delta ended the stream, or it went on after one.
    """
    ended = False
    async with aclosing(stream):
        async for delta in stream:
            if ended:
                raise IncompleteGeneration(model, "its stream went on after its terminal delta")
            ended = delta.terminal
            yield delta
    if not ended:
        raise IncompleteGeneration(model)


async def collect(model: str, stream: AsyncGenerator[Delta, None], choices: int | None = None) -> Completion:
    """Fold a stream into a whole answer, of so many `choices` where that is said; closes it whatever happens.

    Raises:
        IncompleteGeneration: the stream ended without its terminal delta, a choice without a finish reason, or there
            are more or fewer choices.
    """
    texts: dict[int, list[str]] = {}
    reasons: dict[int, FinishReason] = {}
    logprobs: dict[int, list[TokenLogprob]] = {}
    last: Delta | None = None
    async with aclosing(checked(model, stream)) as deltas:
        async for delta in deltas:
            texts.setdefault(delta.index, []).append(delta.text)
            if delta.logprobs is not None:
                logprobs.setdefault(delta.index, []).extend(delta.logprobs)
            if delta.finish_reason is not None:
                reasons[delta.index] = delta.finish_reason
            last = delta
    assert last is not None  # `checked` has raised otherwise
    if missing := sorted(set(texts) - set(reasons)):
        raise IncompleteGeneration(model, f"choices {missing} have no finish reason")
    if choices is not None and len(texts) != choices:
        raise IncompleteGeneration(model, f"it gave {len(texts)} choices of {choices}")
    return Completion(
        choices=tuple(
            Choice("".join(texts[i]), reasons[i], tuple(logprobs[i]) if i in logprobs else None) for i in sorted(texts)
        ),
        usage=last.usage or TokenUsage(),
        timing=last.timing or Timing(),
        report=last.report,
    )


async def complete(model: str, engine: Engine, request: GenerateRequest) -> Completion:
    """`collect` over `engine.generate`."""
    return await collect(model, engine.generate(request), request.sampling.n)


def answer_tokens(model: str, request: GenerateRequest, prompt_tokens: int, context_tokens: int) -> int:
    """How many tokens the answer may have: `max_tokens`, or else what the context and `token_cap` leave.

    Raises:
        ContextTooLong: they do not fit beside the prompt, nor what the request reserves where it has no `max_tokens`.
    """
    asked = request.sampling.max_tokens
    left = context_tokens - prompt_tokens
    if left < max(asked or request.min_answer_tokens, 1):
        raise ContextTooLong(model, prompt_tokens, context_tokens, asked or 0)
    if asked is not None:
        return asked
    return left if request.token_cap is None else min(left, request.token_cap)
