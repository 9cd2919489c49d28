"""Tour of a running server with the public OpenAI client: every model and recipe, streamed and not.

.venv/bin/python examples/tour.py [--url http://127.0.0.1:8000]
"""

import argparse
import os
import sys
from typing import Any

from openai import APIError, OpenAI

QUESTIONS = {
    "arithmetic": "What is 123 + 456?",
    "words": "Spell the word 'planet' backwards.",
    "facts": "What is the capital of France?",
}


def main() -> int:
    """Ask every model and recipe three questions; return 1 after an API error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    options = parser.parse_args()
    client = OpenAI(base_url=f"{options.url}/v1", api_key=os.environ.get("MOA_API_KEY", "none"))
    try:
        models = [model.id for model in client.models.list()]
        print("models:", ", ".join(models))
        for model in models:
            for skill, question in QUESTIONS.items():
                print(f"\n{model} / {skill}: {question}")
                ask(client, model, question)
    except APIError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def ask(client: OpenAI, model: str, question: str) -> None:
    """Ask once for the whole answer with usage and trace, then once streamed."""
    request: Any = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 32,
    }
    whole = client.chat.completions.create(**request, extra_body={"moa": {"trace": True}})
    print(f"  whole:    {whole.choices[0].message.content}")
    if whole.usage:
        print(f"  usage:    {whole.usage.prompt_tokens} + {whole.usage.completion_tokens} tokens")
    moa = getattr(whole, "moa", None) or {}
    if team := moa.get("usage"):
        print(f"  all calls: {team['prompt_tokens']} + {team['completion_tokens']} tokens")
    trace = moa.get("trace", [])
    for number, agent in [(layer["layer"], agent) for layer in trace for agent in layer["agents"]]:
        took = "-" if agent["total_ms"] is None else f"{agent['total_ms']:.0f} ms"
        who = f"layer {number} {agent['role']:<10} {agent['model']:<13}"
        print(f"  {who} {agent['outcome']}: {agent['text']} ({took})")
    stream = client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    print(f"  streamed: {'|'.join(piece for piece in pieces if piece)}")


if __name__ == "__main__":
    sys.exit(main())
