"""Contents of files on disk and in S3, whose server is moto's."""

import os
import stat
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from serving.errors import ConfigError
from serving.ports import free_port
from serving.store.batch_contents import PIECE_BYTES, BatchContents
from serving.store.errors import StoreUnavailable


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a bucket."""
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
    ):
        monkeypatch.setenv(name, value)
    place = {"LocationConstraint": "eu-central-1"}
    bucket = f"files-{uuid.uuid4().hex}"  # moto keeps those of earlier servers
    boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    S3FileSystem.clear_instance_cache()  # they have read the address of an earlier server
    yield f"s3://{bucket}/moa"
    server.stop()


@pytest.fixture(params=["disk", "s3"])
def contents(request: pytest.FixtureRequest, tmp_path: Path) -> BatchContents:
    return BatchContents(tmp_path.as_uri() if request.param == "disk" else request.getfixturevalue("s3"))


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def read(contents: BatchContents, file_id: str) -> bytes:
    return b"".join([piece async for piece in contents.read(file_id)])


async def test_what_is_written_is_read_until_it_is_removed(contents: BatchContents) -> None:
    large = b"0123456789" * (PIECE_BYTES // 4)
    assert await contents.write("x", pieces(b"first")) == 5
    assert await contents.write("x", pieces(large, b"end")) == len(large) + 3
    assert await read(contents, "x") == large + b"end"
    with await contents.opened("x") as source:
        assert source.readline(10) == b"0123456789"
    await contents.remove("x")
    await contents.remove("x")
    with pytest.raises(FileNotFoundError):
        await read(contents, "x")


async def test_an_empty_content(contents: BatchContents) -> None:
    assert await contents.write("x", pieces()) == 0
    assert await read(contents, "x") == b""


async def test_what_is_not_written_to_its_end_is_removed(contents: BatchContents) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await contents.write("x", cut())
    with pytest.raises(FileNotFoundError):
        await read(contents, "x")


async def test_contents_on_disk_are_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "files"
    contents = BatchContents(folder.as_uri())
    before = os.umask(0)
    try:
        await contents.write("x", pieces(b"1"))
        (folder / "y").write_bytes(b"from an earlier version")
        await contents.write("y", pieces(b"2"))
    finally:
        os.umask(before)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (folder.parent, folder, folder / "x", folder / "y")}
    assert modes == {"new": 0o700, "files": 0o700, "x": 0o600, "y": 0o600}


async def test_a_bucket_that_does_not_exist_is_unavailable(s3: str) -> None:
    with pytest.raises(StoreUnavailable):
        await BatchContents("s3://other/moa").write("x", pieces(b"1"))


@pytest.mark.parametrize("url", ["", "/folder", "file://", "s3://", "gs://bucket", "http://host/x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"file:///FOLDER or s3://BUCKET/PREFIX"):
        BatchContents(url)
