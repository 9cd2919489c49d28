"""Images for tests, made with Pillow: real files of every format."""

import base64
import hashlib
from functools import cache
from io import BytesIO

from PIL import Image as Pillow

from serving.conversation import IMAGE, Image


@cache
def file_of(kind: str = "PNG", size: tuple[int, int] = (6, 4), color: str = "red", **options: object) -> bytes:
    """Bytes of an image of one color; `kind`: Pillow's name of the format."""
    out = BytesIO()
    Pillow.new("RGB", size, color).save(out, kind, **options)
    return out.getvalue()


def url_of(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def image(color: str = "red", offset: int = 0) -> Image:
    """An image as messages have it."""
    data = file_of(color=color)
    return Image("image/png", data, hashlib.sha256(data).hexdigest(), offset)


def placed(text: str, *colors: str) -> tuple[Image, ...]:
    """Images of `colors` at the places of `[image]` in `text`."""
    found, start = [], 0
    for color in colors:
        start = text.index(IMAGE, start)
        found.append(image(color, start))
        start += len(IMAGE)
    return tuple(found)


PNG = file_of()
PNG_URL = url_of(PNG)
