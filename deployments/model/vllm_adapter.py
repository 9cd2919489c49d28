"""Adapter of vLLM's `AsyncLLM`: token prompts in, deltas out."""

import os
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.inputs.engine import MultiModalInput, TokensInput, tokens_input
from vllm.lora.request import LoRARequest

from deployments.model.echo import Echo
from deployments.model.engine_adapter import EngineAdapter
from deployments.model.engine_errors import reason_of, translated
from deployments.model.grammar_compiler import GrammarCompiler
from deployments.model.grammar_vocabulary import vocabulary_json
from deployments.model.image_prompts import ImagePrompts
from deployments.model.output_parser import OutputParsers, RequestParser
from deployments.model.text_parser import TextParser
from deployments.model.token_bytes import TokenBytes
from deployments.model.vllm_outputs import choice_logprobs, copied, finish_reason, timing, without_tokens
from deployments.model.vllm_sampling import (
    CheckedSampling,
    check_length,
    check_vocabulary,
    grammar_of,
    sampling_params,
)
from deployments.model_spec import GRAMMAR_TIMEOUT_S, GRAMMAR_TOKEN_S
from serving.errors import ConfigError, InvalidRequest, MoaError
from serving.trace_context import TraceContext
from serving.types import Delta, Sampling
from serving.usage import TokenUsage

LoadedAdapter: TypeAlias = LoRARequest
# vLLM's prefix cache keeps a salt and an adapter's name in one place: a caller's salt could be an adapter's name, which
# has no colon.
SALT_PREFIX = "salt:"
# Without a parent vLLM would begin a trace of its own for each request, also for health checks.
UNTRACED = TraceContext.unsampled()


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
        self._traced: bool = self.client.observability_config.otlp_traces_endpoint is not None
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
        self,
        reasoning_parser: str | None,
        tool_call_parser: str | None,
        *,
        strict_tools: bool = False,
        model: str | None = None,
    ) -> OutputParsers:
        """Parsers of the model's output, see `OutputParsers`. `model`: an adapter's id, or the model's.

        Raises `ConfigError` if they are unknown or do not fit.
        """
        return OutputParsers(
            model or self.model,
            self.tokenizer,
            self.client.model_config,
            reasoning_parser,
            tool_call_parser,
            strict_tools=strict_tools,
            compact=self.client.vllm_config.structured_outputs_config.disable_any_whitespace,
        )

    @property
    def layer_sizes(self) -> Mapping[str, Any]:
        """Number of layers and size of the hidden states, as in the model's config.json; None: unknown."""
        config = self.client.model_config.hf_text_config
        return {name: getattr(config, name, None) for name in ("num_hidden_layers", "hidden_size")}

    async def add_adapter(self, name: str, number: int, folder: Path) -> LoadedAdapter:
        """Load a LoRA adapter.

        Args:
            name: Its id.
            number: Its number among the adapters of the engine, from 1.
            folder: Its files, on all nodes of the replica.

        Raises:
            ConfigError: vLLM cannot load it, with vLLM's reason.
        """
        lora = LoRARequest(name, number, str(folder), base_model_name=self.model)
        try:
            loaded = await self.client.add_lora(lora)
        except Exception as error:
            raise ConfigError(
                f"The adapter '{lora.lora_name}' cannot be loaded into '{self.model}' ({reason_of(error)}); correct its"
                " files, or remove it from adapters."
            ) from error
        if not loaded:
            raise ConfigError(
                f"The adapter '{lora.lora_name}' cannot be loaded into '{self.model}'; its engine's log has the reason."
            )
        return lora

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
        lora: LoadedAdapter | None = None,
        trace: TraceContext | None = None,
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
            lora: Adapter that answers. None: the model itself.
            trace: Span below which that of the engine belongs. None: the request has none.

        Raises:
            InvalidRequest: vLLM refused the request as the caller's error, with its text in the message, or a token id
                is not in the vocabulary.
            Overloaded: vLLM's own limit on waiting requests is reached, or too many grammars wait to be compiled.
            EngineUnavailable: the engine process died.
            IncompleteGeneration: the engine aborted the request.
            EngineFailed: any other error; its text is in the log only.
        """
        model = self.model if lora is None else lora.lora_name
        started = time.time()
        ended_choices = 0
        completion_tokens = 0
        finished = False
        turn = self.queue.turn(tenant, priority, sequences=sampling.n, prompt_tokens=len(token_ids))
        try:
            check_length(model, sampling)
            if sampling.decoding.token_id_field is not None:
                check_vocabulary(model, sampling, self.client.model_config.get_vocab_size())
            params = sampling_params(
                sampling, self._defaults, stream_interval=stream_interval, of_prompt=echo is not None
            )
            extra = {} if parser is None else parser.prepare(params)
            if lora is not None:
                extra = {**extra, "lora_request": lora}
            if self._traced:
                extra = {**extra, "trace_headers": (trace or UNTRACED).headers}
            if cache_salt is not None:
                cache_salt = SALT_PREFIX + cache_salt
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
                    for choice in copied(output.outputs, copies):
                        if not sampling.max_tokens:
                            choice = without_tokens(choice)
                        completion_tokens += len(choice.token_ids)
                        if generated is not None and choice.index == 0:
                            generated.extend(choice.token_ids)
                        ended_choices += choice.finish_reason is not None
                        last = ended_choices == sampling.n and choice.finish_reason is not None
                        if not (choices or choice.text or choice.logprobs or choice.finish_reason):
                            continue  # part of a character, or text that may still become a stop string
                        reason = finish_reason(model, choice.finish_reason)
                        stop = choice.stop_reason if reason and isinstance(choice.stop_reason, str) else None
                        found = choice_logprobs(choice, sampling.logprobs, bytes_of)
                        delta = Delta(choice.text, choice.index, found, reason, stop=stop)
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
                                delta = replace(delta, usage=usage, timing=timing(output, started, turn.waited_s))
                            else:
                                delta = replace(delta, running_usage=usage)
                        yield delta
            finally:
                await outputs.aclose()
        except MoaError:
            raise
        except Exception as error:
            raise translated(model, request_id, error, dead=self.dead) from None
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
