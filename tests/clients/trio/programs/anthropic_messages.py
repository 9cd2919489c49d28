"""The client `anthropic` on Messages."""

from typing import Any

from anthropic import Anthropic
from common import (
    MAX_REQUESTS,
    MISSING,
    MODEL,
    PARAMETERS,
    QUESTION,
    TOOL_DESCRIPTION,
    TOOL_NAME,
    compute,
    failure,
    loops,
    main,
)

GREEDY = {"temperature": 0}  # the client has no parameter for it
ASKED: Any = {
    "model": MODEL,
    "messages": [{"role": "user", "content": QUESTION}],
    "max_tokens": 128,
    "extra_body": GREEDY,
}
TOOLS: Any = [{"name": TOOL_NAME, "description": TOOL_DESCRIPTION, "input_schema": PARAMETERS}]


def client(url: str) -> Anthropic:
    return Anthropic(base_url=url, api_key="none", max_retries=0)


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def chat(url: str) -> Any:
    answer = client(url).messages.create(**ASKED)
    return {"text": text_of(answer), "usage": [answer.usage.input_tokens, answer.usage.output_tokens]}


def stream(url: str) -> Any:
    with client(url).messages.stream(**ASKED) as events:
        pieces = list(events.text_stream)
        usage = events.get_final_message().usage
    return {"pieces": pieces, "usage": [usage.input_tokens, usage.output_tokens]}


def tools(url: str) -> Any:
    def loop(question: str) -> tuple[int, str]:
        messages: list[Any] = [{"role": "user", "content": question}]
        calls = 0
        for _ in range(MAX_REQUESTS):
            answer = client(url).messages.create(**{**ASKED, "messages": messages, "tools": TOOLS})
            messages.append({"role": "assistant", "content": answer.content})
            results: list[Any] = [
                {"type": "tool_result", "tool_use_id": block.id, "content": compute(str(block.input["expression"]))}
                for block in answer.content
                if block.type == "tool_use"
            ]
            if not results:
                break
            calls += len(results)
            messages.append({"role": "user", "content": results})
        return calls, text_of(answer)

    return loops(loop)


def models(url: str) -> Any:
    return [model.id for model in client(url).models.list()]


def count(url: str) -> Any:
    """Tokens of a conversation, which Claude Code asks for."""
    return client(url).messages.count_tokens(model=MODEL, messages=ASKED["messages"]).input_tokens


def not_found(url: str) -> Any:
    return failure(lambda: client(url).messages.create(**{**ASKED, "model": MISSING}))


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, tools, models, count, not_found)})
