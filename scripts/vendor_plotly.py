"""Update of `evaluation/report/plotly/`: the bundle "basic" of plotly.js, in the version of the package `plotly`.

Run `python -m scripts.vendor_plotly` after an upgrade of the package; it needs npm and its registry.
"""

import gzip
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from plotly.offline import get_plotlyjs_version

from evaluation.report.page import PLOTLY
from serving.command_line import CommandLine

BUNDLE = "plotly.js-basic-dist-min"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the compressed bundle and its licence."""
    CommandLine(prog="python -m scripts.vendor_plotly", description=__doc__).parse_args(arguments)
    version = get_plotlyjs_version()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", f"{BUNDLE}@{version}"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        packed = next(Path(folder).glob("*.tgz")).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        script, licence = (_read(archive, name) for name in ("plotly-basic.min.js", "LICENSE"))
    PLOTLY.parent.mkdir(exist_ok=True)
    PLOTLY.write_bytes(gzip.compress(script, 9, mtime=0))
    PLOTLY.with_name("LICENSE").write_bytes(licence)
    print(f"{PLOTLY.name}: plotly.js {version}, {PLOTLY.stat().st_size:,} bytes")


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"package/{name}")
    assert file is not None, f"{name} is not in the package"
    return file.read()


if __name__ == "__main__":
    main()
