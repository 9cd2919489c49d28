"""Removal of folders that a build has used."""

import re
import shutil
from pathlib import Path

from scripts.images.errors import CheckFailed

MOUNTS = Path("/proc/self/mountinfo")


def remove_folder(folder: Path) -> None:
    """Delete a folder, if it exists.

    Raises:
        CheckFailed: something is mounted in it, such as a package index of this machine, which would be deleted, too.
    """
    if mounted := mounts_in(folder):
        raise CheckFailed(f"{mounted[0]} is still mounted; unmount it with: umount {mounted[0]}")
    if folder.exists():
        shutil.rmtree(folder)


def mounts_in(folder: Path) -> list[Path]:
    """Mount points in a folder."""
    points = [line.split()[4] for line in MOUNTS.read_text().splitlines()]
    paths = [Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)) for point in points]
    return [path for path in paths if path.is_relative_to(folder.resolve())]
