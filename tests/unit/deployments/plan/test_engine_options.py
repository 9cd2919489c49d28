"""Option names are those of vLLM itself, and an unknown one is refused before anything is started."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from deployments.config import ModelSpec
from deployments.plan.engine_options import check_engine_options, engine_option_names
from serving.errors import ConfigError

# In a process of its own: vLLM warns and sets the environment on import.
ASK = """
from dataclasses import fields
from vllm.engine.arg_utils import AsyncEngineArgs
print("names:", *sorted(field.name for field in fields(AsyncEngineArgs)))
"""


def test_the_names_are_the_dataclass_fields_of_the_installed_vllm() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=240)
    [line] = [line for line in asked.stdout.splitlines() if line.startswith("names:")] or [asked.stderr]
    assert sorted(engine_option_names()) == line.split()[1:], line


def test_the_names_are_read_without_importing_vllm() -> None:
    code = (
        "import sys; from deployments.plan.engine_options import engine_option_names as names;"
        "print('max_model_len' in names(), 'vllm' in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert asked.stdout.split() == ["True", "False"], asked.stderr


@pytest.fixture
def _no_vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    engine_option_names.cache_clear()
    yield
    engine_option_names.cache_clear()


def model(**engine_kwargs: object) -> ModelSpec:
    return ModelSpec(id="m", source="org/model", engine_kwargs={"max_model_len": 8, **engine_kwargs})


@pytest.mark.parametrize(
    ("name", "advice"),
    [("max_num_seq", "; write max_num_seqs, or remove it."), ("wings", "; remove it.")],
)
def test_an_unknown_name_is_refused_with_the_most_similar_one(name: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_engine_options(model(**{name: 1}))
    assert str(caught.value) == f"vLLM has no option '{name}' (engine_kwargs of 'm'){advice}"


def test_an_option_of_vllm_is_accepted() -> None:
    check_engine_options(model(structured_outputs_config={"backend": "xgrammar"}, enable_log_requests=True))


@pytest.mark.usefixtures("_no_vllm")
def test_without_vllm_options_are_not_checked() -> None:
    check_engine_options(model(wings=1))
