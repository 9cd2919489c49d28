"""Thinking on the real trio: a thought is in its own field, off until it is asked for, and of use."""

from typing import Any

import openai
import pytest

from evaluation.scoring.exact import is_right
from models.tiny import heldout_tasks

ROWS = heldout_tasks.rows(heldout_tasks.THINKING_FILE)
TASKS = [row for skill in ("chain", "long_sum") for row in [r for r in ROWS if r["skill"] == skill][:8]]
MODELS = ("tiny-qwen", "moa-lite")


def asked(client: openai.OpenAI, model: str, stream: bool, question: str, **fields: Any) -> tuple[str, str, int]:
    """Content, reasoning and number of reasoning tokens of an answer."""
    messages: Any = [{"role": "user", "content": question}]
    fields = {"temperature": 0, "max_tokens": 256, "messages": messages, **fields}
    if not stream:
        answer = client.chat.completions.create(model=model, **fields)
        message, usage = answer.choices[0].message, answer.usage
        thought = getattr(message, "reasoning_content", None) or ""
        return message.content or "", thought, _reasoning_tokens(usage)
    content, thought, usage = "", "", None
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(model=model, stream=True, stream_options=options, **fields):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            content += choice.delta.content or ""
            thought += getattr(choice.delta, "reasoning_content", None) or ""
    return content, thought, _reasoning_tokens(usage)


def _reasoning_tokens(usage: Any) -> int:
    details = usage.completion_tokens_details
    return (details.reasoning_tokens or 0) if details else 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_thinking_is_apart_from_the_answer_and_of_use(client: openai.OpenAI, model: str, stream: bool) -> None:
    right = {}
    for effort in ("none", "low"):
        answers = [asked(client, model, stream, row["question"], reasoning_effort=effort) for row in TASKS]
        assert all(bool(thought) == (effort == "low") for _, thought, _ in answers), answers
        assert all((tokens > 0) == bool(thought) for _, thought, tokens in answers)
        assert not any("think>" in text for content, thought, _ in answers for text in (content, thought))
        right[effort] = sum(
            is_right(content, row["answer"]) for (content, _, _), row in zip(answers, TASKS, strict=True)
        )
    assert right["low"] >= right["none"] + 4, right


@pytest.mark.parametrize("model", MODELS)
def test_without_effort_nobody_thinks(client: openai.OpenAI, model: str) -> None:
    content, thought, tokens = asked(client, model, False, "What is 23 + 45?")
    assert (content, thought, tokens) == ("68", "", 0)


def test_a_budget_cut_and_a_token_limit_leak_nothing(client: openai.OpenAI) -> None:
    for limit in range(1, 12):
        content, thought, _ = asked(
            client, "tiny-qwen", True, TASKS[0]["question"], reasoning_effort="low", max_tokens=limit
        )
        assert content == ""
        assert "<" not in thought
