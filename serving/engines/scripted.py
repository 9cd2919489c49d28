"""A deterministic engine with a timing model and faults: for tests, demonstrations and scale runs.

Timing follows the usual model of a continuously batching engine: the prompt costs `prompt / prefill_tokens_per_s`,
every token `itl_s * (1 + batch_slowdown * (running - 1))`.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableSequence, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from serving.conversation import FinishReason, Message, Modality, ToolCall, ToolCallDelta
from serving.engine import Engine, EngineInfo
from serving.engines.scripted_tokens import ScriptedTokenizer, counted_tokens, prompt_tokens, words
from serving.errors import ContextTooLong, EngineUnavailable, InvalidRequest, MoaError
from serving.runtime.prompts import prompt_messages
from serving.runtime.truncation import FittedPrompt, fit
from serving.types import Delta, GenerateRequest, Timing, TokenLogprob, Tokens
from serving.usage import TokenUsage

COUNTED_CONTEXTS = 8  # longer prompts are not counted to their ends: their words would stop the event loop


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """One scripted answer: reasoning, then text, then tool calls."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


Script = Callable[[GenerateRequest], str | ScriptedAnswer]
Interceptor = Callable[[GenerateRequest, AsyncGenerator[Delta, None]], AsyncGenerator[Delta, None]]


def _pieces(answer: ScriptedAnswer) -> list[Delta]:
    """Scripted tokens of an answer, one delta each. The first one of a tool call has its id and its name."""
    pieces = [Delta(reasoning=word) for word in words(answer.reasoning)]
    pieces += [Delta(word) for word in words(answer.text)]
    for place, call in enumerate(answer.tool_calls):
        first, *rest = words(call.arguments) or [""]
        pieces.append(Delta(tool_calls=(ToolCallDelta(place, call.id, call.name, first),)))
        pieces += [Delta(tool_calls=(ToolCallDelta(place, arguments=word),)) for word in rest]
    return pieces


def _joined(pieces: Sequence[Delta]) -> Delta:
    """All of `pieces` in one delta."""
    calls = tuple(call for piece in pieces for call in piece.tool_calls)
    return Delta(
        "".join(piece.text for piece in pieces),
        reasoning="".join(piece.reasoning for piece in pieces),
        tool_calls=calls,
    )


@dataclass
class ScriptedEngine(Engine):
    """Answers `answer` (or `answer(request)`), word by word. Reasoning and tool calls take tokens as text does.

    If the answer begins with a message that is to be continued (`GenerateRequest.prompt_end`), the rest of it follows.

    Tool calls are left out if the request has no tools or forbids calls, and reasoning if the engine can switch it
    (`thinking`) and the request switches it off.

    `requests` and `prefills` record the calls in order, each with the messages that a model would read: the references
    are part of them. A `deque(maxlen=0)` keeps runs of any length small.
    """

    model: str = "scripted"
    answer: str | ScriptedAnswer | Script = "ok"
    ttft_s: float = 0.0
    itl_s: float = 0.0
    prefill_tokens_per_s: float = float("inf")
    batch_slowdown: float = 0.0
    context_tokens: int = 1_000_000
    replicas: int | None = None
    unsupported: frozenset[str] = frozenset()
    tools: bool = False
    thinking: bool = False
    raw_prompts: bool = True
    modalities: tuple[Modality, ...] = ("text",)
    fail_after: int | None = None  # tokens before `error` is raised
    error: MoaError | None = None
    cut_after: int | None = None  # tokens before the stream ends without its terminal delta
    hang: bool = False  # never returns its first token
    healthy: bool = True
    logprob: float = 0.0  # of every token
    revision: str = ""
    intercept: Interceptor | None = None  # replaces the stream of each request, which it is given
    on_prefill: Callable[[GenerateRequest, str], Awaitable[None]] | None = None  # runs in place of each prefill

    requests: MutableSequence[GenerateRequest] = field(default_factory=list)
    prefills: MutableSequence[tuple[GenerateRequest, str]] = field(default_factory=list)
    running: int = 0
    cancelled: int = 0  # streams closed before their end
    tokenizer: ScriptedTokenizer = field(default_factory=ScriptedTokenizer, repr=False)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            self.context_tokens,
            self.replicas,
            self.unsupported,
            self.tools,
            self.thinking,
            self.raw_prompts,
            self.modalities,
            "scripted",
            self.revision,
        )

    async def check_health(self) -> None:
        if not self.healthy:
            raise EngineUnavailable(self.model, "scripted to be unhealthy")

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        """Record the prefill and take the time of its prompt."""
        request = _as_read(request)
        self.prefills.append((request, marker))
        self.running += 1
        try:
            if self.on_prefill is not None:
                await self.on_prefill(request, marker)
                return
            await asyncio.sleep(self.ttft_s + prompt_tokens(request.messages) / self.prefill_tokens_per_s)
            if self.hang:
                await asyncio.Event().wait()
        finally:
            self.running -= 1

    async def count_tokens(self, request: GenerateRequest) -> int:
        """Length of the prompt in scripted tokens; those of tools are not counted."""
        return prompt_tokens(_as_read(request).messages)

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        """Scripted tokens of the prompt, whose end (`GenerateRequest.prompt_end`) has none."""
        ids = self.tokenizer.prompt(_as_read(request))
        return Tokens(ids, self.context_tokens, self.tokenizer.texts(ids) if texts else None)

    async def detokenize(self, token_ids: tuple[int, ...]) -> str:
        return "".join(self.tokenizer.texts(token_ids))

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the scripted answer. Raises the scripted `error`, and `ContextTooLong`."""
        self.running += 1
        finished = False
        try:
            try:
                fitted = await fit(self.model, request, partial(self._rendered, request), self.context_tokens)
            except MoaError:
                self.requests.append(_as_read(request))
                raise
            read = replace(request, messages=fitted.messages, references=None)
            self.requests.append(read)
            stream = self._stream(read, fitted)
            if self.intercept is not None:
                stream = self.intercept(read, stream)
            async with aclosing(stream):
                async for delta in stream:
                    finished = delta.terminal
                    yield delta
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += not finished
            raise
        finally:
            self.running -= 1

    async def _rendered(self, request: GenerateRequest, messages: tuple[Message, ...]) -> Sequence[int]:
        if request.prompt is None:
            counted = counted_tokens(messages, COUNTED_CONTEXTS * self.context_tokens)
            if counted is None:
                most = COUNTED_CONTEXTS * self.context_tokens
                asked = request.sampling.max_tokens or 0
                raise ContextTooLong(self.model, most, self.context_tokens, asked, at_least=True)
            return range(counted)  # of which only the number counts
        if not (ids := self.tokenizer.prompt(request)):
            raise InvalidRequest(f"Give '{request.prompt.path}' at least one token.", request.prompt.path)
        return ids

    async def _stream(self, request: GenerateRequest, fitted: FittedPrompt[int]) -> AsyncGenerator[Delta, None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        length = len(fitted.tokens)
        sampling = request.sampling
        await asyncio.sleep(self.ttft_s + length / self.prefill_tokens_per_s)
        if self.hang:
            await asyncio.Event().wait()
        answer = self._answer(request)
        tokens = _pieces(answer)
        finish_reason: FinishReason = "tool_calls" if answer.tool_calls else "stop"
        if len(tokens) > fitted.max_tokens:
            tokens, finish_reason = tokens[: fitted.max_tokens], "length"
        first_s = loop.time() - started
        pieces: list[Delta] = []
        # The scripted tokens themselves: no copy of each.
        bare = sampling.n == 1 and sampling.logprobs is None and request.running_usage is None
        thought = 0
        if request.prompt is not None and request.prompt.echo:
            echo = self._echo(request, fitted.tokens)
            if request.streaming:
                for index in range(sampling.n):
                    yield replace(echo, index=index)
            else:
                pieces.append(echo)
        for count, token in enumerate([*tokens, None]):
            if self.error is not None and count >= (self.fail_after or 0):
                raise self.error
            if self.cut_after is not None and count >= self.cut_after:
                return
            if token is None:
                break
            if count and self.itl_s:
                await asyncio.sleep(self.itl_s * (1 + self.batch_slowdown * (self.running - 1)))
            if request.streaming and bare:
                yield token
            elif request.streaming:
                for index in range(sampling.n):
                    thought += bool(token.reasoning)
                    so_far = TokenUsage(length, count * sampling.n + index + 1, 0, thought)
                    yield replace(
                        token,
                        index=index,
                        logprobs=self._logprobs([token], request),
                        running_usage=None if request.running_usage is None else so_far,
                    )
            else:
                pieces.append(token)
        reasoning = sum(bool(token.reasoning) for token in tokens)
        usage = TokenUsage(length, len(tokens) * sampling.n, 0, reasoning * sampling.n)
        timing = Timing(0.0, first_s, loop.time() - started)
        joined = _joined(pieces)
        for index in range(sampling.n):
            last = index == sampling.n - 1
            yield replace(
                joined,
                index=index,
                logprobs=self._logprobs(pieces, request) if pieces else None,
                finish_reason=finish_reason,
                usage=usage if last else None,
                timing=timing if last else None,
                shortened=fitted.shortened if last else 0,
            )

    def _answer(self, request: GenerateRequest) -> ScriptedAnswer:
        said = self.answer(request) if callable(self.answer) else self.answer
        answer = ScriptedAnswer(said) if isinstance(said, str) else said
        if request.prompt_end == "continued":
            answer = replace(answer, text=answer.text.removeprefix(request.messages[-1].content))
        quiet = self.thinking and request.thinking.enabled is False
        return replace(
            answer,
            reasoning="" if quiet else answer.reasoning,
            tool_calls=answer.tool_calls if request.may_call_tools else (),
        )

    def _logprobs(self, tokens: Sequence[Delta], request: GenerateRequest) -> tuple[TokenLogprob, ...] | None:
        if request.sampling.logprobs is None:
            return None
        found: list[TokenLogprob] = []
        for token in tokens:
            if token.logprobs is not None:
                found.extend(token.logprobs)
            elif token.text:
                found.append(TokenLogprob(token.text, self.logprob, token.text.encode()))
        return tuple(found)

    def _echo(self, request: GenerateRequest, prompt: Sequence[int]) -> Delta:
        """The prompt, with the scripted `logprob` for each of its tokens but the first."""
        texts = self.tokenizer.texts(prompt)
        if request.sampling.logprobs is None:
            return Delta("".join(texts))
        values = [math.nan, *([self.logprob] * (len(texts) - 1))]
        logprobs = (TokenLogprob(*one, one[0].encode()) for one in zip(texts, values, strict=True))
        return Delta("".join(texts), logprobs=tuple(logprobs))


def _as_read(request: GenerateRequest) -> GenerateRequest:
    return replace(request, messages=prompt_messages(request), references=None)
