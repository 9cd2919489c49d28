"""The copy of HAProxy with other pages: made once, whole, and only where everything fits."""

import os
import subprocess
from pathlib import Path

import pytest

from deployments.cluster.haproxy.binary import installed, patched, with_json_pages
from deployments.cluster.haproxy.pages import COMPILED


def page(status: int, size: int = 260) -> bytes:
    return (b"HTTP/1.1 %d Words\r\ncontent-length: 9\r\n\r\n" % status).ljust(60, b"h") + b"<html>".ljust(
        size - 60, b"x"
    )


def program(*, without: int = 0, twice: int = 0, short: int = 0) -> bytes:
    pages = [page(status, 100 if status == short else 260) for status in COMPILED if status != without]
    return b"ELF\0" + b"\0".join([*pages, *([page(twice)] if twice else [])]) + b"\0HTTP/1.1 400 \0end"


def test_pages_are_replaced_in_their_places() -> None:
    before = program()
    after = patched(before)
    assert len(after) == len(before)
    assert b"<html>" not in after
    assert after.count(b'{"error":') == len(COMPILED)
    assert [place for place in range(len(before)) if before[place : place + 1] == b"\0"] == [
        place for place in range(len(after)) if after[place : place + 1] == b"\0"
    ]
    assert after.endswith(b"\0HTTP/1.1 400 \0end")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (program(without=408), "its page for 408 is there 0 times"),
        (program(twice=400), "its page for 400 is there 2 times"),
        (program(short=500), "its page for 500 has only 100 bytes"),
    ],
)
def test_a_program_that_does_not_fit_is_used_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    original = tmp_path / "haproxy"
    original.write_bytes(content)
    assert with_json_pages(str(original), str(tmp_path)) == str(original)
    assert capsys.readouterr().err.endswith(f"{original}: {reason}.\n")
    assert list(tmp_path.iterdir()) == [original]


def test_the_copy_is_made_once_beside_its_libraries(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    original = tmp_path / "haproxy"
    original.write_bytes(program())
    folder = tmp_path / "node"
    folder.mkdir()
    copy = Path(with_json_pages(str(original), str(folder)))
    assert copy.read_bytes() == patched(program())
    assert (copy.parent / "lib").resolve() == tmp_path / "lib"
    made = copy.stat().st_ino
    assert with_json_pages(str(original), str(folder)) == str(copy)
    assert copy.stat().st_ino == made
    copy.write_bytes(b"spoilt")
    assert Path(with_json_pages(str(original), str(folder))).read_bytes() == patched(program())
    assert [path.name for path in folder.iterdir()] == [copy.parent.name]


def test_where_nothing_can_be_run_the_original_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tmp_path / "haproxy"
    original.write_bytes(program())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert with_json_pages(str(original), str(tmp_path)) == str(original)
    assert f"no program can be run in {tmp_path}" in capsys.readouterr().err
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError("full")))
    missing = tmp_path / "other"
    missing.mkdir()
    assert with_json_pages(str(original), str(missing)) == str(original)
    assert list(missing.iterdir()) == []


def test_the_installed_haproxy_can_be_patched_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", "/nowhere")
    copy = with_json_pages(installed(), str(tmp_path))
    assert copy.startswith(str(tmp_path))
    done = subprocess.run([copy, "-v"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("HAProxy version")
