"""litellm with the provider `hosted_vllm`."""

import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no download of prices

import litellm
from common import ANSWER_SCHEMA, FUNCTION, MAX_REQUESTS, MISSING, MODEL, QUESTION, compute, failure, loops, main

TOOLS: Any = [{"type": "function", "function": FUNCTION}]


def ask(url: str, model: str = MODEL, **fields: Any) -> Any:
    fields = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 128, **fields}
    return litellm.completion(f"hosted_vllm/{model}", api_base=f"{url}/v1", api_key="none", max_retries=0, **fields)


def chat(url: str) -> Any:
    answer = ask(url)
    usage = answer.usage
    return {"text": answer.choices[0].message.content, "usage": [usage.prompt_tokens, usage.completion_tokens]}


def stream(url: str) -> Any:
    pieces, usage = [], None
    for chunk in ask(url, stream=True, stream_options={"include_usage": True}):
        pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        usage = getattr(chunk, "usage", None) or usage
    return {"pieces": pieces, "usage": [usage.prompt_tokens, usage.completion_tokens] if usage else None}


def tools(url: str) -> Any:
    def loop(question: str) -> tuple[int, str | None]:
        messages: list[Any] = [{"role": "user", "content": question}]
        calls = 0
        for _ in range(MAX_REQUESTS):
            message = ask(url, messages=messages, tools=TOOLS).choices[0].message
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
    answer = ask(url, response_format={"type": "json_schema", "json_schema": schema})
    return json.loads(answer.choices[0].message.content)


def not_found(url: str) -> Any:
    return failure(lambda: ask(url, MISSING))


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, tools, structured, not_found)})
