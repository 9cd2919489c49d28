"""The command `llm`, with the server in extra-openai-models.yaml."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import ANSWER_SCHEMA, MISSING, MODEL, QUESTION, TOOL_DESCRIPTION, loops, main

LLM = Path(sys.executable).parent / "llm"
# The function of `common`, as `llm --functions` reads it.
FUNCTION = f'''
import re
def compute(expression: str) -> str:
    "{TOOL_DESCRIPTION}"
    left, operator, right = re.search(r"(\\d+)\\s*([-+*/x])\\s*(\\d+)", expression).groups()
    left, right = int(left), int(right)
    return str({{"+": left + right, "-": left - right, "/": left // max(right, 1)}}.get(operator, left * right))
'''


SAMPLING = ("-o", "temperature", "0", "-o", "max_tokens", "128")


@contextmanager
def configured(url: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `llm` with the given options, in a user folder of its own."""
    with tempfile.TemporaryDirectory() as home:
        entry = (
            "- {{model_id: {0}, model_name: {0}, api_base: '{1}/v1', supports_tools: true, supports_schema: true}}\n"
        )
        Path(home, "extra-openai-models.yaml").write_text(entry.format(MODEL, url) + entry.format(MISSING, url))
        environment = {**os.environ, "LLM_USER_PATH": home, "OPENAI_API_KEY": "none", "PYTHONUNBUFFERED": "1"}

        def start(*options: str) -> subprocess.Popen[str]:
            pipe = subprocess.PIPE
            return subprocess.Popen([str(LLM), *options], stdout=pipe, stderr=pipe, text=True, env=environment)

        yield start


def output(process: subprocess.Popen[str]) -> str:
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    return printed


def usage_of(start: Callable[..., subprocess.Popen[str]]) -> list[int]:
    """Usage of the last answer, as `llm` logged it."""
    (entry,) = json.loads(output(start("logs", "-n", "1", "--json")))
    return [entry["input_tokens"], entry["output_tokens"]]


def chat(url: str) -> Any:
    with configured(url) as start:
        return {"text": output(start("-m", MODEL, "--no-stream", QUESTION, *SAMPLING)), "usage": usage_of(start)}


def stream(url: str) -> Any:
    with configured(url) as start:
        process = start("-m", MODEL, QUESTION, *SAMPLING)
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        pieces = list(iter(lambda: os.read(descriptor, 4096).decode(), ""))  # each of them as it is printed
        output(process)
        return {"pieces": pieces, "usage": usage_of(start)}


def tools(url: str) -> Any:
    def loop(question: str) -> tuple[int, str]:
        with configured(url) as start:
            process = start("-m", MODEL, "--no-stream", "--functions", FUNCTION, "--td", question, *SAMPLING)
            printed, errors = process.communicate()
        assert process.returncode == 0, errors
        return errors.count("Tool call: compute"), printed

    return loops(loop)


def structured(url: str) -> Any:
    with configured(url) as start:
        schema = json.dumps(ANSWER_SCHEMA)
        return json.loads(output(start("-m", MODEL, "--no-stream", "--schema", schema, QUESTION, *SAMPLING)))


def not_found(url: str) -> Any:
    with configured(url) as start:
        process = start("-m", MISSING, "--no-stream", QUESTION)
        _, errors = process.communicate()
    assert process.returncode != 0
    return {"class": errors.partition(":")[0].strip(), "message": errors}


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, tools, structured, not_found)})
