"""Requests of these tests: greedy, whole or streamed, several at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai

Question = str | list[dict[str, Any]]


def ask(client: openai.OpenAI, question: Question, model: str = "smol", **options: Any) -> Any:
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
    options = {"temperature": 0, "max_tokens": 32, **options}
    return client.chat.completions.create(model=model, messages=messages, **options)


def text_of(answer: Any) -> str:
    return answer.choices[0].message.content or ""


def whole(client: openai.OpenAI, question: Question, model: str = "smol", **options: Any) -> str:
    return text_of(ask(client, question, model, **options))


def streamed(client: openai.OpenAI, question: Question, model: str = "smol", **options: Any) -> str:
    """The joined pieces of a streamed answer."""
    chunks = ask(client, question, model, stream=True, **options)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    """Results of `calls`, made at the same time: the engine computes them in one batch."""
    with ThreadPoolExecutor(max(len(calls), 1)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
