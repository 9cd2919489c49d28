import json
from pathlib import Path

import pytest

from deployments.config import load_profile
from loadtest.bench.contenders import plain_environment, served_ids, vllm_command


def test_vllm_gets_every_engine_option_of_the_profile() -> None:
    model = load_profile("tiny").models[0]
    command = vllm_command(model, 1234)
    for name, value in model.engine_kwargs.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            assert (flag if value else flag.replace("--", "--no-")) in command
        else:
            given = command[command.index(flag) + 1]
            assert given == value or json.loads(given) == value
    assert Path(command[command.index("--model") + 1]).is_dir()


def test_a_contender_does_not_inherit_this_server_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "1")  # as importing `deployments` sets it
    monkeypatch.setenv("RAY_SERVE_THROUGHPUT_OPTIMIZED", "0")  # as an operator may
    found = plain_environment({"OMP_NUM_THREADS": "1"})
    assert "RAY_SERVE_ENABLE_HA_PROXY" not in found
    assert found["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "0"
    assert found["OMP_NUM_THREADS"] == "1"


def test_recipes_are_found_by_id_however_the_profile_writes_them() -> None:
    ids = served_ids(load_profile("tiny"))
    assert {"tiny-qwen", "moa-lite", "vote"} <= set(ids)
