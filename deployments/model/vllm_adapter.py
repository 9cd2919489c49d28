"""Adapter of vLLM's `AsyncLLM`: token prompts in, deltas out."""

import asyncio
import logging
import os
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.inputs.engine import MultiModalInput, TokensInput, tokens_input
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.executor.uniproc_executor import UniProcExecutor

from deployments.model.echo import Echo
from deployments.model.image_prompts import ImagePrompts
from deployments.model.output_parser import OutputParsers, RequestParser
from deployments.model.text_parser import TextParser
from deployments.model.token_logprobs import token_logprobs
from deployments.model.vllm_sampling import check_vocabulary, decoding_params, structured_params
from deployments.wire import EngineStats
from serving.errors import EngineFailed, EngineUnavailable, IncompleteGeneration, InvalidRequest, MoaError, Overloaded
from serving.types import Delta, FinishReason, Sampling, Timing, TokenLogprob, TokenUsage

XGRAMMAR_PLACE = re.compile(r"\[[0-9:]+\] \S+\.(?:cc|h):[0-9]+: ")  # time and source line in errors of xgrammar
ENGINE_DIED = "its engine process died; a new one is being started"
FINISH_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length", "repetition": "stop"}

logger = logging.getLogger(__name__)


class LeanVLLMEngine(VLLMEngine):
    """ray.serve.llm's engine, with a single CPU worker run inside the engine's process.

    vLLM's CPU platform replaces the executor "uni" by one that runs the model in another process, to bind its threads.
    With OMP_NUM_THREADS set that process is not needed; it costs 9 s of one core at start and a hop between processes
    in every step.
    """

    def _prepare_engine_config(self, callback_ctx: Any) -> Any:
        args, frontend, config = super()._prepare_engine_config(callback_ctx)
        parallel = config.parallel_config
        if config.device_config.device_type == "cpu" and parallel.world_size == 1:
            parallel.distributed_executor_backend = UniProcExecutor
        return args, frontend, config


class VllmAdapter:
    """Source of deltas on top of an `AsyncLLM`. Counts are those of this replica since its start."""

    def __init__(self, model: str, engine: VLLMEngine) -> None:
        self.model = model
        client: Any = engine._engine_client
        assert isinstance(client, AsyncLLM)
        self._client: AsyncLLM = client
        self._defaults: Mapping[str, Any] = client.model_config.get_diff_sampling_param()
        self._finished: int = 0
        self._aborted: int = 0
        self._generated: int = 0
        self._health_checks: int = 0  # in the engine now
        self.progress_at: float = time.monotonic()  # time of the engine's last output

    @classmethod
    def engine_class(cls) -> type[VLLMEngine]:
        """Class of the engine that `LLMServer` starts."""
        return LeanVLLMEngine

    @property
    def tokenizer(self) -> Any:
        """The model's Hugging Face tokenizer."""
        return self._client.renderer.tokenizer

    @property
    def tokenizer_mode(self) -> str:
        """VLLM's kind of tokenizer, which it may have derived from the model's type."""
        return str(self._client.model_config.tokenizer_mode)

    @property
    def model_type(self) -> str | None:
        """`model_type` of the model's config.json."""
        return getattr(self._client.model_config.hf_config, "model_type", None)

    def image_prompts(self) -> ImagePrompts:
        """Reader of the model's images. Raises `ConfigError` if it reads none."""
        return ImagePrompts(self.model, self._client.renderer)

    def output_parsers(
        self, reasoning_parser: str | None, tool_call_parser: str | None, *, strict_tools: bool = False
    ) -> OutputParsers:
        """Parsers of the model's output, see `OutputParsers`. Raises `ConfigError` if unknown or if they do not fit."""
        return OutputParsers(
            self.model,
            self.tokenizer,
            self._client.model_config,
            reasoning_parser,
            tool_call_parser,
            strict_tools=strict_tools,
            compact=self._client.vllm_config.structured_outputs_config.disable_any_whitespace,
        )

    @property
    def context_tokens(self) -> int:
        """Length of the model's context."""
        return int(self._client.model_config.max_model_len)

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids that the model knows."""
        return int(self._client.model_config.get_vocab_size())

    @property
    def block_size(self) -> int:
        """Number of tokens in one block of the prefix cache."""
        return int(self._client.vllm_config.cache_config.block_size)

    @property
    def dead(self) -> bool:
        """True if the engine process ended or failed for good."""
        return bool(self._client.errored)

    def stats(self) -> EngineStats:
        """Requests held now, without health checks, and totals since the start."""
        unfinished = self._client.get_num_unfinished_requests() - self._health_checks
        return EngineStats(max(unfinished, 0), self._finished, self._aborted, self._generated, os.getpid())

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
            images: The same prompt with its images. None: it has none.

        Raises:
            InvalidRequest: vLLM refused the request as the caller's error, with its text in the message, or a token id
                is not in the vocabulary.
            Overloaded: vLLM's own limit on waiting requests is reached.
            EngineUnavailable: the engine process died.
            IncompleteGeneration: the engine aborted the request.
            EngineFailed: any other error; its text is in the log only.
        """
        started = time.time()
        ended_choices = 0
        completion_tokens = 0
        finished = False
        try:
            if sampling.decoding.token_id_field is not None:
                check_vocabulary(self.model, sampling, self._client.model_config.get_vocab_size())
            params = sampling_params(
                sampling, self._defaults, stream_interval=stream_interval, of_prompt=echo is not None
            )
            extra = {} if parser is None else parser.prepare(params)
            choices = [] if parser is None else [parser.choice() for _ in range(sampling.n)]
            prompt: TokensInput | MultiModalInput = tokens_input([*token_ids], cache_salt=cache_salt)
            if images is not None:
                prompt = images if cache_salt is None else {**images, "cache_salt": cache_salt}
            outputs = self._client.generate(prompt, params, request_id, priority=priority, **extra)
            try:
                async for output in outputs:
                    self.progress_at = time.monotonic()
                    for choice in output.outputs:
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
                        logprobs = _logprobs(choice, sampling.logprobs)
                        delta = Delta(choice.text, choice.index, logprobs, reason, stop=stop)
                        if echo is not None:
                            delta = echo.before(delta, output.prompt_logprobs, sampling.logprobs)
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
                                delta = replace(delta, usage=usage, timing=_timing(output, started))
                            else:
                                delta = replace(delta, running_usage=usage)
                        yield delta
            finally:
                await outputs.aclose()
        except MoaError:
            raise
        except VLLMClientError as error:
            if isinstance(parser, RequestParser) and (refused := parser.refused_tool()) is not None:
                raise refused from None
            raise translated(self.model, request_id, error, dead=self.dead) from None
        except Exception as error:
            raise translated(self.model, request_id, error, dead=self.dead) from None
        finally:
            self._generated += completion_tokens
            self._finished += finished
            self._aborted += not finished

    async def round_trip(self, timeout_s: float) -> None:
        """Generate one token, ahead of all other requests.

        Raises:
            EngineUnavailable: the engine is dead, or produced no output for any request within `timeout_s`.
        """
        if self.dead:
            raise EngineUnavailable(self.model, ENGINE_DIED)
        started_at = time.monotonic()

        async def one_token() -> None:
            stream = self.generate(
                f"health-{started_at}",
                [0],
                Sampling(max_tokens=1, temperature=0),
                priority=-1_000_000,
                stream_interval=None,
            )
            async for _ in stream:
                pass

        self._health_checks += 1
        try:
            await asyncio.wait_for(one_token(), timeout_s)
        except TimeoutError:
            if self.progress_at < started_at:
                raise EngineUnavailable(self.model, f"its engine produced no output for {timeout_s:g} s") from None
        finally:
            self._health_checks -= 1


def translated(model: str, request_id: str, error: Exception, *, dead: bool) -> MoaError:
    """Error for one of vLLM's; `dead`: the engine process has ended."""
    if isinstance(error, VLLMClientError):
        said = XGRAMMAR_PLACE.sub("", str(error.args[0] if error.args else error))
        text = " ".join(said.split()).rstrip(".")
        return InvalidRequest(f"'{model}' refused the request: {text}.", getattr(error, "parameter", None))
    if isinstance(error, GracefulHTTPError):
        return Overloaded(f"'{model}' has too many requests waiting; retry later.")
    if dead or isinstance(error, EngineDeadError):
        return EngineUnavailable(model, ENGINE_DIED)
    # Callers get the error's type only: its text may hold paths, addresses or another caller's data.
    logger.error("Request %s of '%s' failed in the engine", request_id, model, exc_info=error)
    cause = error.__cause__ or error
    return EngineFailed(model, f"{type(cause).__name__}; the replica's log has the details")


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


def sampling_params(
    sampling: Sampling, defaults: Mapping[str, Any], *, stream_interval: int | None, of_prompt: bool = False
) -> SamplingParams:
    """Translate to vLLM's parameters. A field that is None gets the model's default, from its generation config.

    `of_prompt`: log probabilities are those of the prompt, too.
    """
    with_defaults = {
        name: value
        for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        if (value := getattr(sampling, name)) is not None or (value := defaults.get(name)) is not None
    }
    return SamplingParams(
        n=sampling.n,
        **with_defaults,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        max_tokens=1 if sampling.max_tokens == 0 else sampling.max_tokens,  # vLLM has no call that generates nothing
        min_tokens=sampling.min_tokens,
        stop=list(sampling.stop),
        seed=sampling.seed,
        logprobs=sampling.logprobs,
        prompt_logprobs=sampling.logprobs if of_prompt else None,
        ignore_eos=sampling.ignore_eos,
        structured_outputs=structured_params(sampling.response_format),
        **decoding_params(sampling.decoding),
        output_kind=RequestOutputKind.FINAL_ONLY if stream_interval is None else RequestOutputKind.DELTA,
        stream_interval=stream_interval,
    )


def _logprobs(choice: CompletionOutput, alternatives: int | None) -> tuple[TokenLogprob, ...] | None:
    """Log-probabilities of `choice`'s tokens, each with its most likely `alternatives`; None if not requested."""
    if alternatives is None or not choice.logprobs:
        return None
    return token_logprobs(choice.token_ids, list(choice.logprobs), alternatives)


def _without_tokens(choice: CompletionOutput) -> CompletionOutput:
    """`choice` without the one token that vLLM makes at least."""
    reason = choice.finish_reason and ("length" if choice.finish_reason in FINISH_REASONS else choice.finish_reason)
    return CompletionOutput(choice.index, "", (), None, None, finish_reason=reason)


def _timing(output: RequestOutput, started: float) -> Timing:
    """Queue and first-token time from vLLM's clocks; total since `started`, the request's arrival in wall-clock s."""
    total_s = time.time() - started
    metrics = output.metrics
    if metrics is None:
        return Timing(total_s=total_s)
    queued = metrics.scheduled_ts - metrics.queued_ts if metrics.scheduled_ts else None
    return Timing(queued, metrics.first_token_latency or None, total_s)
