"""Missing memory, disk or compilers are reported before anything is started."""

from pathlib import Path

import pytest

from deployments.cluster import preflight
from deployments.config import load_profile
from serving.errors import ConfigError


@pytest.mark.parametrize(
    ("memory_gib", "free_gib", "sentence"),
    [
        (2.0, 50, r"needs 7 GiB of memory, but only 2\.0 GiB are"),
        (16.0, 0.1, r"Only 0\.1 GiB of disk are free in /tmp, but a session needs 1 GiB"),
    ],
)
def test_a_small_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, memory_gib: float, free_gib: float, sentence: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free_gib * 2**30}))
    with pytest.raises(ConfigError, match=sentence):
        preflight.check_machine(load_profile("tiny"), memory_gib=memory_gib, disk=Path("/tmp"))


def test_a_compiler_is_asked_for_where_something_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    preflight.check_machine(load_profile("tiny"), memory_gib=None, disk=tmp_path)
    with pytest.raises(ConfigError, match="gcc is not installed; install it"):
        preflight.check_machine(load_profile("large"), memory_gib=None, disk=tmp_path)


def test_available_memory_is_the_lesser_of_kernel_and_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in {
        "MEMINFO": "MemAvailable: 8388608 kB\n",
        "CGROUP_LIMIT": "4294967296",
        "CGROUP_USE": "1073741824",
    }.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(preflight, name, tmp_path / name)
    assert preflight.available_memory_gib() == 3.0
    (tmp_path / "CGROUP_LIMIT").write_text("max\n")
    assert preflight.available_memory_gib() == 8.0
