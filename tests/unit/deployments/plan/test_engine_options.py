"""The committed names of vLLM's options are vLLM's own, and a wrong one is found before anything is started."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deployments.config import ModelSpec
from deployments.plan import engine_options
from deployments.plan.engine_options import NAMES, check_engine_options
from serving.errors import ConfigError

# In a process of its own: vLLM warns and sets the environment on import.
ASK = """
from dataclasses import fields
from vllm.engine.arg_utils import AsyncEngineArgs
print("names:", *sorted(field.name for field in fields(AsyncEngineArgs)))
"""


def test_the_names_are_vllms_own() -> None:
    """UPDATE_ENGINE_OPTIONS=1 writes them anew."""
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=240)
    [line] = [line for line in asked.stdout.splitlines() if line.startswith("names:")] or [asked.stderr]
    names = line.split()[1:]
    assert "max_model_len" in names, line
    if os.environ.get("UPDATE_ENGINE_OPTIONS"):
        path = Path(engine_options.__file__)
        block = textwrap.fill(" ".join(names), 120, break_long_words=False, break_on_hyphens=False)
        path.write_text(
            re.sub(r'(?<=_TEXT = """\n).*?(?=""")', block + "\n", path.read_text(), count=1, flags=re.DOTALL)
        )
        return
    assert sorted(NAMES) == names


def model(**engine_kwargs: object) -> ModelSpec:
    return ModelSpec(id="m", source="org/model", engine_kwargs={"max_model_len": 8, **engine_kwargs})


@pytest.mark.parametrize(
    ("name", "advice"),
    [("max_num_seq", "; write max_num_seqs, or remove it."), ("wings", "; remove it.")],
)
def test_a_wrong_name_is_told_with_the_right_one(name: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_engine_options(model(**{name: 1}))
    assert str(caught.value) == f"vLLM has no option '{name}', which stands in the engine_kwargs of 'm'{advice}"


def test_every_option_of_vllm_is_accepted() -> None:
    check_engine_options(model(structured_outputs_config={"backend": "xgrammar"}, enable_log_requests=True))
