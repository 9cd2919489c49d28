"""Images in the bodies of requests: where they come from, and their places in the texts of messages."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from serving.api.image_reader import Images, ImageSource
from serving.api.schemas.chat import ChatBody, ImagePart, RefusalPart, TextPart
from serving.api.schemas.messages import Base64Source, CountTokensBody, ImageBlock, TextBlock, ToolResultBlock
from serving.api.schemas.responses import ResponsesBody
from serving.api.schemas.responses_items import (
    FunctionCallOutputItem,
    ImageContent,
    MessageItem,
    RefusalContent,
    TextContent,
)
from serving.conversation import IMAGE, Image

Part = TextPart | ImagePart | RefusalPart | TextContent | RefusalContent | ImageContent | TextBlock | ImageBlock


def chat_images(body: ChatBody) -> Iterator[ImageSource]:
    """Images of a chat request."""
    for index, message in enumerate(body.messages):
        for place, part in enumerate(message.content):
            if isinstance(part, ImagePart):
                where, image = f"messages[{index}].content[{place}]", part.image_url
                yield ImageSource(where, f"{where}.image_url.url", image.url, detail=image.detail)


def responses_images(body: ResponsesBody) -> Iterator[ImageSource]:
    """Images of a Responses request."""
    for index, item in enumerate(() if isinstance(body.input, str) else body.input):
        match item:
            case MessageItem(content=parts):
                field = "content"
            case FunctionCallOutputItem(output=parts):
                field = "output"
            case _:
                continue
        for place, part in enumerate(parts):
            if isinstance(part, ImageContent):
                where = f"input[{index}].{field}[{place}]"
                yield ImageSource(where, f"{where}.image_url", part.image_url, detail=part.detail)


def messages_images(body: CountTokensBody) -> Iterator[ImageSource]:
    """Images of a Messages request."""
    for index, message in enumerate(body.messages):
        for place, block in enumerate(message.content):
            where = f"messages[{index}].content[{place}]"
            if isinstance(block, ImageBlock):
                yield _source(block, where)
            elif isinstance(block, ToolResultBlock):
                for inner, part in enumerate(block.content):
                    if isinstance(part, ImageBlock):
                        yield _source(part, f"{where}.content[{inner}]")


def _source(block: ImageBlock, where: str) -> ImageSource:
    source = block.source
    if isinstance(source, Base64Source):
        return ImageSource(where, f"{where}.source.data", None, source.data, source.media_type)
    return ImageSource(where, f"{where}.source.url", source.url)


def part_of(part: Part, path: str, images: Images) -> str | Image:
    """Text of `part`, or its image, which is in `images` by `path`."""
    match part:
        case ImagePart() | ImageContent() | ImageBlock():
            return images[path]
        case RefusalContent() | RefusalPart():
            return part.refusal
        case _:
            return part.text


def joined(parts: Sequence[str | Image], separator: str) -> tuple[str, tuple[Image, ...]]:
    """Text of a message, and its images with their offsets. `separator` is put between two texts in a row."""
    text, before = "", None
    images: list[Image] = []
    for part in parts:
        if isinstance(part, Image):
            images.append(replace(part, offset=len(text)))
            text += IMAGE
        else:
            text += f"{separator}{part}" if isinstance(before, str) else part
        before = part
    return text, tuple(images)
