"""Option names are those of vLLM itself, and an unknown one is refused before anything is started."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from deployments.model_spec import ModelSpec
from deployments.plan.engine_options import check_engine_options, check_parsers, engine_option_names, parser_names
from serving.errors import ConfigError

# In a process of its own: vLLM warns and sets the environment on import.
ASK = """
from dataclasses import fields
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
print("names:", *sorted(field.name for field in fields(AsyncEngineArgs)))
print("reasoning_parser:", *ReasoningParserManager.list_registered())
print("tool_call_parser:", *ToolParserManager.list_registered())
"""


def test_the_names_are_those_of_the_installed_vllm() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=240)
    found = {words[0]: words[1:] for line in asked.stdout.splitlines() if (words := line.split())}
    assert sorted(engine_option_names()) == found.get("names:"), asked.stderr
    for option in ("reasoning_parser", "tool_call_parser"):
        assert sorted(parser_names(option)) == found.get(f"{option}:")


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
    for names in (engine_option_names, parser_names):
        names.cache_clear()
    yield
    for names in (engine_option_names, parser_names):
        names.cache_clear()


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
    check_parsers(model(reasoning_parser="wings"))


@pytest.mark.parametrize(
    ("option", "name", "nearest"), [("reasoning_parser", "qwen-3", "qwen3"), ("tool_call_parser", "hermez", "hermes")]
)
def test_an_unknown_parser_is_refused_with_the_nearest_names(option: str, name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_parsers(model(**{option: name}))
    start, _, names = str(caught.value).partition("; choose one of: ")
    assert start == f"vLLM has no {option} '{name}' (engine_kwargs of 'm')"
    assert nearest in names.rstrip(".").split(", ")


def test_a_parser_of_vllm_or_of_a_plugin_is_accepted() -> None:
    options = {"reasoning_parser": "qwen3", "tool_call_parser": "hermes", "chat_template": "{{ x }}"}
    check_parsers(model(**options))
    check_engine_options(model(**options))
    check_parsers(model(reasoning_parser="wings", reasoning_parser_plugin="wings.py"))
