"""Recipes of a real model: its own samples, and a mixed team with the embedded trio."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import openai

from tests.smol.asking import ask, text_of, together

CAPITAL = "What is the capital of France?"
TRIO = ["tiny-qwen", "tiny-llama", "tiny-mixtral"]
TOKENS = 24
PREFILL = ("incremental", "off", "on_complete")
# No other test asks these; each mode of prefill is the first for one of them.
QUESTIONS = ("Tell me about Rome.", "Why is the sky blue?", "How do bees make honey?")


def agents_of(answer: Any) -> list[list[dict[str, Any]]]:
    """The agents of each layer."""
    return [layer["agents"] for layer in answer.moa["trace"]]


LAYERS = {
    "self-moa": [["smol"] * 6, ["smol"]],
    "moa-single": [["smol"] * 6, ["smol"]],
    "moa-lite": [[*TRIO, "smol"], ["smol"]],
    "vote": [[*TRIO, "smol"] * 2],
}


def test_recipes_answer_with_a_trace(client: openai.OpenAI) -> None:
    calls = [partial(ask, client, CAPITAL, recipe, extra_body={"moa": {"trace": True}}) for recipe in LAYERS]
    for (recipe, layers), answer in zip(LAYERS.items(), together(calls), strict=True):
        assert not answer.moa["degraded"], answer.moa["reasons"]
        found = agents_of(answer)
        assert [[agent["model"] for agent in agents] for agents in found] == layers
        agents = [agent for layer in found for agent in layer]
        assert {agent["outcome"] for agent in agents} == {"ok"}
        assert answer.moa["usage"]["total_tokens"] == sum(agent["usage"]["total_tokens"] for agent in agents)
        writers = [agent for agent in found[-1] if agent["text"] == text_of(answer)]
        assert answer.usage.total_tokens in [agent["usage"]["total_tokens"] for agent in writers]
        if recipe != "moa-single":  # which samples at temperatures up to 1.2
            assert "Paris" in text_of(answer), recipe


@dataclass(frozen=True)
class Answered:
    """One answer of the mixed team."""

    proposals: list[str]
    text: str
    tokens: int


def test_prefill_changes_no_token(client: openai.OpenAI) -> None:
    found = [by_mode(client, question, turn) for turn, question in enumerate(QUESTIONS)]
    for modes in found:
        first, *others = modes.values()
        assert [other.proposals for other in others] == [first.proposals] * 2
        assert [(other.text, other.tokens) for other in others] == [(first.text, TOKENS)] * 2


def by_mode(client: openai.OpenAI, question: str, turn: int) -> dict[str, Answered]:
    """Answers to one question with each mode of prefill, beginning with mode number `turn`."""
    found = {}
    for mode in PREFILL[turn:] + PREFILL[:turn]:
        # `min_tokens` keeps end tokens, which have no text, from being chosen: the trio's answers fill cache blocks.
        extra = {"min_tokens": TOKENS, "moa": {"prefill": mode, "trace": True}}
        answer = ask(client, question, "moa-lite", max_tokens=TOKENS, extra_body=extra)
        proposers, [aggregator] = agents_of(answer)
        found[mode] = Answered(
            [agent["text"] for agent in proposers],
            text_of(answer),
            aggregator["usage"]["completion_tokens"],
        )
    return found
