"""Replica of a model behind a Serve handle: its engine, and the models that answer over it."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.serve.llm import LLMConfig

from deployments.adapter_files import AdapterFiles
from deployments.adapter_spec import needed_rank
from deployments.adapters import check_adapters
from deployments.model.adapter_fetching import FetchedAdapters
from deployments.model.engine_server import EngineServer
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.prompt_worker import PromptWorker
from deployments.model.raw_prompts import PromptCodec
from deployments.model.served_adapters import load_adapters
from deployments.model.served_model import ServedModel
from deployments.model.vllm_adapter import VllmAdapter
from deployments.model_spec import ModelSpec
from deployments.wire import Packed
from serving.conversation import IMAGE, Image, Message
from serving.errors import ConfigError, EngineUnavailable
from serving.log_context import CURRENT, LogContext
from serving.types import GenerateRequest, Sampling, Tokens

SEEN = (Message("user", f"What is this? {IMAGE}", images=(Image("", b"", "", len("What is this? ")),)),)
GREETING = (Message("user", "What is 1 + 2?"),)
GREEDY = Sampling(max_tokens=4, temperature=0)
WARM_UP = (
    GREEDY,
    Sampling(max_tokens=4, temperature=0.7, top_p=0.9, top_k=20, min_p=0.01, logprobs=1, presence_penalty=0.1, n=2),
)


class LocalWeights(CallbackBase):
    """Skips ray.serve.llm's download task, which starts a process of its own even for local weights."""

    async def on_before_node_init(self) -> None:
        self.ctx.run_init_node = False


class ModelServer(EngineServer):
    """Replica of a model that generates text, and of its LoRA adapters.

    The last argument of each call, `adapter`, is the id of the adapter that answers; None: the model itself.
    """

    _models: Mapping[str | None, ServedModel]

    async def __init__(self, llm_config: LLMConfig, spec: ModelSpec) -> None:  # type: ignore[misc]  # Serve awaits it
        """Start the engine.

        Raises:
            ConfigError: the weights are not on this node, a parser is unknown or does not fit, the chat template cannot
                be read or has no tools or no images, the model reads no images although its modalities say so, vLLM
                cannot hold the model's calls to their schemas (`strict_tools`), or an adapter cannot be loaded.
        """
        await super().__init__(llm_config, spec, VllmAdapter.engine_class())
        engine: Any = self.engine  # typed as a protocol
        limits = {"grammar_timeout_s": spec.grammar_timeout_s, "grammar_token_s": spec.grammar_token_s}
        self._engine: VllmAdapter = VllmAdapter(spec.id, engine, **limits)
        base = await self._base(spec)
        self._models = {None: base, **await load_adapters(spec, self._adapters, self._engine, base)}
        await asyncio.gather(self._engine.grammars.start(), self._warm_up())

    async def _prepare(self, llm_config: LLMConfig, spec: ModelSpec) -> None:
        """Fetch and check the adapters, whose ranks decide how much memory the engine keeps for them."""
        self._adapters: Mapping[str, AdapterFiles] = {}
        if not spec.adapters:
            return
        self._fetched = FetchedAdapters()
        folders = await self._fetched.folders(spec)
        where = f" on node {socket.gethostname()}"
        self._adapters = await asyncio.to_thread(check_adapters, spec, folders, where)
        if "max_lora_rank" not in spec.engine_kwargs:
            rank = needed_rank([files.rank for files in self._adapters.values()])
            llm_config.update_engine_kwargs(max_lora_rank=rank)

    async def _base(self, spec: ModelSpec) -> ServedModel:
        """The model as the engine has loaded it. Raises `ConfigError`."""
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
        for adapter in self._models:
            for sampling in WARM_UP if adapter is None else (GREEDY,):
                async with aclosing(self.generate(GenerateRequest("warm-up", GREETING, sampling), adapter)) as items:
                    async for _ in items:
                        pass

    def _model(self, adapter: str | None) -> ServedModel:
        """The model itself, or an adapter. Raises `EngineUnavailable` if this replica, of another profile, has none."""
        if (model := self._models.get(adapter)) is None:
            raise EngineUnavailable(str(adapter), "the replica has no such adapter")
        return model

    async def generate(
        self, request: GenerateRequest, adapter: str | None = None
    ) -> AsyncGenerator[tuple[Packed, ...], None]:
        """The stream of `serving.engine`, in groups. Raises like `ServedModel.generate`."""
        CURRENT.set(LogContext(request.request_id, request.trace))  # Serve calls this in a task of its own
        async with aclosing(self._model(adapter).generate(request)) as groups:
            async for group in groups:
                yield group

    async def prefill(self, request: GenerateRequest, marker: str, adapter: str | None = None) -> None:
        """Compute the prompt up to `marker`. Raises like `ServedModel.prefill`."""
        await self._model(adapter).prefill(request, marker)

    async def count_tokens(self, request: GenerateRequest, adapter: str | None = None) -> int:
        """Length of the request's prompt. Raises like `ServedModel.count_tokens`."""
        return await self._model(adapter).count_tokens(request)

    async def tokens(self, request: GenerateRequest, texts: bool, adapter: str | None = None) -> Tokens:
        """Tokens of the request's prompt. Raises like `ServedModel.tokens`."""
        return await self._model(adapter).tokens(request, texts)

    async def text(self, token_ids: tuple[int, ...], adapter: str | None = None) -> str:
        """Text of token ids. Raises like `ServedModel.text`."""
        return await self._model(adapter).text(token_ids)
