"""Prefix cache in loops of tool calls, on a running server: `python -m loadtest.bench.tool_loop http://127.0.0.1:8000`.

Each loop is a conversation with a long system prompt. The model must call a tool, gets a short result, and must call it
again. The table shows for each call of the loop how much of the final agent's prompt was in the prefix cache.
"""

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import openai

from loadtest.errors import LoadError
from serving.command_line import CommandLine, at_least

TOPICS = tuple(
    f"the {thing} of the {place}, for a visitor who comes from far away, has never been here and stays for a week"
    for thing in ("opening hours", "history")
    for place in ("town library by the old bridge", "market at the harbour")
)
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks up a topic.",
        "parameters": {
            "type": "object",
            "properties": {"topic": {"type": "string", "enum": list(TOPICS)}},
            "required": ["topic"],
            "additionalProperties": False,
        },
    },
}
TEXT = "the town has a library a harbour two markets and many roads that lead to the hills"
RESULT = "Nothing new."


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the final agent in a loop."""

    number: int  # from 1
    prompt_tokens: int
    cached_tokens: int
    agents: int  # that worked for the answer
    answer_ms: float

    @property
    def cached_share(self) -> float:
        """Part of the prompt that was in the prefix cache."""
        return self.cached_tokens / self.prompt_tokens


def loop(
    client: openai.OpenAI, model: str, tool: Callable[[], None], *, calls: int, words: int, seed: int
) -> list[Call]:
    """Run one loop of `calls` tool calls; `tool` takes the time of the client's tool.

    Raises:
        LoadError: the server refused or failed, or the answer calls no tool or has no trace.
    """
    draw = random.Random(seed)
    # The number comes first: no two loops share a prefix.
    system = f"Conversation {draw.getrandbits(64)}. " + " ".join(draw.choice(TEXT.split()) for _ in range(words))
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": system},
        {"role": "user", "content": "What is new in the town?"},
    ]
    found = []
    for number in range(1, calls + 1):
        began = time.perf_counter()
        message, usage, agents = _asked(client, model, messages)
        answer_ms = (time.perf_counter() - began) * 1000
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        found.append(Call(number, usage["prompt_tokens"], cached, agents, answer_ms))
        messages.append(message)
        messages += [{"role": "tool", "tool_call_id": one["id"], "content": RESULT} for one in message["tool_calls"]]
        tool()
    return found


def _asked(client: openai.OpenAI, model: str, messages: list[Any]) -> tuple[dict[str, Any], dict[str, Any], int]:
    """The assistant's message, the usage of the final agent, and the number of agents."""
    asked: Any = client.chat.completions
    try:
        answer = asked.create(
            model=model,
            messages=messages,
            tools=[TOOL],
            tool_choice="required",
            parallel_tool_calls=False,
            temperature=0,
            max_tokens=256,
            extra_body={"moa": {"trace": True}},
        ).model_dump()
    except openai.OpenAIError as error:
        raise LoadError(f"'{model}' failed in a loop of tool calls: {error}.") from None
    message, trace = answer["choices"][0]["message"], (answer.get("moa") or {}).get("trace")
    if not message["tool_calls"] or not trace:
        raise LoadError(f"'{model}' called no tool, or the server sent no trace; use a model that supports tools.")
    agents = [agent for layer in trace for agent in layer["agents"]]
    called = {"role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"]}
    return called, agents[-1]["usage"], len(agents)


def table(found: Sequence[Call]) -> str:
    """Format the medians of all loops by call."""
    lines = [f"{'call':>4}{'agents':>8}{'prompt tokens':>15}{'cached tokens':>15}{'cached':>8}{'answer ms':>11}"]
    for number in sorted({call.number for call in found}):
        calls = [call for call in found if call.number == number]
        prompt, cached, agents, answer_ms, share = (
            statistics.median(getattr(call, name) for call in calls)
            for name in ("prompt_tokens", "cached_tokens", "agents", "answer_ms", "cached_share")
        )
        lines.append(f"{number:4}{agents:8,.0f}{prompt:15,.0f}{cached:15,.0f}{share:8.0%}{answer_ms:11,.0f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = CommandLine(prog="python -m loadtest.bench.tool_loop", description=__doc__)
    parser.add_argument("url", help="server, without /v1; the API key is read from MOA_API_KEY")
    parser.add_argument("--model", default="moa-lite", help="model or recipe; default: moa-lite")
    parser.add_argument("--loops", type=at_least(1, int, 10_000), default=5, help="conversations; default: 5")
    parser.add_argument("--calls", type=at_least(1, int, 1000), default=4, help="tool calls of each; default: 4")
    parser.add_argument(
        "--words", type=at_least(0, int, 1_000_000), default=1500, help="words of the system prompt; default: 1500"
    )
    parser.add_argument(
        "--tool-s", type=at_least(0, high=3600), default=1.0, help="time that the tool takes; default: 1"
    )
    parser.add_argument(
        "--seed", type=at_least(0, int, 2**63 - 1), default=int(time.time()), help="default: the time, for cold caches"
    )
    given = parser.parse_args(arguments)
    found: list[Call] = []

    def tool() -> None:
        time.sleep(given.tool_s)

    key = os.environ.get("MOA_API_KEY", "none").partition(",")[0]
    try:
        with openai.OpenAI(base_url=f"{given.url.rstrip('/')}/v1", api_key=key, max_retries=0, timeout=600) as client:
            for number in range(given.loops):
                seed = given.seed + number
                found += loop(client, given.model, tool, calls=given.calls, words=given.words, seed=seed)
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
