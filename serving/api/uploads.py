"""Reading of an upload: a form with one file."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from serving.api.exchange import ClientGone, HttpExchange
from serving.errors import BodyTooLarge, InvalidRequest, SlowBody, WrongContentType

FORM = "multipart/form-data"
MAX_FIELDS = 8
MAX_FIELD_BYTES = 4096
OVERHEAD_BYTES = 2**16  # of the form around the file
PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Upload:
    """A form: its file, which is on disk if it is larger than 1 MiB, and its other fields."""

    file: UploadFile
    fields: Mapping[str, str]

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the file in pieces of 1 MiB."""
        while piece := await self.file.read(PIECE_BYTES):
            yield piece


@asynccontextmanager
async def upload(exchange: HttpExchange, limit_bytes: int, limit_s: float) -> AsyncIterator[Upload]:
    """Read a form with one field `file`, which is removed at the end of the block.

    Raises:
        WrongContentType: the body is no form.
        InvalidRequest: the form is wrong, or has no file.
        BodyTooLarge: the file has more than `limit_bytes`.
        SlowBody: it did not arrive within `limit_s`.
        ClientGone: the client closed the connection.
    """
    content_type = exchange.headers.get(b"content-type", b"").decode("latin-1")
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise WrongContentType("content-type", content_type[:80], FORM)
    announced = exchange.headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > limit_bytes + OVERHEAD_BYTES:
        raise BodyTooLarge(limit_bytes)
    parser = MultiPartParser(
        Headers({"content-type": content_type}),
        _stream(exchange, limit_bytes + OVERHEAD_BYTES),
        max_files=1,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        async with asyncio.timeout(limit_s):
            form = await parser.parse()
    except MultiPartException:
        raise InvalidRequest(
            f"Send a form ({FORM}) with one file in the field 'file' and at most {MAX_FIELDS} other fields."
        ) from None
    except TimeoutError:
        raise SlowBody(limit_s) from None
    try:
        fields: dict[str, str] = {}
        file: UploadFile | None = None
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and name == "file":
                file = value
            elif isinstance(value, str) and name != "file" and name not in fields:
                fields[name] = value
            else:
                raise InvalidRequest("Send the file in the field 'file', and every other field once, as text.", "file")
        if file is None:
            raise InvalidRequest("Send the file in the field 'file', with a file name.", "file")
        if (file.size or 0) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        yield Upload(file, fields)
    finally:
        await form.close()


async def _stream(exchange: HttpExchange, limit_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        if (size := size + len(piece)) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        yield piece
        if not message.get("more_body", False):
            return
