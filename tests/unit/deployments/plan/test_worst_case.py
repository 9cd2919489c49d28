"""The longest prompts are those of the most expensive way through a recipe, counted as the models count."""

from typing import Any

import pytest
from transformers import AutoTokenizer

from deployments.config import Profile, load_profile
from deployments.plan.report import report
from deployments.plan.token_counts import Counter, stand_ins
from deployments.plan.worst_case import Prompt, counters_of, longest_prompts
from serving.conversation import Message
from serving.recipes import load_recipes
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE

TINY = load_profile("tiny")
ASKED, WRITTEN = 100, 80


def prompts(name: str, *more: dict[str, Any]) -> list[Prompt]:
    recipes = load_recipes([*TINY.recipes, *more], TINY.team)
    return longest_prompts(recipes[name], recipes, counters_of(TINY), asked_tokens=ASKED, answer_tokens=WRITTEN)


def roles(found: list[Prompt]) -> list[str]:
    return [prompt.role for prompt in found]


def test_a_cascade_escalates() -> None:
    found = prompts("cascade")
    assert roles(found) == ["first", "proposer", "proposer", "proposer", "aggregator"]
    assert found[-1].prompt_tokens > ASKED + 4 * WRITTEN, "the first answer is a reference, too"


def test_a_judge_of_a_cascade_finds_the_answer_weak() -> None:
    judged = {"preset": "cascade", "id": "judged", "score": "judge", "judge": "tiny-qwen"}
    assert roles(prompts("judged", judged))[-1] == "aggregator"


def test_a_plan_has_all_its_parts_each_building_on_those_before() -> None:
    found = prompts("plan")
    assert roles(found) == ["planner", *["executor"] * 4, "synthesizer"]
    assert found[-2].prompt_tokens > ASKED + 3 * WRITTEN
    assert found[-1].prompt_tokens > ASKED + 4 * WRITTEN


def test_nobody_agrees_and_no_critic_accepts() -> None:
    assert roles(prompts("adaptive")) == ["proposer", "proposer", "proposer", "aggregator"]
    assert roles(prompts("debate")) == ["solver", "critic", "solver"]


def test_every_route_is_shown() -> None:
    auto = {
        "id": "chooser",
        "strategy": "auto",
        "rules": [{"to": "moa-lite", "min_characters": 9}],
        "otherwise": "tiny-qwen",
    }
    found = prompts("chooser", auto)
    assert {(prompt.route, prompt.role) for prompt in found} == {
        ("moa-lite", "proposer"),
        ("moa-lite", "aggregator"),
        ("tiny-qwen", "aggregator"),
    }
    page = report(Profile.model_validate({**TINY.model_dump(), "recipes": [*TINY.recipes, auto]}))
    assert "route moa-lite:\n" in page
    assert "route tiny-qwen:\nquestion ───> tiny-qwen (aggregator) ───> answer" in page


@pytest.mark.parametrize("model", TINY.models, ids=lambda model: model.id)
def test_a_local_tokenizer_counts(model: Any) -> None:
    counter = Counter(model)
    text = f"{AGGREGATE_AND_SYNTHESIZE}\n1. "
    turns = [{"role": "user", "content": text}]
    tokenizer = AutoTokenizer.from_pretrained(str(model.path))
    own = len(tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])
    assert counter.exact
    assert counter((Message("user", text),)) == own
    assert counter((Message("user", f"{text}{stand_ins(7, 1)}"),)) == pytest.approx(own + 7, abs=1)


def test_without_a_local_tokenizer_words_are_counted() -> None:
    counter = Counter(TINY.models[0].model_copy(update={"source": "org/model"}))
    assert not counter.exact
    assert counter((Message("user", "ten " * 10 + stand_ins(7, 1)),)) == 13 + 7 + 4


def test_a_prompt_of_only_local_models_is_no_estimate() -> None:
    assert "~" not in report(TINY)
