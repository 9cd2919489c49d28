"""Words before a command in a container."""

import pytest

from scripts.images.container import as_user
from tests.support.container_images import CONFIG, image


@pytest.mark.parametrize(("user", "ids"), [("1000", ("1000", "1000")), ("1000:100", ("1000", "100"))])
def test_a_command_runs_as_the_images_user_with_its_environment_only(user: str, ids: tuple[str, str]) -> None:
    words = as_user(image(User=user))
    assert {f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups", "--no-new-privs"} <= set(words)
    assert words[words.index("env") :] == ["env", "-i", "-C", "/opt/moa", *CONFIG["Env"]]
