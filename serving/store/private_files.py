"""Files and folders that only their owner can read: they can have texts of callers."""

import os
from pathlib import Path
from typing import IO

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents for their owner alone; those that exist stay as they are. Raises `OSError`.

    `Path.mkdir` gives its mode to the last folder only.
    """
    for one in [*reversed(folder.parents), folder]:
        if not one.exists():
            one.mkdir(mode=FOLDER_MODE, exist_ok=True)


def make_file(file: Path) -> None:
    """Make a file and its folders for their owner alone, if there are none yet. Raises `OSError`."""
    make_folder(file.parent)
    file.touch(mode=FILE_MODE)


def open_new(file: Path) -> IO[bytes]:
    """Open a file for writing, in the place of an earlier one, for its owner alone. Raises `OSError`."""
    make_folder(file.parent)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)
    return os.fdopen(descriptor, "wb")
