"""One model id of a replica: conversations in, packed deltas out."""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from deployments.model.coalescing import coalesced
from deployments.model.computed_turns import ComputedTurns
from deployments.model.echo import Echo
from deployments.model.image_prompts import DecodedImages, ImagePrompts
from deployments.model.image_turns import images_before
from deployments.model.output_parser import OutputParsers
from deployments.model.prompt_budget import PromptBudget, PromptTooLong
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.prompt_worker import PromptWorker, characters
from deployments.model.raw_prompts import PromptCodec
from deployments.model.vllm_adapter import LoadedAdapter, VllmAdapter
from deployments.model_spec import ModelSpec
from deployments.wire import Packed, pack
from serving.conversation import Message
from serving.errors import ContextTooLong, InvalidRequest
from serving.runtime.prompts import prompt_messages
from serving.runtime.truncation import fit
from serving.types import GenerateRequest, Sampling, Tokens

# With references, prompts of so many contexts are counted exactly: their tokens tell by how much to shorten those.
COUNTED_CONTEXTS = 4
PREFILL = Sampling(max_tokens=1, temperature=0, ignore_eos=True)  # vLLM has no call that generates nothing

logger = logging.getLogger(__name__)


class ServedModel:
    """A model over the engine of its replica, with its own format of prompts and parsers of its output."""

    def __init__(
        self,
        spec: ModelSpec,
        engine: VllmAdapter,
        renderer: PromptRenderer,
        codec: PromptCodec,
        parsers: OutputParsers,
        worker: PromptWorker,
        images: ImagePrompts | None = None,
        lora: LoadedAdapter | None = None,
    ) -> None:
        """Answer as the model `spec.id`.

        Args:
            spec: The model.
            engine: Engine of the replica.
            renderer: Writer of its prompts.
            codec: Reader of its raw prompts.
            parsers: Parsers of its output.
            worker: Threads of the replica for long prompts.
            images: Reader of its images. None: it reads text only.
            lora: Adapter that answers. None: the engine's model itself.
        """
        self._model, self._spec, self._engine = spec.id, spec, engine
        self._renderer, self._codec, self._parsers = renderer, codec, parsers
        self._worker, self._images, self._lora = worker, images, lora
        self._computed = ComputedTurns()

    @property
    def images(self) -> ImagePrompts | None:
        """Reader of the model's images. None: it reads text only."""
        return self._images

    def adapted(
        self, spec: ModelSpec, parsers: OutputParsers, lora: LoadedAdapter, renderer: PromptRenderer | None = None
    ) -> "ServedModel":
        """The model as its adapter `lora`; `renderer`: writer of its prompts, None for the model's."""
        return ServedModel(
            spec,
            self._engine,
            renderer or self._renderer.named(spec.id),
            self._codec.named(spec.id),
            parsers,
            self._worker,
            self._images,
            lora,
        )

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[tuple[Packed, ...], None]:
        """The stream of `serving.engine`, in groups; a request that is not streamed gets one group at its end.

        References that do not fit the context are shortened here, where the tokenizer is. Tools are in the prompt with
        `tool_choice: none` too, so that it begins with the prompt of the turn before, which is cached; as in vLLM, no
        calls are parsed then, and what looks like one is text. The answer to a raw prompt is text alone.

        Raises:
            ContextTooLong: the conversation or the prompt does not fit; the engine has done nothing.
            InvalidRequest: the prompt is empty or has unknown tokens, or the template refuses the conversation.
            MoaError: like `VllmAdapter.generate`.
        """
        args = self._spec.template_args(request.thinking, request.template_args)
        images = await self._decoded(request.messages, request.tenant.scope)
        image_tokens = 0
        budget = self._budget(request)

        async def token_ids(messages: tuple[Message, ...]) -> Sequence[int]:
            nonlocal image_tokens
            written = await self._token_ids(request, args, messages, budget)
            whole = await self._with_images(written, images)
            image_tokens = len(whole) - len(written)
            return whole

        fitted = await fit(self._model, request, token_ids, self._engine.context_tokens, lambda: image_tokens)
        seen = None
        if self._images is not None and images is not None:
            written = await self._token_ids(request, args, fitted.messages, budget)
            seen = await self._images.prompt(written, images, counting=False)
        parser = echo = None
        if request.prompt is None:
            opening = self._renderer.opening_ids(args) if request.prompt_end == "answer" else ()
            parser = self._parsers.open(request, args, fitted.tokens, opening)
        elif not fitted.tokens:
            raise InvalidRequest(f"Give '{request.prompt.path}' at least one token.", request.prompt.path)
        elif request.prompt.echo:
            text = self._codec.text(request.prompt)
            echo = Echo(self._model, text, fitted.tokens, lambda one: self._codec.decode([one]))
        generated: list[int] | None = [] if request.session and request.may_call_tools else None
        deltas = self._engine.generate(
            request.request_id,
            fitted.tokens,
            replace(request.sampling, max_tokens=fitted.max_tokens),
            priority=request.priority,
            stream_interval=request.stream_interval,
            parser=parser,
            generated=generated,
            running_usage=request.running_usage is not None,
            echo=echo,
            cache_salt=request.prefix_salt,
            tenant=request.tenant.id,
            images=seen,
            lora=self._lora,
            trace=request.trace,
        )
        async with aclosing(coalesced(deltas)) as groups:
            async for group in groups:
                if generated and request.session and group[-1].finish_reason == "tool_calls":
                    self._computed.put(request.session, [*fitted.tokens, *generated])
                yield tuple(pack(replace(one, shortened=fitted.shortened) if one.terminal else one) for one in group)

    def _budget(self, request: GenerateRequest) -> PromptBudget:
        """Budget of a prompt that is to be answered."""
        context = self._engine.context_tokens
        counted = context if request.references is None else context * COUNTED_CONTEXTS
        return PromptBudget(counted, cached_tokens=context - max(request.sampling.max_tokens or 0, 1))

    async def _token_ids(
        self, request: GenerateRequest, args: Mapping[str, Any], messages: tuple[Message, ...], budget: PromptBudget
    ) -> tuple[int, ...]:
        """Tokens of a raw prompt, or of `messages` with the tools of `request`; `args`: of the chat template.

        Raises:
            ContextTooLong: there are more than the budget allows; long texts are not tokenized to their ends then.
        """
        prompt = request.prompt
        try:
            if prompt is not None:
                return await self._worker.run(
                    len(prompt.content), budget, lambda: self._codec.encode(prompt, budget), request.tenant.id
                )
            return await self._worker.run(
                characters(messages, request.tools, args),
                budget,
                lambda: self._renderer.token_ids(
                    messages, request.tools, args, request.prompt_end, budget, request.tenant.scope
                ),
                request.tenant.id,
            )
        except PromptTooLong as error:
            raise ContextTooLong(
                self._model,
                error.tokens,
                self._engine.context_tokens,
                request.sampling.max_tokens or 0,
                "messages" if prompt is None else prompt.path,
                at_least=not error.exact,
            ) from None

    async def _counted_ids(self, request: GenerateRequest) -> tuple[int, ...]:
        """Tokens of a prompt that is not to be answered. Raises `InvalidRequest` beyond `max_counted_tokens`."""
        args = self._spec.template_args(request.thinking, request.template_args)
        most = max(self._spec.max_counted_tokens, self._engine.context_tokens)
        try:
            return await self._token_ids(request, args, prompt_messages(request), PromptBudget(most))
        except ContextTooLong as error:
            field = "messages" if request.prompt is None else request.prompt.path
            raise InvalidRequest(
                f"Shorten '{field}': '{self._model}' counts at most {most} tokens, and there are"
                f"{' at least' if error.at_least else ''} {error.prompt_tokens}.",
                field,
            ) from None

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        """Compute the whole cache blocks of the prompt up to the first occurrence of `marker`. Raises `MoaError`.

        Nothing is done if they are the tokens of the session's last answer, which called tools.
        """
        messages = prompt_messages(request)
        tools, args = request.tools, self._spec.template_args(request.thinking, request.template_args)
        budget = PromptBudget(self._engine.context_tokens)
        try:
            token_ids = await self._worker.run(
                characters(messages, tools, args),
                budget,
                lambda: self._renderer.prefill_ids(messages, marker, tools, args, request.prompt_end, budget),
                request.tenant.id,
            )
        except PromptTooLong:
            return  # the prompt itself will be refused, or its references shortened
        seen = None
        if token_ids and (known := images_before(messages, marker)):
            images = await self._decoded(messages, request.tenant.scope)
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
            request.request_id,
            token_ids,
            PREFILL,
            priority=request.priority,
            stream_interval=None,
            cache_salt=request.prefix_salt,
            tenant=request.tenant.id,
            images=seen,
            lora=self._lora,
            trace=request.trace,
        )
        async with aclosing(deltas):
            async for _ in deltas:
                pass

    async def count_tokens(self, request: GenerateRequest) -> int:
        """Length of the request's prompt. Raises `MoaError` for a conversation that the chat template refuses."""
        written = await self._counted_ids(request)
        return len(
            await self._with_images(written, await self._decoded(prompt_messages(request), request.tenant.scope))
        )

    async def _decoded(self, messages: Sequence[Message], scope: str) -> DecodedImages | None:
        """Images of `messages`, cached for `scope`; None if they have none. Raises `InvalidRequest`."""
        images = [image for message in messages for image in message.images]
        if not images:
            return None
        if self._images is None:
            raise InvalidRequest(f"'{self._model}' reads no images; remove them.", "messages")
        return await self._images.decoded(images, scope)

    async def _with_images(self, token_ids: tuple[int, ...], images: DecodedImages | None) -> Sequence[int]:
        """`token_ids` with those of the images in place of their placeholders, to be counted."""
        if self._images is None or images is None:
            return token_ids
        counted = await self._images.prompt(token_ids, images, counting=True)
        return counted["prompt_token_ids"]

    async def tokens(self, request: GenerateRequest, texts: bool) -> Tokens:
        """Tokens of the request's prompt. Arguments and errors: `serving.engine.Engine.tokenize`."""
        ids = await self._counted_ids(request)
        found = None
        if texts:
            found = await self._worker.run(len(ids), PromptBudget(), lambda: self._codec.texts(ids), request.tenant.id)
        return Tokens(ids, self._engine.context_tokens, found)

    async def text(self, token_ids: tuple[int, ...]) -> str:
        """Text of token ids. Raises `InvalidRequest` if one is not in the vocabulary."""
        self._codec.check(token_ids, "tokens")
        return await self._worker.run(len(token_ids), PromptBudget(), lambda: self._codec.decode(token_ids))
