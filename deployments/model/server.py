"""Replica of a model behind a Serve handle: its engine, and the model that answers over it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.serve.llm import LLMConfig

from deployments.model.engine_server import EngineServer
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.prompt_worker import PromptWorker
from deployments.model.raw_prompts import PromptCodec
from deployments.model.served_model import ServedModel
from deployments.model.vllm_adapter import VllmAdapter
from deployments.model_spec import ModelSpec
from deployments.wire import Packed
from serving.conversation import IMAGE, Image, Message
from serving.errors import ConfigError
from serving.types import GenerateRequest, Sampling, Tokens

SEEN = (Message("user", f"What is this? {IMAGE}", images=(Image("", b"", "", len("What is this? ")),)),)
GREETING = (Message("user", "What is 1 + 2?"),)
WARM_UP = (
    Sampling(max_tokens=4, temperature=0),
    Sampling(max_tokens=4, temperature=0.7, top_p=0.9, top_k=20, min_p=0.01, logprobs=1, presence_penalty=0.1, n=2),
)


class LocalWeights(CallbackBase):
    """Skips ray.serve.llm's download task, which starts a process of its own even for local weights."""

    async def on_before_node_init(self) -> None:
        self.ctx.run_init_node = False


class ModelServer(EngineServer):
    """Replica of a model that generates text."""

    _base: ServedModel

    async def __init__(self, llm_config: LLMConfig, spec: ModelSpec) -> None:  # type: ignore[misc]  # Serve awaits it
        """Start the engine.

        Raises:
            ConfigError: the weights are not on this node, a parser is unknown or does not fit, the chat template cannot
                be read or has no tools or no images, the model reads no images although its modalities say so, or vLLM
                cannot hold the model's calls to their schemas (`strict_tools`).
        """
        await super().__init__(llm_config, spec, VllmAdapter.engine_class())
        engine: Any = self.engine  # typed as a protocol
        limits = {"grammar_timeout_s": spec.grammar_timeout_s, "grammar_token_s": spec.grammar_token_s}
        self._engine: VllmAdapter = VllmAdapter(spec.id, engine, **limits)
        self._base = await self._model_of(spec)
        await asyncio.gather(self._engine.grammars.start(), self._warm_up())

    async def _model_of(self, spec: ModelSpec) -> ServedModel:
        """Make the model as the engine has loaded it. Raises `ConfigError`."""
        engine = self._engine
        images = engine.image_prompts() if spec.sees else None
        renderer = PromptRenderer(
            engine.tokenizer,
            spec.id,
            spec.chat_template,
            engine.tokenizer_mode,
            engine.model_type,
            None if images is None else images.placeholder,
        )
        codec = PromptCodec(engine.tokenizer, spec.id, engine.vocabulary_size)
        parsers = engine.output_parsers(spec.reasoning_parser, spec.tool_call_parser, strict_tools=spec.strict_tools)
        if spec.accepts_tools and not renderer.accepts_tools:
            raise ConfigError(f"The chat template of '{spec.id}' has no tools; remove tool_call_parser and tools.")
        if images is not None:
            if not renderer.accepts_images:
                raise ConfigError(
                    f"The chat template of '{spec.id}' has no images; set another engine_kwargs.chat_template, or"
                    " remove 'image' from its modalities."
                )
            await images.check(renderer.token_ids(SEEN))
        return ServedModel(spec, engine, renderer, codec, parsers, PromptWorker(), images)

    async def _warm_up(self) -> None:
        """Run everything that a first request would wait for: template, greedy and sampled tokens, logprobs."""
        for sampling in WARM_UP:
            async with aclosing(self.generate(GenerateRequest("warm-up", GREETING, sampling))) as items:
                async for _ in items:
                    pass

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[tuple[Packed, ...], None]:
        """The stream of `serving.engine`, in groups. Raises like `ServedModel.generate`."""
        async with aclosing(self._base.generate(request)) as groups:
            async for group in groups:
                yield group

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        """Compute the prompt up to `marker`. Raises like `ServedModel.prefill`."""
        await self._base.prefill(request, marker)

    async def count_tokens(self, request: GenerateRequest) -> int:
        """Length of the request's prompt. Raises like `ServedModel.count_tokens`."""
        return await self._base.count_tokens(request)

    async def tokens(self, request: GenerateRequest, texts: bool) -> Tokens:
        """Tokens of the request's prompt. Raises like `ServedModel.tokens`."""
        return await self._base.tokens(request, texts)

    async def text(self, token_ids: tuple[int, ...]) -> str:
        """Text of token ids. Raises like `ServedModel.text`."""
        return await self._base.text(token_ids)
