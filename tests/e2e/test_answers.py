"""Accuracy of the trained trio's answers on a part of the held-out questions, with greedy sampling."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from deployments.config import load_profile
from evaluation.scoring.exact import is_right

HELD_OUT = [json.loads(line) for line in Path("models/tiny/heldout.jsonl").read_text().splitlines()]
SPECIALISTS = {"arithmetic": "tiny-qwen", "words": "tiny-llama", "facts": "tiny-mixtral"}
OF_EACH_SKILL = 20
PRINTED = {"What is 17 + 25?": "42", "Spell planet backwards.": "tenalp", "What is the capital of France?": "Paris"}


def share_right(client: openai.OpenAI, model: str, skill: str) -> float:
    rows = [row for row in HELD_OUT if row["skill"] == skill][:OF_EACH_SKILL]

    def right(row: dict[str, str]) -> bool:
        asked = [{"role": "user", "content": row["question"]}]
        done = client.chat.completions.create(model=model, messages=asked, temperature=0, max_tokens=32)
        return is_right(done.choices[0].message.content, row["answer"])

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(right, rows)) / len(rows)


@pytest.mark.parametrize("skill", SPECIALISTS)
def test_each_specialist_knows_its_skill(client: openai.OpenAI, skill: str) -> None:
    assert share_right(client, SPECIALISTS[skill], skill) >= 0.8


@pytest.mark.parametrize("recipe", ["moa-lite", "moa"])
def test_the_team_knows_all_three(client: openai.OpenAI, recipe: str) -> None:
    assert min(share_right(client, recipe, skill) for skill in SPECIALISTS) >= 0.6


@pytest.mark.parametrize("question", load_profile("tiny").questions)
def test_the_questions_that_a_start_prints_are_answered_right(client: openai.OpenAI, question: str) -> None:
    asked = [{"role": "user", "content": question}]
    done = client.chat.completions.create(model="moa-lite", messages=asked)
    assert is_right(done.choices[0].message.content, PRINTED[question])
