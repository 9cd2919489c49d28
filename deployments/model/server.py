"""One model behind a Serve handle: conversations in, packed deltas out."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.serve.llm import LLMConfig
from ray.serve.llm.deployment import LLMServer

from deployments.model.coalescing import coalesced
from deployments.model.computed_turns import ComputedTurns
from deployments.model.image_prompts import DecodedImages, ImagePrompts
from deployments.model.image_turns import images_before
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.vllm_adapter import VllmAdapter
from deployments.model_spec import ModelSpec
from deployments.wire import EngineStats, Packed, pack
from serving.errors import ConfigError, EngineUnavailable, InvalidRequest
from serving.runtime.prompts import prompt_messages
from serving.runtime.truncation import fit
from serving.types import IMAGE, GenerateRequest, Image, Message, Sampling

ROUND_TRIP_S = 50.0  # a health check's token may wait behind a long prefill; below health_check_timeout_s
LONG_CHARACTERS = 20_000  # some milliseconds of a tokenizer
SEEN = (Message("user", f"What is this? {IMAGE}", images=(Image("", b"", "", len("What is this? ")),)),)
GREETING = (Message("user", "What is 1 + 2?"),)
WARM_UP = (
    Sampling(max_tokens=4, temperature=0),
    Sampling(max_tokens=4, temperature=0.7, top_p=0.9, top_k=20, min_p=0.01, logprobs=1, presence_penalty=0.1, n=2),
)

PREFILL = Sampling(max_tokens=1, temperature=0, ignore_eos=True)  # vLLM has no call that generates nothing

logger = logging.getLogger(__name__)


class LocalWeights(CallbackBase):
    """Skips ray.serve.llm's download task, which starts a process of its own even for local weights."""

    async def on_before_node_init(self) -> None:
        self.ctx.run_init_node = False


class ModelServer(LLMServer):
    """ray.serve.llm's server (placement, downloads, LoRA, engine metrics) with a smaller interface."""

    _images: ImagePrompts | None = None  # None: the model reads text only

    async def __init__(self, llm_config: LLMConfig, spec: ModelSpec) -> None:  # type: ignore[misc]  # Serve awaits it
        """Start the engine.

        Raises:
            ConfigError: a parser is unknown or does not fit, the chat template cannot be read or has no tools or no
                images, the model reads no images although its modalities say so, or vLLM cannot hold the model's calls
                to their schemas (`strict_tools`).
        """
        await super().__init__(llm_config, engine_cls=VllmAdapter.engine_class())
        self._model, self._spec = llm_config.model_id, spec
        self._engine = VllmAdapter(self._model, self.engine)  # type: ignore[arg-type]  # typed as a protocol
        self._images = self._engine.image_prompts() if spec.sees else None
        self._renderer = PromptRenderer(
            self._engine.tokenizer,
            self._model,
            spec.chat_template,
            self._engine.tokenizer_mode,
            self._engine.model_type,
            None if self._images is None else self._images.placeholder,
        )
        self._computed = ComputedTurns()
        self._parsers = self._engine.output_parsers(
            spec.reasoning_parser, spec.tool_call_parser, strict_tools=spec.strict_tools
        )
        if spec.accepts_tools and not self._renderer.accepts_tools:
            raise ConfigError(f"The chat template of '{self._model}' has no tools; remove tool_call_parser and tools.")
        if self._images is not None:
            if not self._renderer.accepts_images:
                raise ConfigError(
                    f"The chat template of '{self._model}' has no images; set another engine_kwargs.chat_template, or"
                    " remove 'image' from its modalities."
                )
            await self._images.check(self._renderer.token_ids(SEEN))
        await self._warm_up()

    async def _start_engine(self) -> None:
        """Start the engine like ray.serve.llm, without the actor that it starts for its telemetry."""
        engine: Any = self.engine
        await engine.start()

    async def _warm_up(self) -> None:
        """Run everything that a first request would wait for: template, greedy and sampled tokens, logprobs."""
        for sampling in WARM_UP:
            async with aclosing(self.generate(GenerateRequest("warm-up", GREETING, sampling))) as items:
                async for _ in items:
                    pass

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[tuple[Packed, ...], None]:
        """The stream of `serving.engine`, in groups; a request that is not streamed gets one group at its end.

        References that do not fit the context are shortened here, where the tokenizer is. Tools are in the prompt with
        `tool_choice: none` too, so that it begins with the prompt of the turn before, which is cached; as in vLLM, no
        calls are parsed then, and what looks like one is text.

        Raises:
            ContextTooLong: the conversation does not fit; the engine has done nothing.
            MoaError: like `VllmAdapter.generate`.
        """
        tools, args = request.tools, self._spec.template_args(request.thinking, request.template_args)
        images = await self._decoded(request.messages)

        async def template_ids(messages: tuple[Message, ...]) -> tuple[int, ...]:
            return await _in_thread_if_long(messages, lambda: self._renderer.token_ids(messages, tools, args))

        image_tokens = 0

        async def token_ids(messages: tuple[Message, ...]) -> Sequence[int]:
            nonlocal image_tokens
            written = await template_ids(messages)
            whole = await self._with_images(written, images)
            image_tokens = len(whole) - len(written)
            return whole

        fitted = await fit(self._model, request, token_ids, self._engine.context_tokens, lambda: image_tokens)
        seen = None
        if self._images is not None and images is not None:
            seen = await self._images.prompt(await template_ids(fitted.messages), images, counting=False)
        opening = self._renderer.opening_ids(args)
        generated: list[int] | None = [] if request.session and request.may_call_tools else None
        deltas = self._engine.generate(
            request.request_id,
            fitted.tokens,
            replace(request.sampling, max_tokens=fitted.max_tokens),
            priority=request.priority,
            stream_interval=request.stream_interval,
            parser=self._parsers.open(request, args, fitted.tokens, opening),
            generated=generated,
            images=seen,
        )
        async with aclosing(coalesced(deltas)) as groups:
            async for group in groups:
                if generated and request.session and group[-1].finish_reason == "tool_calls":
                    self._computed.put(request.session, [*fitted.tokens, *generated])
                yield tuple(pack(replace(one, shortened=fitted.shortened) if one.terminal else one) for one in group)

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        """Compute the whole cache blocks of the prompt up to the first occurrence of `marker`. Raises `MoaError`.

        Nothing is done if they are the tokens of the session's last answer, which called tools.
        """
        messages = prompt_messages(request)
        tools, args = request.tools, self._spec.template_args(request.thinking, request.template_args)
        token_ids = await _in_thread_if_long(
            messages, lambda: self._renderer.prefill_ids(messages, marker, tools, args)
        )
        seen = None
        if token_ids and (known := images_before(messages, marker)):
            images = await self._decoded(messages)
            if self._images is None or images is None:
                return
            seen = await self._images.prompt(token_ids, images[:known], counting=False)
            token_ids = tuple(seen["prompt_token_ids"])  # whole, as an image must not be cut
        else:
            token_ids = token_ids[: len(token_ids) // self._engine.block_size * self._engine.block_size]
        if not token_ids or len(token_ids) >= self._engine.context_tokens:
            return
        if self._computed.cover(request.session, token_ids):
            logger.debug("the prompt of %s is computed already", request.request_id)
            return
        deltas = self._engine.generate(
            request.request_id, token_ids, PREFILL, priority=request.priority, stream_interval=None, images=seen
        )
        async with aclosing(deltas):
            async for _ in deltas:
                pass

    async def count_tokens(self, request: GenerateRequest) -> int:
        """Length of the request's prompt. Raises `MoaError` for a conversation that the chat template refuses."""
        messages = prompt_messages(request)
        tools, args = request.tools, self._spec.template_args(request.thinking, request.template_args)
        token_ids = await _in_thread_if_long(messages, lambda: self._renderer.token_ids(messages, tools, args))
        return len(await self._with_images(token_ids, await self._decoded(messages)))

    async def _decoded(self, messages: Sequence[Message]) -> DecodedImages | None:
        """Images of `messages`; None if they have none. Raises `InvalidRequest`."""
        images = [image for message in messages for image in message.images]
        if not images:
            return None
        if self._images is None:
            raise InvalidRequest(f"'{self._model}' reads no images; remove them.", "messages")
        return await self._images.decoded(images)

    async def _with_images(self, token_ids: tuple[int, ...], images: DecodedImages | None) -> Sequence[int]:
        """`token_ids` with those of the images in place of their placeholders, to be counted."""
        if self._images is None or images is None:
            return token_ids
        counted = await self._images.prompt(token_ids, images, counting=True)
        return counted["prompt_token_ids"]

    async def stats(self) -> EngineStats:
        """Counters of the engine."""
        return self._engine.stats()

    async def check_health(self) -> None:
        """Serve's health check: one token through the engine, so that a hung engine is noticed too.

        A replica whose engine process died ends itself: Serve replaces it at once instead of after three failed checks.
        Raises `EngineUnavailable`.
        """
        engine = getattr(self, "_engine", None)
        if engine is None:
            return
        try:
            await engine.round_trip(ROUND_TRIP_S)
        except EngineUnavailable as error:
            logger.error("%s", error)
            if engine.dead:
                asyncio.get_running_loop().call_later(1.0, os._exit, 1)  # failed requests get their errors first
            raise


async def _in_thread_if_long(messages: tuple[Message, ...], render: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """Result of `render`; for a long prompt in a thread, so that no other stream waits for the tokenizer."""
    if sum(len(message.content) for message in messages) < LONG_CHARACTERS:
        return render()
    return await asyncio.to_thread(render)
