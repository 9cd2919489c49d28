"""Loop of tool calls with the public OpenAI client: the model asks for a product, this program computes it.

.venv/bin/python examples/tools.py [--url http://127.0.0.1:8000] [--model moa-lite] [--tool-choice required]

With `--tool-choice required` the first request must call, and the later ones must not: for models that do not choose a
tool by themselves.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from openai import APIError, OpenAI

MAX_REQUESTS = 4


def multiply(expression: str) -> str:
    """Compute a product, such as "3817 * 246"."""
    left, _, right = expression.partition("*")
    return str(int(left) * int(right))


FUNCTIONS: dict[str, Callable[..., str]] = {"multiply": multiply}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "multiply",
            "description": "Calculates the exact product of two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"expression": {"type": "string", "description": "The expression."}},
                "required": ["expression"],
            },
        },
    }
]


def main() -> int:
    """Ask one question; return 1 after an API error or a loop that does not end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="moa-lite")
    parser.add_argument("--question", default="What is 3817 * 246?")
    parser.add_argument("--tool-choice", choices=("auto", "required"), default="auto", help="default: auto")
    options = parser.parse_args()
    client = OpenAI(base_url=f"{options.url}/v1", api_key=os.environ.get("MOA_API_KEY", "none"))
    try:
        answer = ask(client, options.model, options.question, options.tool_choice)
    except APIError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(answer if answer is not None else f"no answer after {MAX_REQUESTS} requests")
    return 0 if answer is not None else 1


def ask(client: OpenAI, model: str, question: str, tool_choice: Any = "auto") -> str | None:
    """Return the model's answer after all its calls; None after `MAX_REQUESTS` requests."""
    messages: list[Any] = [{"role": "user", "content": question}]
    for _ in range(MAX_REQUESTS):
        reply = client.chat.completions.create(
            model=model,
            messages=messages,
            tools=TOOLS,
            tool_choice=tool_choice,
            temperature=0,
            max_tokens=128,
            extra_body={"moa": {"trace": True}},
        )
        show_team(reply)
        message: Any = reply.choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message)
        for call in message.tool_calls:
            result = run(call)
            print(f"  {call.function.name}({call.function.arguments}) = {result}")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        tool_choice = "auto" if tool_choice == "auto" else "none"
    return None


def run(call: Any) -> str:
    """Return the result of a call, or the reason that it has none: the model reads both."""
    try:
        return FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
    except (KeyError, TypeError, ValueError) as error:
        return f"error: {type(error).__name__}: {error}"


def show_team(reply: Any) -> None:
    """Print the agents of a request: in the second one of a loop the team is not asked again."""
    trace = (getattr(reply, "moa", None) or {}).get("trace", [])
    agents = [f"{agent['role']} {agent['model']}" for layer in trace for agent in layer["agents"]]
    print("  asked:", ", ".join(agents) or reply.model)


if __name__ == "__main__":
    sys.exit(main())
