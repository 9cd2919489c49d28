"""Words before a command in a container."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from scripts.images import container
from scripts.images.container import Container, as_user
from tests.support.container_images import CONFIG, image
from tests.support.waiting import until


@pytest.mark.parametrize(("user", "ids"), [("1000", ("1000", "1000")), ("1000:100", ("1000", "100"))])
def test_a_command_runs_as_the_images_user_with_its_environment_only(user: str, ids: tuple[str, str]) -> None:
    words = as_user(image(User=user))
    assert {f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups", "--no-new-privs"} <= set(words)
    assert words[words.index("env") :] == ["env", "-i", "-C", "/opt/moa", *CONFIG["Env"]]


def test_nothing_runs_after_the_block_though_process_1_changed_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the user clears the signal that `unshare --kill-child` relies on."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode:
        pytest.skip("needs root and namespaces")
    script = tmp_path / "container.sh"
    script.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(container, "SCRIPT", script)
    started = image(WorkingDir="/", Entrypoint=["sleep", "600"], Cmd=[])
    with Container(started, Path("/"), tmp_path / "log") as running:
        first = running._first
        assert Path(f"/proc/{first}").exists()
    asyncio.run(until(lambda: not Path(f"/proc/{first}").exists()))  # the kernel ends it after the block has killed it
