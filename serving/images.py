"""Images in messages: where they are, and which engines read them.

A message's text has `IMAGE` at the place of each image, so that code for texts needs to know nothing of images as long
as it adds text behind it. Code that puts text before it shifts the images' offsets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from serving.conversation import IMAGE, Image, Message
from serving.engine import EngineInfo
from serving.types import GenerateRequest


def shifted(images: Iterable[Image], characters: int) -> tuple[Image, ...]:
    """`images` of a text that now begins `characters` later in its message."""
    return tuple(replace(image, offset=image.offset + characters) for image in images)


def parts(message: Message) -> list[str | Image]:
    """Texts and images of a message in their order; no text is empty."""
    found: list[str | Image] = []
    start = 0
    for image in message.images:
        found += [message.content[start : image.offset], image]
        start = image.offset + len(IMAGE)
    return [part for part in (*found, message.content[start:]) if part != ""]


def without_images(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`messages` as a model reads them that reads text only: with the text `IMAGE` in place of each image."""
    return tuple(replace(message, images=()) if message.images else message for message in messages)


def readable(request: GenerateRequest, info: EngineInfo) -> GenerateRequest:
    """`request` as an engine with the properties `info` reads it: without images if it reads text only."""
    if info.sees or not request.image_count:
        return request
    return replace(request, messages=without_images(request.messages))
