"""Images of requests, checked by their bytes: every format, and one sentence for each that cannot be used."""

import base64
import struct
import zlib

import pytest

from serving.api.image_data import image_of, image_of_base64, image_of_data_url
from serving.api.image_headers import format_of, size_of
from serving.api.image_settings import ImageSettings
from serving.errors import InvalidRequest
from tests.support.images import PNG, PNG_URL, file_of, url_of

WANTED = ImageSettings()
FILES = {
    "png": (file_of("PNG", (31, 7)), "image/png"),
    "interlaced gif": (file_of("GIF", (31, 7)), "image/gif"),
    "jpeg": (file_of("JPEG", (31, 7)), "image/jpeg"),
    "progressive jpeg": (file_of("JPEG", (31, 7), progressive=True), "image/jpeg"),
    "jpeg with a comment and a profile": (
        file_of("JPEG", (31, 7), comment=b"\xff\xd8\xff" * 99, icc_profile=b"x" * 70_000),
        "image/jpeg",
    ),
    "lossy webp": (file_of("WEBP", (31, 7)), "image/webp"),
    "lossless webp": (file_of("WEBP", (31, 7), lossless=True), "image/webp"),
    "extended webp": (file_of("WEBP", (31, 7), exif=b"Exif\x00\x00" + b"x" * 9), "image/webp"),
}


@pytest.mark.parametrize("name", FILES)
def test_format_and_size_are_read_from_the_header(name: str) -> None:
    data, kind = FILES[name]
    assert (format_of(data), size_of(data)) == (kind, (31, 7))
    image = image_of_data_url(url_of(data, kind), "p", WANTED)
    assert (image.media_type, image.data, image.offset) == (kind, data, 0)
    assert len(image.digest) == 64


@pytest.mark.parametrize("name", FILES)
def test_a_header_that_is_cut_off_has_no_size(name: str) -> None:
    data, _ = FILES[name]
    for length in range(24):
        assert size_of(data[:length]) in (None, (31, 7))
    assert size_of(data[:9]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xff\xff\xff\xda",  # fill bytes, then no frame before the scan
        b"\xff\xd8\xff\xd0\xff\x01\xff\xd9",  # markers without a length, then the end
        b"\xff\xd8\xff\xe0\x00\x01rest",  # a length that is too small
        b"\xff\xd8\xff\xe0\x00\x04xx\x00\x00",  # no marker behind a segment
        b"RIFF\x00\x00\x00\x00WEBPVP9 " + bytes(20),
        b"RIFF\x00\x00\x00\x00WEBPVP8L" + bytes(20),
        b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(20),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIDAT" + bytes(20),
        b"GIF89a\x00\x00\x05\x00",  # no width
    ],
)
def test_a_damaged_header_is_refused(data: bytes) -> None:
    assert size_of(data) is None
    with pytest.raises(InvalidRequest, match=r"Change 'p': the header of its image/\w+ data is damaged\."):
        image_of(data, "p", WANTED)


def huge_png() -> bytes:
    """Header of an image that would take 40 GB in memory."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("data:image/png,abc", "Write 'p' as data:image/png;base64,... with PNG, JPEG, WebP or GIF."),
        ("data:image/png;base64", "Write 'p' as data:image/png;base64,... with PNG, JPEG, WebP or GIF."),
        ("data:image/png;base64,äöü", "Change 'p': its data is not valid base64."),
        ("data:image/png;base64,abc", "Change 'p': its data is not valid base64."),
        ("data:image/png;base64,ab cd", "Change 'p': its data is not valid base64."),
        (url_of(PNG, "image/bmp"), "Send 'p' as PNG, JPEG, WebP or GIF, not 'image/bmp'."),
        (url_of(PNG, "video/mp4"), "Send 'p' as PNG, JPEG, WebP or GIF, not 'video/mp4'."),
        (url_of(b"", "image/png"), "Send 'p' as PNG, JPEG, WebP or GIF: its data is none of them."),
        (url_of(b"<svg/>", "image/png"), "Send 'p' as PNG, JPEG, WebP or GIF: its data is none of them."),
        (url_of(PNG, "image/jpeg"), "Change 'p': it says image/jpeg, but its data is image/png."),
        (url_of(huge_png()), "Scale 'p' down: it has 100000 x 100000 pixels, more than 36000000 in all."),
        (url_of(PNG + bytes(11 * 2**20)), "Shrink 'p': an image may have at most 10485760 bytes."),
    ],
)
def test_what_cannot_be_used_is_named_in_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        image_of_data_url(url, "p", WANTED)
    assert (str(refused.value), refused.value.param) == (sentence, "p")


def test_limits_are_those_of_the_settings() -> None:
    exact = ImageSettings(max_bytes=1024, max_pixels=24)
    data = PNG + bytes(1024 - len(PNG))
    assert image_of_data_url(url_of(data), "p", exact).data == data
    for given in (data + b"x", data + bytes(9)):
        with pytest.raises(InvalidRequest, match="Shrink"):
            image_of_base64("image/png", base64.b64encode(given).decode(), "p", exact)
    with pytest.raises(InvalidRequest, match="Scale 'p' down: it has 6 x 4 pixels, more than 23 in all"):
        image_of(PNG, "p", ImageSettings(max_pixels=23))


def test_spellings_that_clients_use_are_accepted() -> None:
    jpeg, _ = FILES["jpeg"]
    assert image_of_data_url(url_of(jpeg, "image/jpg"), "p", WANTED).media_type == "image/jpeg"
    assert image_of_data_url(PNG_URL.replace("data:image/png", "DATA:IMAGE/PNG"), "p", WANTED).data == PNG
    assert image_of_data_url(PNG_URL.replace(";base64", ";name=a.png;base64"), "p", WANTED).data == PNG


@pytest.mark.parametrize("host", ["*.example.org", "https://a.org", "A.org", "a.org/path", ""])
def test_a_host_is_a_host(host: str) -> None:
    with pytest.raises(ValueError, match="in lower case, without a pattern"):
        ImageSettings(allowed_hosts=(host,))


def test_hosts_may_have_ports() -> None:
    assert ImageSettings(allowed_hosts=("a.example.org", "b:8443")).allowed_hosts == ("a.example.org", "b:8443")
