"""Package indexes of this machine's pip, for the build of an image."""

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scripts.images.errors import CheckFailed

# Build argument of docker/cpu.Dockerfile for each of pip's settings.
ARGUMENTS = {
    "index-url": "PIP_INDEX_URL", "extra-index-url": "PIP_EXTRA_INDEX_URL",
    "find-links": "PIP_FIND_LINKS", "trusted-host": "PIP_TRUSTED_HOST",
}  # fmt: skip
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")  # in the image


@dataclass(frozen=True)
class Indexes:
    """Build arguments and mounts with which `buildah build` finds the packages."""

    arguments: dict[str, str]  # build arguments by their names
    volumes: tuple[tuple[Path, Path], ...]  # paths of this machine, each with its path in the build, read-only

    @property
    def places(self) -> tuple[str, ...]:
        """URLs, folders and hosts, each of its own."""
        return tuple(place for value in self.arguments.values() for place in value.split())


def indexes() -> Indexes:
    """Indexes as this Python's pip is configured, by files or by variables.

    Raises:
        CheckFailed: an index has credentials, which would be visible in the list of processes.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True)
    return parse_indexes(listed.stdout)


def parse_indexes(listed: str) -> Indexes:
    """Parse the lines `WHERE.KEY='VALUE'` of `pip config list`; variables override files.

    Local indexes and folders of files become volumes. If nothing is configured, the Dockerfile's defaults apply.

    Raises:
        CheckFailed: an index has credentials.
    """
    found: dict[str, str] = {}
    for where in ("global", ":env:"):
        for key, value in re.findall(rf"^{where}\.([a-z-]+)=(.+)$", listed, re.MULTILINE):
            found[key] = " ".join(str(ast.literal_eval(value)).split())
    arguments = {argument: found[key] for key, argument in ARGUMENTS.items() if found.get(key)}
    places = Indexes(arguments, ()).places
    if any(urlsplit(place).username for place in places):
        raise CheckFailed(
            "A package index of pip has credentials in its URL, which the list of processes would show; set"
            " PIP_INDEX_URL or PIP_EXTRA_INDEX_URL to one without for this check."
        )
    volumes = [(path, path) for path in map(_local_path, places) if path is not None]
    # An index file:///srv/pypi/simple usually links to files beside it.
    volumes = [(path.parent, path.parent) if path.name == "simple" else (path, path) for path, _ in volumes]
    if found.get("cert"):
        volumes.append((Path(found["cert"]), CERTIFICATES))
    return Indexes(arguments, tuple(dict.fromkeys(volumes)))


def _local_path(place: str) -> Path | None:
    if place.startswith("file://"):
        return Path(unquote(urlsplit(place).path))
    return Path(place) if place.startswith("/") else None
