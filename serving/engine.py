"""The one interface of this project: everything that can answer is an `Engine`.

A vLLM replica behind a handle, a scripted engine, an external endpoint and a recipe run by the orchestrator are all
engines; the API sees a mapping from model id to engine.

Stream contract
---------------
* `generate` returns an async iterator of `Delta`; a whole answer is `collect()` over it, never a second code path.
* Every choice ends with one delta that carries its `finish_reason`. Exactly one delta, the last of the stream, is
  terminal: it carries `usage` (with n = 1 it also carries the `finish_reason`). A stream that ends without it is an
  error, `IncompleteGeneration`.
* Closing the iterator (`aclose`) ends the work down to the engine. Put `contextlib.aclosing` around every loop:
  leaving `async for` early does not close an async generator.
* Reasoning and tool calls are fields of a delta, never text. `finish_reason` is "tool_calls" if the choice calls tools.
* Errors are raised, as `serving.errors`, and never returned as content.
* References that do not fit the context are shortened by the engine, which reports how many on the terminal delta.

The contract is enforced twice: where the runtime calls an engine and where the API reads one.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from serving.conversation import FinishReason, Modality, ToolCall, ToolCallDelta
from serving.errors import ContextTooLong, IncompleteGeneration, InvalidRequest, UnsupportedField
from serving.types import CacheOption, Choice, Completion, Delta, GenerateRequest, Timing, TokenLogprob, Tokens
from serving.usage import TokenUsage

CONTINUING = "continue_final_message"  # ability to continue the last message (`GenerateRequest.prompt_end`)

__all__ = [
    "CONTINUING",
    "ChoiceParts",
    "Engine",
    "EngineInfo",
    "EngineWrapper",
    "Work",
    "add_piece",
    "answer_tokens",
    "checked",
    "collect",
    "complete",
    "delta_of",
]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Properties of an engine that the composition depends on."""

    context_tokens: int | None = None  # None: unknown
    replicas: int | None = None  # the least number there always is; None: unknown, so a second attempt may be worth it
    # Abilities it lacks: "n" (several choices per call), "logprobs", `CONTINUING`.
    unsupported: frozenset[str] = frozenset()
    tools: bool = False  # accepts tools, and returns calls as `Delta.tool_calls`
    thinking: bool = False  # separates reasoning from text, and can switch it
    raw_prompts: bool = False  # takes `GenerateRequest.prompt` in place of messages
    modalities: tuple[Modality, ...] = ("text",)  # what it reads in messages
    provider: str = "moa"  # `gen_ai.provider.name` in traces
    revision: str = ""  # weights and settings on which answers depend: others have another revision

    @property
    def sees(self) -> bool:
        """True if it reads images."""
        return "image" in self.modalities


@dataclass(frozen=True, slots=True)
class Work:
    """Upper bound of the work on one request, without second attempts."""

    calls: int = 1  # of models
    completion_tokens: int | None = None  # of all calls; None: unknown


class Engine(Protocol):
    """A model, an endpoint or a recipe that answers requests."""

    @property
    def info(self) -> EngineInfo:
        """Properties of this engine; constant while it runs."""
        return EngineInfo()

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Answer `request` as a stream. Raises `serving.errors.MoaError`."""
        ...

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        """Compute the request's prompt up to the first occurrence of `marker`, so that the prefix cache holds it.

        Does nothing by default: an engine without a prefix cache ignores it. Raises `serving.errors.MoaError`.
        """
        return

    async def count_tokens(self, request: GenerateRequest) -> int:
        """Length in tokens of the prompt that `generate` would make of `request`; nothing is generated.

        Raises:
            UnsupportedField: the engine cannot count, as it has no tokenizer; so by default.
            MoaError: as `generate`.
        """
        raise UnsupportedField("model", "its tokens cannot be counted")

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        """Tokens of the prompt that `generate` would make of `request`; nothing is generated.

        Args:
            request: a conversation with its tools, or a raw prompt.
            texts: return the tokens' texts, too.

        Raises:
            InvalidRequest: the engine has no tokenizer, as by default.
            MoaError: as `generate`.
        """
        raise _no_tokenizer()

    async def detokenize(self, token_ids: tuple[int, ...]) -> str:
        """Text of token ids, that of control tokens included.

        Raises:
            InvalidRequest: an id is not in the vocabulary; or the engine has no tokenizer, as by default.
            MoaError: as `generate`.
        """
        raise _no_tokenizer()

    def caching(self, request: GenerateRequest) -> CacheOption | None:
        """Setting of the response cache for `request`. None, as by default: the server's applies."""
        return None

    def identity(self, request: GenerateRequest) -> str:
        """Digest of everything but the request on which its answer depends: weights, settings, prompts.

        Raises:
            MoaError: the request changes settings that cannot be changed so.
        """
        return self.info.revision

    def work(self, request: GenerateRequest) -> Work:
        """Upper bound of the work on `request`. One call, as by default, of a single model.

        Raises:
            MoaError: as `generate`, for a request that asks for more than is allowed.
        """
        return Work()

    async def check_health(self) -> None:
        """Return when the engine is warm and answers; raise `EngineUnavailable` otherwise."""
        ...


class EngineWrapper(Engine):
    """Passes everything but `generate` on to `engine`."""

    def __init__(self, name: str, engine: Engine) -> None:
        """Wrap `engine`, which callers know by the id `name`."""
        self.name, self.engine = name, engine

    @property
    def info(self) -> EngineInfo:
        return self.engine.info

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        await self.engine.prefill(request, marker)

    async def count_tokens(self, request: GenerateRequest) -> int:
        return await self.engine.count_tokens(request)

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        return await self.engine.tokenize(request, texts=texts)

    async def detokenize(self, token_ids: tuple[int, ...]) -> str:
        return await self.engine.detokenize(token_ids)

    def caching(self, request: GenerateRequest) -> CacheOption | None:
        return self.engine.caching(request)

    def identity(self, request: GenerateRequest) -> str:
        return self.engine.identity(request)

    def work(self, request: GenerateRequest) -> Work:
        return self.engine.work(request)

    async def check_health(self) -> None:
        await self.engine.check_health()


def _no_tokenizer() -> InvalidRequest:
    return InvalidRequest("Set 'model' to a model whose tokenizer this server has.", "model")


def answer_tokens(
    model: str, request: GenerateRequest, prompt_tokens: int, context_tokens: int, min_answer_tokens: int = 0
) -> int:
    """Maximum length of the answer: `max_tokens`, or what the context and the request's `token_cap` leave.

    Args:
        model: id of the model, for the error.
        request: the request; its `max_tokens` must fit beside the prompt.
        prompt_tokens: length of the rendered prompt.
        context_tokens: size of the model's context.
        min_answer_tokens: room that must be left for an answer without `max_tokens`.

    Raises:
        ContextTooLong: the prompt leaves less room than that.
    """
    asked = request.sampling.max_tokens
    left = context_tokens - prompt_tokens
    if left < max(asked or min_answer_tokens, 1):
        field = "messages" if request.prompt is None else request.prompt.path
        raise ContextTooLong(model, prompt_tokens, context_tokens, asked or 0, field)
    if asked is not None:
        return asked
    return left if request.token_cap is None else min(left, request.token_cap)


async def checked(model: str, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """`stream` with its contract enforced; closing it closes `stream`.

    Raises:
        IncompleteGeneration: the stream ended without a terminal delta, or continued after one.
    """
    ended = False
    async with aclosing(stream):
        async for delta in stream:
            if ended:
                raise IncompleteGeneration(model, "its stream continued after its terminal delta")
            ended = delta.terminal
            yield delta
    if not ended:
        raise IncompleteGeneration(model)


@dataclass
class ChoiceParts:
    """One choice of an answer while its deltas arrive; whole once it has a finish reason."""

    model: str  # for errors
    finish_reason: FinishReason | None = None
    _texts: list[str] = field(default_factory=list)
    _logprobs: list[TokenLogprob] | None = None
    _reasoning: list[str] = field(default_factory=list)
    _calls: dict[int, ToolCall] = field(default_factory=dict)
    _stop: str | None = None

    def add(self, delta: Delta) -> None:
        """Add a delta of this choice. Raises `IncompleteGeneration` if the beginning of a tool call is missing."""
        self._texts.append(delta.text)
        if delta.logprobs is not None:
            if self._logprobs is None:
                self._logprobs = []
            self._logprobs.extend(delta.logprobs)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        for piece in delta.tool_calls:
            add_piece(self.model, self._calls, piece)
        if delta.finish_reason is not None:
            self.finish_reason, self._stop = delta.finish_reason, delta.stop

    def choice(self) -> Choice:
        """The whole choice; it has a finish reason."""
        assert self.finish_reason is not None
        return Choice(
            "".join(self._texts),
            self.finish_reason,
            None if self._logprobs is None else tuple(self._logprobs),
            "".join(self._reasoning),
            tuple(call for _, call in sorted(self._calls.items())),
            self._stop,
        )


async def collect(model: str, stream: AsyncGenerator[Delta, None], choices: int | None = None) -> Completion:
    """Fold a stream into a whole answer; closes the stream in every case.

    Args:
        model: id of the model, for errors.
        stream: the deltas of one answer.
        choices: number of choices to expect; None: any.

    Raises:
        IncompleteGeneration: the stream ended without a terminal delta, a choice has no finish reason, or the number
            of choices differs from `choices`.
    """
    parts: dict[int, ChoiceParts] = {}
    last: Delta | None = None
    async with aclosing(checked(model, stream)) as deltas:
        async for delta in deltas:
            parts.setdefault(delta.index, ChoiceParts(model)).add(delta)
            last = delta
    assert last is not None  # `checked` has raised otherwise
    if missing := sorted(index for index, part in parts.items() if part.finish_reason is None):
        raise IncompleteGeneration(model, f"choices {missing} have no finish reason")
    if choices is not None and len(parts) != choices:
        raise IncompleteGeneration(model, f"it returned {len(parts)} choices of {choices}")
    return Completion(
        choices=tuple(part.choice() for _, part in sorted(parts.items())),
        usage=last.usage or TokenUsage(),
        timing=last.timing or Timing(),
        report=last.report,
        shortened=last.shortened,
    )


def delta_of(completion: Completion) -> Delta:
    """A whole answer with one choice as a single terminal delta, the reverse of `collect`."""
    [choice] = completion.choices
    return Delta(
        choice.text,
        0,
        choice.logprobs,
        choice.finish_reason,
        completion.usage,
        completion.timing,
        completion.report,
        shortened=completion.shortened,
        reasoning=choice.reasoning,
        tool_calls=tuple(
            ToolCallDelta(place, call.id, call.name, call.arguments) for place, call in enumerate(choice.tool_calls)
        ),
        stop=choice.stop,
    )


def add_piece(model: str, calls: dict[int, ToolCall], piece: ToolCallDelta) -> None:
    """Add one piece of a tool call to `calls`, by index. Raises `IncompleteGeneration` if its beginning is missing."""
    if piece.index not in calls:
        if piece.id is None or piece.name is None:
            raise IncompleteGeneration(model, f"tool call {piece.index} has no id or no name")
        calls[piece.index] = ToolCall(piece.id, piece.name, piece.arguments)
    else:
        known = calls[piece.index]
        calls[piece.index] = replace(known, arguments=known.arguments + piece.arguments)


async def complete(model: str, engine: Engine, request: GenerateRequest) -> Completion:
    """Whole answer of one engine: `collect` over `engine.generate`."""
    return await collect(model, engine.generate(request), request.sampling.n)
