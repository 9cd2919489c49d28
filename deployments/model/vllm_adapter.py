"""The only file that touches vLLM: a token prompt in, deltas out."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.inputs.engine import tokens_input
from vllm.logprobs import Logprob
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.executor.uniproc_executor import UniProcExecutor

from deployments.wire import EngineStats
from serving.errors import EngineFailed, EngineUnavailable, IncompleteGeneration, InvalidRequest, MoaError, Overloaded
from serving.types import Delta, FinishReason, Sampling, Timing, TokenLogprob, TokenUsage

FINISH_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length", "repetition": "stop"}


class LeanVLLMEngine(VLLMEngine):
    """ray.serve.llm's engine; on one CPU worker the model runs inside the engine's process.

    vLLM's CPU platform replaces the executor named "uni" by one with a process of its own for the model, to give it
    its threads. With threads set through OMP_NUM_THREADS that is not needed, and costs a process's start (9 s of
    one core) and a hop between processes in every step.
    """

    def _prepare_engine_config(self, callback_ctx: Any) -> Any:
        args, frontend, config = super()._prepare_engine_config(callback_ctx)
        parallel = config.parallel_config
        if config.device_config.device_type == "cpu" and parallel.world_size == 1:
            parallel.distributed_executor_backend = UniProcExecutor
        return args, frontend, config


class VllmAdapter:
    """An `AsyncLLM` as the source of deltas. All counts are of this replica, since its start."""

    def __init__(self, model: str, engine: VLLMEngine) -> None:
        self.model = model
        client: Any = engine._engine_client
        assert isinstance(client, AsyncLLM)
        self._client: AsyncLLM = client
        self._defaults: Mapping[str, Any] = client.model_config.get_diff_sampling_param()
        self._finished: int = 0
        self._aborted: int = 0
        self._generated: int = 0
        self._probes: int = 0  # health checks in the engine now
        self.progress_at: float = time.monotonic()  # when the engine last gave anything

    @classmethod
    def engine_class(cls) -> type[VLLMEngine]:
        return LeanVLLMEngine

    @property
    def tokenizer(self) -> Any:
        """The model's Hugging Face tokenizer."""
        return self._client.renderer.tokenizer

    @property
    def context_tokens(self) -> int:
        return int(self._client.model_config.max_model_len)

    @property
    def block_size(self) -> int:
        """Tokens of one block of the prefix cache."""
        return int(self._client.vllm_config.cache_config.block_size)

    @property
    def dead(self) -> bool:
        return bool(self._client.errored)

    def stats(self) -> EngineStats:
        """Health checks are left out of the requests that are not finished."""
        unfinished = self._client.get_num_unfinished_requests() - self._probes
        return EngineStats(max(unfinished, 0), self._finished, self._aborted, self._generated, os.getpid())

    async def generate(
        self,
        request_id: str,
        token_ids: Sequence[int],
        sampling: Sampling,
        *,
        priority: int = 0,
        stream_interval: int | None = 1,
    ) -> AsyncGenerator[Delta, None]:
        """Deltas as the engine gives them, the terminal one last; closing the generator aborts the request.

        `sampling.max_tokens` must be set. After the first, tokens come `stream_interval` at a time; with `None` all at
        the end. Raises as `serving.errors` only.
        """
        started = time.time()
        ended = 0
        completion_tokens = 0
        done = False
        try:
            params = sampling_params(sampling, self._defaults, stream_interval=stream_interval)
            outputs = self._client.generate(tokens_input([*token_ids]), params, request_id, priority=priority)
            try:
                async for output in outputs:
                    self.progress_at = time.monotonic()
                    for choice in output.outputs:
                        completion_tokens += len(choice.token_ids)
                        ended += choice.finish_reason is not None
                        last = ended == sampling.n and choice.finish_reason is not None
                        if not (choice.text or choice.logprobs or choice.finish_reason):
                            continue  # half a character, or the part of a text that may still become a stop string
                        reason = finish_reason(self.model, choice.finish_reason)
                        done = done or last
                        usage = TokenUsage(len(token_ids), completion_tokens, output.num_cached_tokens)
                        yield Delta(
                            choice.text,
                            choice.index,
                            _logprobs(choice, sampling.logprobs),
                            reason,
                            usage if last else None,
                            _timing(output, started) if last else None,
                        )
            finally:
                await outputs.aclose()
        except MoaError:
            raise
        except EngineDeadError:
            raise EngineUnavailable(self.model, "its engine process died; a new one is being started") from None
        except GracefulHTTPError as error:
            raise Overloaded(f"'{self.model}' has too many requests waiting: {error}.") from None
        except (VLLMClientError, ValueError) as error:
            raise InvalidRequest(f"'{self.model}' refused the request: {' '.join(str(error).split())}") from None
        except Exception as error:
            if self.dead:
                raise EngineUnavailable(self.model, "its engine process died; a new one is being started") from None
            cause = error.__cause__ or error
            raise EngineFailed(self.model, f"{type(cause).__name__}: {cause}".rstrip(".")) from None
        finally:
            self._generated += completion_tokens
            self._finished += done
            self._aborted += not done

    async def round_trip(self, timeout_s: float) -> None:
        """One token through the whole engine.

        Raises:
            EngineUnavailable: the engine is dead, or neither this nor any other request got on within `timeout_s`.
        """
        if self.dead:
            raise EngineUnavailable(self.model, "its engine process died")
        asked_at = time.monotonic()

        async def one_token() -> None:
            stream = self.generate(
                f"health-{asked_at}",
                [0],
                Sampling(max_tokens=1, temperature=0),
                priority=-1_000_000,
                stream_interval=None,
            )
            async for _ in stream:
                pass

        self._probes += 1
        try:
            await asyncio.wait_for(one_token(), timeout_s)
        except TimeoutError:
            if self.progress_at < asked_at:
                raise EngineUnavailable(self.model, f"its engine has given nothing for {timeout_s:g} s") from None
        finally:
            self._probes -= 1


def finish_reason(model: str, given: str | None) -> FinishReason | None:
    """The contract's word for vLLM's; `None` while the choice goes on.

    Raises:
        IncompleteGeneration: the engine gave the request up, as one that is being stopped does.
        EngineFailed: the engine failed on this request.
    """
    if given is None:
        return None
    if given == "abort":
        raise IncompleteGeneration(model, "the engine gave the request up")
    if given not in FINISH_REASONS:
        raise EngineFailed(model, f"the engine ended the request with '{given}'")
    return FINISH_REASONS[given]


def sampling_params(sampling: Sampling, defaults: Mapping[str, Any], *, stream_interval: int | None) -> SamplingParams:
    """vLLM's parameters. What is `None` in `sampling` gets the model's own default, from its generation config."""
    structured = None
    if (form := sampling.response_format) is not None:
        structured = (
            StructuredOutputsParams(json_object=True)
            if form.type == "json_object"
            else StructuredOutputsParams(json=dict(form.schema or {}))
        )
    chosen = {
        name: value
        for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        if (value := getattr(sampling, name)) is not None or (value := defaults.get(name)) is not None
    }
    return SamplingParams(
        n=sampling.n,
        **chosen,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        max_tokens=sampling.max_tokens,
        min_tokens=sampling.min_tokens,
        stop=list(sampling.stop),
        seed=sampling.seed,
        logprobs=sampling.logprobs,
        ignore_eos=sampling.ignore_eos,
        structured_outputs=structured,
        output_kind=RequestOutputKind.FINAL_ONLY if stream_interval is None else RequestOutputKind.DELTA,
        stream_interval=stream_interval,
    )


def _logprobs(choice: CompletionOutput, wanted: int | None) -> tuple[TokenLogprob, ...] | None:
    if wanted is None or not choice.logprobs:
        return None
    found = []
    for token_id, alternatives in zip(choice.token_ids, choice.logprobs, strict=True):
        assert alternatives is not None  # only the first token of a prompt has none
        ranked = sorted(alternatives.values(), key=lambda one: one.rank or 0)[:wanted]
        chosen = _token(alternatives[token_id])
        found.append(TokenLogprob(chosen.token, chosen.logprob, chosen.token_bytes, tuple(_token(o) for o in ranked)))
    return tuple(found)


def _token(logprob: Logprob) -> TokenLogprob:
    text = logprob.decoded_token or ""
    return TokenLogprob(text, logprob.logprob, text.encode())


def _timing(output: RequestOutput, started: float) -> Timing:
    """From vLLM's own clocks; `started` is when the request came to the replica, in seconds of wall time."""
    total_s = time.time() - started
    metrics = output.metrics
    if metrics is None:
        return Timing(total_s=total_s)
    queued = metrics.scheduled_ts - metrics.queued_ts if metrics.scheduled_ts else None
    return Timing(queued, metrics.first_token_latency or None, total_s)
