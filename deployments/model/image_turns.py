"""Images in the turns of a conversation, in the shape that chat templates read."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from serving.conversation import IMAGE, Image, Message
from serving.images import parts, shifted

AFTER_RESULTS = "Images in the tool results above, in their order: "


def content_of(message: Message) -> Any:
    """Content of the message's turn: its text, or if it has images its parts."""
    if not message.images:
        return message.content
    return [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in parts(message)]


def behind(text: str, message: Message, images: tuple[Image, ...] = ()) -> Message:
    """`message` with `text`, which has `images`, as a paragraph before its own."""
    joined = "\n\n".join(part for part in (text, message.content) if part)
    own = shifted(message.images, len(joined) - len(message.content))
    return replace(message, content=joined, images=(*images, *own))


def after_results(messages: Sequence[Message]) -> list[Message]:
    """`messages` with the images of tools' results in a user message behind them, for templates without such images.

    In the results, the text `[image]` is left.
    """
    if not any(message.images for message in messages if message.role == "tool"):
        return list(messages)
    found: list[Message] = []
    waiting: list[Image] = []
    for message in [*messages, None]:
        if waiting and (message is None or message.role != "tool"):
            start, step = len(AFTER_RESULTS), len(IMAGE)
            placed = tuple(replace(image, offset=start + step * place) for place, image in enumerate(waiting))
            found.append(Message("user", AFTER_RESULTS + IMAGE * len(waiting), images=placed))
            waiting = []
        if message is not None:
            if message.role == "tool":
                waiting += message.images
                message = replace(message, images=())
            found.append(message)
    return found


def images_before(messages: Sequence[Message], marker: str) -> int:
    """Number of images in a conversation before the first occurrence of `marker`; all if there is none."""
    count = 0
    for message in messages:
        if (place := message.content.find(marker)) >= 0:
            return count + sum(image.offset < place for image in message.images)
        count += len(message.images)
    return count


def without_data(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """`messages` without the bytes of their images, as keys of a cache."""
    if not any(message.images for message in messages):
        return messages
    return tuple(
        replace(message, images=tuple(replace(image, data=b"") for image in message.images)) for message in messages
    )
