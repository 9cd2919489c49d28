"""Default environment variables, which an operator's own take precedence over."""

import os
from pathlib import Path

from deployments.cluster.environment import DEFAULTS, set_default_environment


def test_only_variables_that_are_not_set_get_their_default() -> None:
    environment = {"RAY_worker_niceness": "7", "OTHER": "x"}
    set_default_environment(environment)
    assert environment == {**DEFAULTS, "RAY_worker_niceness": "7", "OTHER": "x"}


def test_the_proxys_program_is_there_and_can_be_run() -> None:
    program = Path(DEFAULTS["RAY_SERVE_HAPROXY_BINARY_PATH"])
    assert program.is_file()
    assert os.access(program, os.X_OK)
