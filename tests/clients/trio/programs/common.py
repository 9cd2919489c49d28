"""Questions, a tool and a schema that all client programs share, and the loop that runs their features.

A program runs in its client's own environment: `python NAME.py URL FEATURE...`. For each feature it prints one line of
JSON: `{"feature": ..., "result": ...}`, or with `error`, the traceback, in place of `result`. Standard library only.
"""

import asyncio
import inspect
import json
import re
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

MODEL = "moa-lite"
MISSING = "no-such-model"  # an id that no server has
QUESTION = "What is 52345 + 17890?"  # its answer has several tokens
TOOL_QUESTIONS = {"What is 3817 * 246?": "938982", "What is 6441 / 339?": "19", "What is 371735 - 55245?": "316490"}
TOOL_NAME, TOOL_DESCRIPTION = "compute", "Does exact calculations with two numbers."
PARAMETERS = {
    "type": "object",
    "properties": {"expression": {"type": "string", "description": "What to calculate."}},
    "required": ["expression"],
}
FUNCTION = {"name": TOOL_NAME, "description": TOOL_DESCRIPTION, "parameters": PARAMETERS}
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"parity": {"type": "string", "enum": ["even", "odd"]}, "certain": {"type": "boolean"}},
    "required": ["parity", "certain"],
    "additionalProperties": False,
}
MAX_REQUESTS = 3

Loop = Callable[[str], Any]  # question -> (number of calls, answer), or a coroutine of them
Feature = Callable[[str], Any]  # URL without `/v1` -> JSON value, or a coroutine of one


def compute(expression: str) -> str:
    """Does exact calculations with two numbers.

    Args:
        expression: What to calculate.
    """
    found = re.search(r"(-?\d+)\s*([-+*/x×])\s*(-?\d+)", expression)
    if not found:
        return f"error: no calculation: {expression}"
    left, operator, right = int(found[1]), found[2], int(found[3])
    if operator == "/" and right == 0:
        return "error: division by zero"
    results = {"+": left + right, "-": left - right, "/": left // right if right else 0}
    return str(results.get(operator, left * right))


def loops(loop: Loop) -> list[dict[str, Any]]:
    """Run a loop of tool calls on one question after another, up to the first right answer."""
    done = []
    for question, answer in TOOL_QUESTIONS.items():
        calls, text = _finished(loop(question))
        done.append({"question": question, "calls": calls, "text": text, "right": answer in (text or "")})
        if calls and done[-1]["right"]:
            break
    return done


def main(features: dict[str, Feature]) -> None:
    """Run the features named on the command line."""
    url, *names = sys.argv[1:]
    for name in names:
        try:
            line = {"feature": name, "result": _finished(features[name](url))}
        except Exception:
            line = {"feature": name, "error": traceback.format_exc()}
        print(json.dumps(line), flush=True)


def error(raised: Exception) -> dict[str, str]:
    """Class and message of an error as the client raises it."""
    return {"class": type(raised).__name__, "message": str(raised)}


def failure(action: Callable[[], Any]) -> dict[str, str]:
    """The error that `action` raises."""
    try:
        _finished(action())
    except Exception as raised:
        return error(raised)
    raise AssertionError(f"no error for the model {MISSING}")


def _finished(value: Any) -> Any:
    async def wait(awaitable: Awaitable[Any]) -> Any:
        return await awaitable

    return asyncio.run(wait(value)) if inspect.isawaitable(value) else value
