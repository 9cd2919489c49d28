"""Checks of an image's bytes before any engine is asked: base64, size, format and dimensions."""

import binascii
import hashlib
import re
from collections.abc import Mapping

from serving.api.image_headers import READERS, format_of, size_of
from serving.api.image_settings import ImageSettings
from serving.conversation import Image
from serving.errors import InvalidRequest
from serving.validation import abbreviated

FORMATS = "PNG, JPEG, WebP or GIF"
ALIASES: Mapping[str, str] = {"image/jpg": "image/jpeg"}
DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
SHOWN_HEADER = 200  # characters of a data URL in which its header must end


def is_data_url(url: str) -> bool:
    """True if `url` holds its data itself."""
    return url[:5].lower() == "data:"


def image_of_data_url(url: str, path: str, settings: ImageSettings) -> Image:
    """Image in the data URL `url`, the field at `path`. Raises `InvalidRequest`."""
    header = DATA_URL.match(url[:SHOWN_HEADER])
    if header is None or not header[2].lower().endswith(";base64"):
        raise InvalidRequest(f"Write '{path}' as data:image/png;base64,... with {FORMATS}.", path)
    return image_of_base64(header[1], url[header.end() :], path, settings)


def image_of_base64(media_type: str, data: str, path: str, settings: ImageSettings) -> Image:
    """Image with the bytes `data`, the field at `path`. Raises `InvalidRequest`."""
    if len(data) // 4 * 3 > settings.max_bytes + 2:  # decoding would take the memory that the limit saves
        raise _too_large(path, settings)
    try:
        decoded = binascii.a2b_base64(data.encode("ascii"), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError among them
        raise InvalidRequest(f"Change '{path}': its data is not valid base64.", path) from None
    return image_of(decoded, path, settings, media_type)


def image_of(data: bytes, path: str, settings: ImageSettings, media_type: str | None = None) -> Image:
    """Image with the bytes `data`, which the field at `path` gives.

    Args:
        data: the file.
        path: the field, for errors.
        settings: limits.
        media_type: what the caller says that it is; None: nothing.

    Raises:
        InvalidRequest: it is too large or has too many pixels, is in no known format or in another one than
            `media_type`, or its header is damaged.
    """
    if len(data) > settings.max_bytes:
        raise _too_large(path, settings)
    said = None if media_type is None else ALIASES.get(media_type.lower(), media_type.lower())
    if said is not None and said not in READERS:
        raise InvalidRequest(f"Send '{path}' as {FORMATS}, not '{abbreviated(media_type or '')}'.", path)
    found = format_of(data)
    if found is None:
        raise InvalidRequest(f"Send '{path}' as {FORMATS}: its data is none of them.", path)
    if said is not None and said != found:
        raise InvalidRequest(f"Change '{path}': it says {said}, but its data is {found}.", path)
    size = size_of(data)
    if size is None:
        raise InvalidRequest(f"Change '{path}': the header of its {found} data is damaged.", path)
    width, height = size
    if width * height > settings.max_pixels:
        raise InvalidRequest(
            f"Scale '{path}' down: it has {width} x {height} pixels, more than {settings.max_pixels} in all.",
            path,
        )
    return Image(found, data, hashlib.sha256(data).hexdigest())


def _too_large(path: str, settings: ImageSettings) -> InvalidRequest:
    return InvalidRequest(f"Shrink '{path}': an image may have at most {settings.max_bytes} bytes.", path)
