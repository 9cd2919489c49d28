"""Contents of files, in a folder or in a bucket of S3, by fsspec."""

import asyncio
import io
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import IO, Any

import fsspec

from serving.errors import ConfigError
from serving.store.errors import StoreUnavailable
from serving.store.private_files import open_new

PIECE_BYTES = 2**20
SCHEMES = ("file://", "s3://")


class BatchContents:
    """Contents by the ids of their files. A content counts only once its file's row says that it is stored."""

    def __init__(self, url: str) -> None:
        """`url`: `file:///FOLDER` or `s3://BUCKET/PREFIX`. S3 is asked with the usual variables or roles of AWS.

        Raises:
            ConfigError: the address has another form, or the driver of S3 is not installed.
        """
        if not url.startswith(SCHEMES) or len(url.partition("://")[2].strip("/")) == 0:
            raise ConfigError("Set batches.files to file:///FOLDER or s3://BUCKET/PREFIX.")
        try:
            # Listings are not cached: other processes write, too.
            self._files, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError:
            raise ConfigError("Install the extra 's3' of this package to keep batches.files in S3.") from None
        self._local = url.startswith("file://")

    def path(self, file_id: str) -> str:
        """Place of a content."""
        return f"{self._root.rstrip('/')}/{file_id}"

    async def opened(self, file_id: str) -> IO[bytes]:
        """A content, open for reading. Raises `FileNotFoundError`, and `StoreUnavailable` for other failures."""
        raw = await self.call(self._files.open, self.path(file_id), "rb")
        return io.BufferedReader(raw, PIECE_BYTES)  # S3's own file reads lines without a limit, and slowly

    async def write(self, file_id: str, pieces: AsyncIterable[bytes]) -> int:
        """Write a content in the place of an earlier one, and return its size in bytes.

        Raises:
            StoreUnavailable: it cannot be written.
            Exception: `pieces` raised. Nothing is left behind.
        """
        size = 0
        target = await self._write(self._open_for_writing, file_id)
        try:
            try:
                async for piece in pieces:
                    size += len(piece)
                    await self._write(target.write, piece)
            finally:
                await self._write(target.close)
        except BaseException:
            await self.remove(file_id)
            raise
        return size

    async def read(self, file_id: str) -> AsyncIterator[bytes]:
        """Yield a content in pieces of 1 MiB. Raises `FileNotFoundError`, and `StoreUnavailable` for other failures."""
        source = await self.opened(file_id)
        try:
            while piece := await self.call(source.read, PIECE_BYTES):
                yield piece
        finally:
            await self.call(source.close)

    async def remove(self, file_id: str) -> None:
        """Remove a content, if there is one. Raises `StoreUnavailable`."""
        try:
            await self.call(self._files.rm_file, self.path(file_id))
        except FileNotFoundError:
            return

    def _open_for_writing(self, file_id: str) -> Any:
        if self._local:
            return open_new(Path(self.path(file_id)))
        return self._files.open(self.path(file_id), "wb")

    async def _write(self, function: Any, *arguments: Any) -> Any:
        try:
            return await self.call(function, *arguments)
        except FileNotFoundError as error:  # the bucket
            raise StoreUnavailable("FileNotFoundError of the files of batches") from error

    async def call(self, function: Any, *arguments: Any) -> Any:
        """Result of a function that reads a content, in a thread.

        Raises `FileNotFoundError`, and `StoreUnavailable` for other failures.
        """
        try:
            return await asyncio.to_thread(function, *arguments)
        except FileNotFoundError:
            raise
        except Exception as error:  # drivers of S3 have many errors of their own
            raise StoreUnavailable(f"{type(error).__name__} of the files of batches") from error
