"""Build the CPU image from its lock and try it, without a registry or a daemon. Needs root, buildah and debootstrap.

python3.11 -m scripts.images [--storage build/images] [--keep]

Makes a base with debootstrap (once), builds docker/cpu.Dockerfile on it with buildah, starts profile=tiny in the image
as its user with a read-only root and no network, waits until it is ready, asks a question, stops it.
"""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from scripts.images.base import SUITE, make_base
from scripts.images.check import check_image, check_server, check_stop
from scripts.images.commands import check_programs
from scripts.images.container import Container
from scripts.images.errors import CheckFailed
from scripts.images.indexes import indexes
from scripts.images.storage import Storage
from serving.command_line import CommandLine

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "cpu.Dockerfile"
DISK_GIB = 12  # both stages and the container, each a copy
BASE, IMAGE = "localhost/moa-base", "localhost/moa-cpu"


def check(folder: Path, *, keep: bool) -> None:
    """Build the image in `folder` and try it; `keep` leaves the images there, in place of the base's archive only.

    Raises:
        CheckFailed: the check is impossible, or the image has a fault.
    """
    check_programs()
    folder.mkdir(parents=True, exist_ok=True)
    free_gib = shutil.disk_usage(folder).free / 2**30
    if free_gib < DISK_GIB:
        raise CheckFailed(
            f"Only {free_gib:.0f} GiB are free on the disk of {folder}, but the build needs {DISK_GIB} GiB; free"
            " some, or set --storage to a folder on another disk."
        )
    archive = folder / f"{SUITE}.tar"
    make_base(archive, folder / "debootstrap.log")
    storage = Storage(folder / "storage")
    storage.remove()  # of a check that was interrupted
    try:
        storage.import_base(archive, BASE)
        found = indexes()
        storage.build_image(
            DOCKERFILE, IMAGE, context=ROOT, volumes=found.volumes,
            arguments={"BASE": BASE, "REVISION": revision(), **found.arguments},
        )  # fmt: skip
        image, root = storage.inspect(IMAGE), storage.unpack(IMAGE)
        check_image(image, root, found.places)
        log = folder / "server.log"
        print(f"Starting {' '.join(image.command)} with a read-only root and no network ...", flush=True)
        with Container(image, root, log) as container:
            try:
                check_server(container, image)
                check_stop(container)
            except CheckFailed:
                print("\n".join(log.read_text(errors="replace").splitlines()[-20:]), file=sys.stderr, flush=True)
                raise
    finally:
        if not keep:
            storage.remove()


def revision() -> str:
    """Commit of the working tree; empty outside of git."""
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    """Run the check as the command line says; exit with status 1 and one sentence if it fails."""
    parser = CommandLine(prog="python3.11 -m scripts.images", description=__doc__)
    parser.add_argument(
        "--storage", type=Path, default=ROOT / "build" / "images", help="folder for the build; default: build/images"
    )
    parser.add_argument("--keep", action="store_true", help="keep the images in the folder")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the `finally` blocks run
    began = time.monotonic()
    try:
        check(arguments.storage.absolute(), keep=arguments.keep)
    except CheckFailed as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"The image works. The check took {(time.monotonic() - began) / 60:.0f} minutes.", flush=True)


if __name__ == "__main__":
    main()
