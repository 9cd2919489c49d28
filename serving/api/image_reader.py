"""Images of a request, checked and, if the operator allows it, fetched before its messages are built."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from serving.api.image_data import image_of, image_of_base64, image_of_data_url, is_data_url
from serving.api.image_fetcher import ImageFetcher
from serving.api.image_settings import ImageSettings
from serving.conversation import Image
from serving.errors import InvalidRequest

Images = Mapping[str, Image]  # by the path of the part that has it
NO_IMAGES: Images = {}


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image as a request gives it: by a URL, which may hold the data itself, or as base64."""

    part: str  # path of the part: "messages[0].content[1]"
    path: str  # of the URL or of the data in it, for errors
    url: str | None = None
    data: str = ""  # base64, if there is no URL
    media_type: str = ""
    detail: str | None = None


async def read_images(
    sources: Iterable[ImageSource], settings: ImageSettings, fetcher: ImageFetcher, add_bytes: Callable[[int], None]
) -> Images:
    """Images of `sources` by the paths of their parts. Each URL is fetched once.

    Args:
        sources: of one request.
        settings: limits.
        fetcher: gets those with http or https URLs.
        add_bytes: called with the size of each piece that is fetched; may raise.

    Raises:
        InvalidRequest: there are too many, or one cannot be fetched or used; the path says which.
    """
    found: dict[str, Image] = {}
    linked: list[ImageSource] = []
    for number, source in enumerate(sources):
        if number >= settings.max_images:
            raise InvalidRequest(
                f"Remove '{source.part}': a request may have at most {settings.max_images} images.", source.part
            )
        if source.url is None:
            image = image_of_base64(source.media_type, source.data, source.path, settings)
        elif is_data_url(source.url):
            image = image_of_data_url(source.url, source.path, settings)
        else:
            linked.append(source)
            continue
        found[source.part] = replace(image, detail=source.detail)
    if linked:
        first = {str(source.url): source for source in reversed(linked)}
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    url: group.create_task(fetcher.fetch(url, source.path, add_bytes)) for url, source in first.items()
                }
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        for source in linked:
            image = image_of(tasks[str(source.url)].result(), source.path, settings)
            found[source.part] = replace(image, detail=source.detail)
    return found
