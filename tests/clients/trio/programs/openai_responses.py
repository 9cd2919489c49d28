"""The client `openai` on Responses."""

import json
from typing import Any

from common import ANSWER_SCHEMA, FUNCTION, MAX_REQUESTS, MISSING, MODEL, QUESTION, compute, failure, loops, main
from openai import OpenAI

ASKED: Any = {"model": MODEL, "input": QUESTION, "temperature": 0, "max_output_tokens": 128}
TOOLS: Any = [{"type": "function", "strict": True, **FUNCTION}]


def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def chat(url: str) -> Any:
    answer = client(url).responses.create(**ASKED)
    return {"text": answer.output_text, "usage": [answer.usage.input_tokens, answer.usage.output_tokens]}


def stream(url: str) -> Any:
    with client(url).responses.stream(**ASKED) as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        usage = events.get_final_response().usage
    return {"pieces": pieces, "usage": [usage.input_tokens, usage.output_tokens] if usage else None}


def tools(url: str) -> Any:
    def loop(question: str) -> tuple[int, str]:
        items: list[Any] = [{"role": "user", "content": question}]
        calls = 0
        for _ in range(MAX_REQUESTS):
            answer = client(url).responses.create(**{**ASKED, "input": items, "tools": TOOLS, "store": False})
            made = [item for item in answer.output if item.type == "function_call"]
            items += answer.output
            if not made:
                break
            for call in made:
                calls += 1
                output = compute(json.loads(call.arguments)["expression"])
                items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
        return calls, answer.output_text

    return loops(loop)


def structured(url: str) -> Any:
    text = {"format": {"type": "json_schema", "name": "answer", "schema": ANSWER_SCHEMA, "strict": True}}
    return json.loads(client(url).responses.create(**ASKED, text=text).output_text)


def not_found(url: str) -> Any:
    return failure(lambda: client(url).responses.create(**{**ASKED, "model": MISSING}))


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, tools, structured, not_found)})
