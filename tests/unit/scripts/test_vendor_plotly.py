import gzip
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs_version

from scripts import vendor_plotly


def test_the_bundle_of_the_packages_version_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def npm(command: list[str], cwd: str, **options: object) -> None:
        asked.append(command)
        with tarfile.open(Path(cwd) / "bundle.tgz", "w:gz") as archive:
            for name, content in (("plotly-basic.min.js", b"the script"), ("LICENSE", b"MIT")):
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    monkeypatch.setattr(subprocess, "run", npm)
    monkeypatch.setattr(vendor_plotly, "PLOTLY", tmp_path / "plotly" / "plotly.js.gz")
    vendor_plotly.main([])
    version = get_plotlyjs_version()
    assert asked == [["npm", "pack", "--silent", f"plotly.js-basic-dist-min@{version}"]]
    assert gzip.decompress((tmp_path / "plotly" / "plotly.js.gz").read_bytes()) == b"the script"
    assert (tmp_path / "plotly" / "LICENSE").read_text() == "MIT"
    assert f"plotly.js {version}" in capsys.readouterr().out
