"""Prompts with images: vLLM's own processor of the model puts each image's tokens in place of its placeholder."""

import asyncio
import base64
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from vllm.exceptions import VLLMClientError
from vllm.inputs import TokensPrompt
from vllm.inputs.engine import MultiModalInput
from vllm.multimodal.media.image import ImageMediaIO
from vllm.renderers.base import BaseRenderer

from serving.conversation import Image
from serving.errors import ConfigError, EngineFailed, InvalidRequest, MoaError
from serving.failures import log_exception, said

SAMPLE = Image(  # a grey image of 64 x 64 pixels, for a prompt at the start
    "image/png",
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAK0lEQVR42u3MMREAAAgEoNfkRjeEmwcBqMlNRyAQCAQCgUAgEAgEAsHzYAFAdAEA"
        "rKmlZAAAAABJRU5ErkJggg=="
    ),
    "sample",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DecodedImages:
    """Images of one conversation in their order, decoded once for all prompts that are made of it."""

    images: tuple[Image, ...]
    media: tuple[Any, ...]  # vLLM's pictures with their bytes
    scope: str = ""  # vLLM's caches of images are common to the conversations of one scope

    def __getitem__(self, count: slice) -> "DecodedImages":
        return DecodedImages(self.images[count], self.media[count], self.scope)

    @property
    def keys(self) -> list[str]:
        """Keys of the images in vLLM's caches."""
        return [f"{self.scope}{image.digest}" for image in self.images]


class ImagePrompts:
    """Reader of one model's images, on top of vLLM's renderer."""

    def __init__(self, model: str, renderer: BaseRenderer[Any]) -> None:
        """Find out what the model reads.

        Raises:
            ConfigError: it reads no images, or `limit_mm_per_prompt` allows none.
        """
        self._model, self._renderer = model, renderer
        processor = renderer.mm_processor
        limits = {} if processor is None else processor.info.allowed_mm_limits
        self._placeholder_tokens: int | None = None  # of one image, as the template writes it; known after `check`
        self.max_images: int = limits.get("image", 0)  # of one prompt
        if not self.max_images:
            raise ConfigError(
                f"'{model}' reads no images, as its config.json or limit_mm_per_prompt says; remove 'image' from its"
                " modalities."
            )

    def placeholder(self, number: int) -> str | None:
        """Text of the placeholder of image `number`, from 1, for templates that do not write it themselves."""
        from vllm.model_executor.model_loader import get_model_cls  # imports much that text models do not need

        model: Any = get_model_cls(self._renderer.model_config)
        written: str | None = model.get_placeholder_str("image", number)
        return written

    async def decoded(self, images: Sequence[Image], scope: str = "") -> DecodedImages:
        """`images`, decoded in a thread, for prompts of `scope`.

        Raises:
            InvalidRequest: there are more than `max_images`, or the data of one is damaged.
        """
        if len(images) > self.max_images:
            raise InvalidRequest(
                f"'{self._model}' reads at most {self.max_images} images in one conversation, not {len(images)}; remove"
                " some.",
                "messages",
            )
        return DecodedImages(tuple(images), tuple(await asyncio.to_thread(self._decode, images)), scope)

    def _decode(self, images: Sequence[Image]) -> list[Any]:
        media = []
        for number, image in enumerate(images, start=1):
            try:
                media.append(ImageMediaIO().load_bytes(image.data))
            except Exception as error:  # Pillow's decoders raise errors of many kinds
                logger.debug("image %s cannot be decoded: %s", image.digest, type(error).__name__)
                raise InvalidRequest(
                    f"Send image {number} of the conversation ({image.media_type}) again: its data is damaged.",
                    "messages",
                ) from None
        return media

    async def prompt(self, token_ids: Sequence[int], images: DecodedImages, *, counting: bool) -> MultiModalInput:
        """The prompt `token_ids` with each placeholder replaced by the tokens of its image.

        Args:
            token_ids: the prompt as the chat template writes it.
            images: as many as there are placeholders.
            counting: nothing is generated from the result: it leaves no trace in the cache of images that the engine
                is expected to have.

        Raises:
            InvalidRequest: the model cannot read one of the images.
            EngineFailed: the processor failed, or changed the text of the prompt.
        """
        given = TokensPrompt(
            prompt_token_ids=list(token_ids),
            multi_modal_data={"image": list(images.media)},
            multi_modal_uuids={"image": images.keys},
        )
        try:
            found: Any = await self._renderer.process_for_engine_async(given, time.time(), skip_mm_cache=counting)
        except (ValueError, VLLMClientError) as error:
            raise InvalidRequest(
                f"'{self._model}' cannot read an image of the conversation: {said(error)}.", "messages"
            ) from None
        except Exception as error:
            log_exception(logger, error, "The image processor of '%s' failed", self._model)
            raise EngineFailed(self._model, "its image processor failed; the replica's log has the details") from None
        ranges = [(place.offset, place.offset + place.length) for place in found["mm_placeholders"]["image"]]
        length = placeholder_tokens(token_ids, found["prompt_token_ids"], ranges)
        if len(ranges) != len(images.images) or length is None or length != (self._placeholder_tokens or length):
            raise EngineFailed(self._model, "its image processor changed the text of the prompt")
        prompt: MultiModalInput = found
        return prompt

    async def check(self, token_ids: Sequence[int]) -> None:
        """Make a prompt with one image, `SAMPLE`, to learn the length of its placeholder.

        Raises:
            ConfigError: the processor cannot make it.
        """
        try:
            found = await self.prompt(token_ids, await self.decoded([SAMPLE]), counting=True)
        except MoaError as error:
            why = str(error).rstrip(".")
            raise ConfigError(
                f"The chat template of '{self._model}' does not fit its images ({why}); correct chat_template, or"
                " remove 'image' from its modalities."
            ) from None
        image = sum(place.length for place in found["mm_placeholders"]["image"])
        self._placeholder_tokens = len(token_ids) - (len(found["prompt_token_ids"]) - image)


def placeholder_tokens(before: Sequence[int], after: Sequence[int], ranges: Sequence[tuple[int, int]]) -> int | None:
    """Length of the placeholders in `before`, in whose place `after` has other tokens at `ranges`.

    None if anything else differs: where vLLM does not find a placeholder among the tokens, it writes the prompt as text
    and encodes it again. A text of a caller could then become control tokens, or a placeholder.
    """
    bounds = [0, *(bound for one in ranges for bound in one), len(after)]
    texts = [tuple(after[start:end]) for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    replaced = len(before) - sum(map(len, texts))
    count = len(ranges)
    if replaced < 0 or not count or replaced % count or any(end < start for start, end in pairwise(bounds)):
        return None
    length, start = replaced // count, 0
    for text in texts:
        if tuple(before[start : start + len(text)]) != text:
            return None
        start += len(text) + length
    return length
