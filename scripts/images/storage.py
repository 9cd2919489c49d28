"""Images and containers in a folder, by buildah."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.images.commands import output, run
from scripts.images.errors import CheckFailed
from scripts.images.folders import remove_folder

POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'  # local images only: nothing is pulled
BASE_DOCKERFILE = 'FROM scratch\nADD {archive} /\nCMD ["bash"]\n'


@dataclass(frozen=True)
class Storage:
    """A folder with images, none of which is visible to other programs."""

    folder: Path

    @property
    def buildah(self) -> list[str | Path]:
        """Command that works on this storage. The driver `vfs` copies files, which works in a container, too."""
        return [
            "buildah", "--root", self.folder / "images", "--runroot", self.folder / "run", "--storage-driver", "vfs",
        ]  # fmt: skip

    @property
    def build(self) -> list[str | Path]:
        """Command that builds in a chroot, with the machine's network, and keeps Docker's field HEALTHCHECK."""
        policy = self.folder / "policy.json"
        policy.parent.mkdir(parents=True, exist_ok=True)
        policy.write_text(POLICY)
        return [
            *self.buildah, "build", "--signature-policy", policy, "--isolation", "chroot", "--format", "docker",
            "--layers=false", "--pull-never",
        ]  # fmt: skip

    def import_base(self, archive: Path, tag: str) -> None:
        """Make an image of a tar file with a root file system."""
        dockerfile = self.folder / "base.Dockerfile"
        command = [*self.build, "-f", dockerfile, "-t", tag, archive.parent]
        dockerfile.write_text(BASE_DOCKERFILE.format(archive=archive.name))
        run(f"Making the image {tag} of it", command, self.folder / "base.log")

    def build_image(
        self,
        dockerfile: Path,
        tag: str,
        *,
        context: Path,
        arguments: Mapping[str, str],
        volumes: Sequence[tuple[Path, Path]] = (),
    ) -> None:
        """Build an image. Volumes are read-only: paths of this machine with their paths in the build.

        Raises:
            CheckFailed: a step of the Dockerfile failed.
        """
        ignore = Path(f"{dockerfile}.dockerignore")
        command = [
            *self.build, "-f", dockerfile, "--ignorefile", ignore, "-t", tag,
            *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
            *(word for here, there in volumes for word in ("-v", f"{here}:{there}:ro")),
            context,
        ]  # fmt: skip
        run(f"Building {tag} from {dockerfile.name}", command, self.folder / "build.log")

    def inspect(self, tag: str) -> "Image":
        """Description of an image."""
        return Image(json.loads(output([*self.buildah, "inspect", "--type", "image", tag])))

    def unpack(self, tag: str) -> Path:
        """Folder with the root file system of an image, of a container's own."""
        container = output(
            [*self.buildah, "from", "--signature-policy", self.folder / "policy.json", "--pull-never", tag]
        )
        return Path(output([*self.buildah, "mount", container.strip()]).strip())

    def remove(self) -> None:
        """Delete all images and containers."""
        if self.folder.exists():
            output([*self.buildah, "rm", "--all"])
            remove_folder(self.folder)


@dataclass(frozen=True)
class Image:
    """Description of an image by its configuration and history."""

    description: Mapping[str, Any]  # of `buildah inspect`

    @property
    def config(self) -> Mapping[str, Any]:
        """The fields of Docker's configuration."""
        config: Mapping[str, Any] = self.description["Docker"]["config"]
        return config

    @property
    def environment(self) -> dict[str, str]:
        """Variables that its processes have."""
        return dict(pair.split("=", 1) for pair in self.config["Env"])

    @property
    def command(self) -> list[str]:
        """Words of the entry point and of its default arguments."""
        return [*self.config["Entrypoint"], *self.config["Cmd"]]

    @property
    def health(self) -> list[str]:
        """Words of the health check. Raises `CheckFailed` if there is none."""
        kind, *words = (self.config.get("Healthcheck") or {}).get("Test") or ["NONE"]
        if kind != "CMD":
            raise CheckFailed("The image has no HEALTHCHECK of the form CMD [...].")
        return words

    @property
    def everything(self) -> str:
        """All text that travels with the image: configuration and history."""
        return json.dumps(self.description)
