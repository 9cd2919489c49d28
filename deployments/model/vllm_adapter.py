"""Adapter of vLLM's `AsyncLLM`: token prompts in, deltas out."""

import os
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.inputs.engine import MultiModalInput, TokensInput, tokens_input
from vllm.outputs import CompletionOutput, RequestOutput

from deployments.model.echo import Echo
from deployments.model.engine_adapter import EngineAdapter
from deployments.model.engine_errors import translated
from deployments.model.grammar_compiler import GrammarCompiler
from deployments.model.grammar_vocabulary import vocabulary_json
from deployments.model.image_prompts import ImagePrompts
from deployments.model.output_parser import OutputParsers, RequestParser
from deployments.model.text_parser import TextParser
from deployments.model.token_bytes import TokenBytes
from deployments.model.token_logprobs import BytesOf, token_logprobs
from deployments.model.vllm_sampling import (
    CheckedSampling,
    check_length,
    check_vocabulary,
    grammar_of,
    sampling_params,
)
from deployments.model_spec import GRAMMAR_TIMEOUT_S, GRAMMAR_TOKEN_S
from serving.conversation import FinishReason
from serving.errors import EngineFailed, IncompleteGeneration, InvalidRequest, MoaError
from serving.types import Delta, Sampling, Timing, TokenLogprob
from serving.usage import TokenUsage

FINISH_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length", "repetition": "stop"}


class VllmAdapter(EngineAdapter):
    """Source of deltas on top of an `AsyncLLM`."""

    def __init__(
        self,
        model: str,
        engine: VLLMEngine,
        *,
        grammar_timeout_s: float = GRAMMAR_TIMEOUT_S,
        grammar_token_s: float = GRAMMAR_TOKEN_S,
    ) -> None:
        """Start nothing; the limits of grammars are those of `ModelSpec`."""
        super().__init__(model, engine)
        self.grammars = GrammarCompiler(
            model,
            lambda: vocabulary_json(self.tokenizer, self.vocabulary_size),
            timeout_s=grammar_timeout_s,
            mask_s=grammar_token_s,
            compact=self.client.vllm_config.structured_outputs_config.disable_any_whitespace,
            threads=max(1, min(8, (os.cpu_count() or 1) // 2)),
        )
        self._defaults: Mapping[str, Any] = self.client.model_config.get_diff_sampling_param()

    @property
    def tokenizer(self) -> Any:
        """The model's Hugging Face tokenizer."""
        return self.client.renderer.tokenizer

    @cached_property
    def _token_bytes(self) -> TokenBytes:
        return TokenBytes(self.tokenizer)

    @property
    def tokenizer_mode(self) -> str:
        """VLLM's kind of tokenizer, which it may have derived from the model's type."""
        return str(self.client.model_config.tokenizer_mode)

    @property
    def model_type(self) -> str | None:
        """`model_type` of the model's config.json."""
        return getattr(self.client.model_config.hf_config, "model_type", None)

    def image_prompts(self) -> ImagePrompts:
        """Reader of the model's images. Raises `ConfigError` if it reads none."""
        return ImagePrompts(self.model, self.client.renderer)

    def output_parsers(
        self, reasoning_parser: str | None, tool_call_parser: str | None, *, strict_tools: bool = False
    ) -> OutputParsers:
        """Parsers of the model's output, see `OutputParsers`. Raises `ConfigError` if unknown or if they do not fit."""
        return OutputParsers(
            self.model,
            self.tokenizer,
            self.client.model_config,
            reasoning_parser,
            tool_call_parser,
            strict_tools=strict_tools,
            compact=self.client.vllm_config.structured_outputs_config.disable_any_whitespace,
        )

    @property
    def block_size(self) -> int:
        """Number of tokens in one block of the prefix cache."""
        return int(self.client.vllm_config.cache_config.block_size)

    async def generate(
        self,
        request_id: str,
        token_ids: Sequence[int],
        sampling: Sampling,
        *,
        priority: int = 0,
        stream_interval: int | None = 1,
        parser: RequestParser | TextParser | None = None,
        generated: list[int] | None = None,
        running_usage: bool = False,
        echo: Echo | None = None,
        cache_salt: str | None = None,
        tenant: str = "",
        images: MultiModalInput | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Stream the engine's deltas, the terminal one last; closing the generator aborts the request.

        Args:
            request_id: Unique among the engine's requests.
            token_ids: The prompt.
            sampling: Sampling parameters; `max_tokens` must be set. 0: the choices are empty but for the echo.
            priority: vLLM's order of scheduling; lower values run first.
            stream_interval: Tokens per streamed delta after the first. None: one delta per choice, at the end.
            parser: Separates reasoning and tool calls from text. None: the output is text.
            generated: Receives the token ids of the first choice.
            running_usage: Every delta carries the usage so far.
            echo: Prompt with which each choice begins; its logprobs begin with the prompt's. None: no echo.
            cache_salt: The prompt shares the prefix cache only with prompts of the same salt.
            tenant: Id of the tenant; tenants share the engine equally at equal priority. "": the server itself, or all.
            images: The same prompt with its images. None: it has none.

        Raises:
            InvalidRequest: vLLM refused the request as the caller's error, with its text in the message, or a token id
                is not in the vocabulary.
            Overloaded: vLLM's own limit on waiting requests is reached, or too many grammars wait to be compiled.
            EngineUnavailable: the engine process died.
            IncompleteGeneration: the engine aborted the request.
            EngineFailed: any other error; its text is in the log only.
        """
        started = time.time()
        ended_choices = 0
        completion_tokens = 0
        finished = False
        turn = self.queue.turn(tenant, priority, sequences=sampling.n, prompt_tokens=len(token_ids))
        try:
            check_length(self.model, sampling)
            if sampling.decoding.token_id_field is not None:
                check_vocabulary(self.model, sampling, self.client.model_config.get_vocab_size())
            params = sampling_params(
                sampling, self._defaults, stream_interval=stream_interval, of_prompt=echo is not None
            )
            extra = {} if parser is None else parser.prepare(params)
            bytes_of = partial(self._token_bytes.of, skip_special_tokens=sampling.decoding.skip_special_tokens)
            copies = sampling.n // params.n
            if params.structured_outputs is not None:
                await self._compile(params, sampling, parser, tenant)
            choices = [] if parser is None else [parser.choice() for _ in range(sampling.n)]
            prompt: TokensInput | MultiModalInput = tokens_input([*token_ids], cache_salt=cache_salt)
            if images is not None:
                prompt = images if cache_salt is None else {**images, "cache_salt": cache_salt}
            await turn.enter()
            outputs = self.client.generate(prompt, params, request_id, priority=turn.rank, **extra)
            try:
                async for output in outputs:
                    self.progress_at = time.monotonic()
                    for choice in _copied(output.outputs, copies):
                        if not sampling.max_tokens:
                            choice = _without_tokens(choice)
                        completion_tokens += len(choice.token_ids)
                        if generated is not None and choice.index == 0:
                            generated.extend(choice.token_ids)
                        ended_choices += choice.finish_reason is not None
                        last = ended_choices == sampling.n and choice.finish_reason is not None
                        if not (choices or choice.text or choice.logprobs or choice.finish_reason):
                            continue  # part of a character, or text that may still become a stop string
                        reason = finish_reason(self.model, choice.finish_reason)
                        stop = choice.stop_reason if reason and isinstance(choice.stop_reason, str) else None
                        logprobs = _logprobs(choice, sampling.logprobs, bytes_of)
                        delta = Delta(choice.text, choice.index, logprobs, reason, stop=stop)
                        if echo is not None:
                            delta = echo.before(delta, output.prompt_logprobs, sampling.logprobs, bytes_of)
                        if choices:
                            delta = choices[choice.index].parse(delta, choice.token_ids)
                            if not (delta.text or delta.reasoning or delta.tool_calls or reason):
                                continue  # part of a tag
                        if last or running_usage:
                            finished = last
                            usage = TokenUsage(
                                len(token_ids),
                                completion_tokens,
                                output.num_cached_tokens,
                                sum(one.reasoning_tokens for one in choices),
                            )
                            if last:
                                delta = replace(delta, usage=usage, timing=_timing(output, started, turn.waited_s))
                            else:
                                delta = replace(delta, running_usage=usage)
                        yield delta
            finally:
                await outputs.aclose()
        except MoaError:
            raise
        except Exception as error:
            raise translated(self.model, request_id, error, dead=self.dead) from None
        finally:
            turn.leave(completion_tokens if finished or completion_tokens else None)
            self._generated += completion_tokens
            self._finished += finished
            self._aborted += not finished

    async def _compile(
        self, params: CheckedSampling, sampling: Sampling, parser: RequestParser | TextParser | None, tenant: str
    ) -> None:
        """Compile the grammar of a request before its engine does, which cannot stop doing so.

        Raises:
            InvalidRequest: it cannot be compiled, or not in time. Of the schemas of tools the first such one is named.
            Overloaded: too many grammars waited before it.
            EngineFailed: grammars cannot be compiled now.
        """
        grammar = grammar_of(params)
        if grammar is None:
            return
        wanted = sampling.response_format
        try:
            await self.grammars.check(*grammar, "tools" if wanted is None else wanted.path, tenant)
        except InvalidRequest:
            if wanted is None and isinstance(parser, RequestParser):
                for path, schema in parser.held_schemas():
                    await self.grammars.check("json", schema, path, tenant)
            raise
        params.compiled = True

    async def _one_token(self, request_id: str, *, priority: int) -> None:
        sampling = Sampling(max_tokens=1, temperature=0)
        async for _ in self.generate(request_id, [0], sampling, priority=priority, stream_interval=None):
            pass


def _copied(outputs: Sequence[CompletionOutput], copies: int) -> Iterator[CompletionOutput]:
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


def _logprobs(choice: CompletionOutput, alternatives: int | None, bytes_of: BytesOf) -> tuple[TokenLogprob, ...] | None:
    """Log-probabilities of `choice`'s tokens, each with its most likely `alternatives`; None if not requested."""
    if alternatives is None or not choice.logprobs:
        return None
    return token_logprobs(choice.token_ids, list(choice.logprobs), alternatives, bytes_of=bytes_of)


def _without_tokens(choice: CompletionOutput) -> CompletionOutput:
    """`choice` without the one token that vLLM makes at least."""
    reason = choice.finish_reason and ("length" if choice.finish_reason in FINISH_REASONS else choice.finish_reason)
    return CompletionOutput(choice.index, "", (), None, None, finish_reason=reason)


def _timing(output: RequestOutput, started: float, waited_s: float) -> Timing:
    """Queue and first-token time from vLLM's clocks and the wait before; total since `started` in wall-clock s."""
    total_s = time.time() - started
    metrics = output.metrics
    if metrics is None:
        return Timing(total_s=total_s)
    queued = metrics.scheduled_ts - metrics.queued_ts if metrics.scheduled_ts else None
    first_s = metrics.first_token_latency + waited_s if metrics.first_token_latency else None
    return Timing(None if queued is None else queued + waited_s, first_s, total_s)
