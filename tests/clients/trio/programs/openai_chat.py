"""The client `openai` on chat completions."""

import json
from typing import Any

from common import ANSWER_SCHEMA, FUNCTION, MAX_REQUESTS, MISSING, MODEL, QUESTION, compute, failure, loops, main
from openai import OpenAI

ASKED: Any = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 128}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]


def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def chat(url: str) -> Any:
    answer = client(url).chat.completions.create(**ASKED)
    usage = answer.usage
    return {"text": answer.choices[0].message.content, "usage": [usage.prompt_tokens, usage.completion_tokens]}


def stream(url: str) -> Any:
    pieces, usage = [], None
    for chunk in client(url).chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}):
        pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        usage = chunk.usage or usage
    return {"pieces": pieces, "usage": [usage.prompt_tokens, usage.completion_tokens] if usage else None}


def tools(url: str) -> Any:
    def loop(question: str) -> tuple[int, str | None]:
        messages: list[Any] = [{"role": "user", "content": question}]
        calls = 0
        for _ in range(MAX_REQUESTS):
            asked = {**ASKED, "messages": messages, "tools": TOOLS}
            message = client(url).chat.completions.create(**asked).choices[0].message
            messages.append(message)
            if not message.tool_calls:
                break
            for call in message.tool_calls:
                calls += 1
                result = compute(json.loads(call.function.arguments)["expression"])
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return calls, message.content

    return loops(loop)


def structured(url: str) -> Any:
    schema = {"name": "answer", "schema": ANSWER_SCHEMA, "strict": True}
    asked = {**ASKED, "response_format": {"type": "json_schema", "json_schema": schema}}
    return json.loads(client(url).chat.completions.create(**asked).choices[0].message.content or "")


def models(url: str) -> Any:
    return [model.id for model in client(url).models.list()]


def not_found(url: str) -> Any:
    return failure(lambda: client(url).chat.completions.create(**{**ASKED, "model": MISSING}))


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, tools, structured, models, not_found)})
