"""Settings of images in requests."""

import re

from pydantic import Field, field_validator

from serving.config import Frozen

HOST = re.compile(r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]+(?::[0-9]{1,5})?")


class ImageSettings(Frozen):
    """Limits of images in requests, and the hosts from which they are fetched."""

    max_images: int = Field(default=16, ge=0, description="Maximum number of images in a request; 0: none.")
    max_bytes: int = Field(
        default=10 * 2**20,
        ge=1024,
        description="Maximum size of one image in bytes, decoded. An image in the request itself is also limited by"
        " `max_body_bytes`, of which base64 takes four thirds of its size.",
    )
    max_pixels: int = Field(
        default=36_000_000,
        ge=1,
        description="Maximum width times height of an image. A replica that decodes it holds four bytes per pixel.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts, such as `images.example.org` or `images.example.org:8443`, from which the API fetches"
        " images by their http or https URLs. Hosts whose addresses are private are refused all the same.",
    )
    fetch_timeout_s: float = Field(default=10.0, gt=0, description="Timeout for fetching one image by its URL.")

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts_are_hosts(cls, given: tuple[str, ...]) -> object:
        for host in given:
            if not HOST.fullmatch(host):
                raise ValueError(f"write the host '{host}' as HOST or HOST:PORT, in lower case, without a pattern")
        return given
