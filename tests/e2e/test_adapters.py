"""LoRA adapters of tiny-qwen on vLLM: each is a model of its own, and a member of recipes, over one engine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from tests.support.adapters import BASE, write_adapter
from tests.support.paths import ROOT
from tests.support.server import Server, served

QUESTION = "What is 17 + 25? Answer with the number, and say how it is computed in one short sentence."
LONG = f"{QUESTION} Then name the number that follows it. " + "Take your time and be exact. " * 12  # some cache blocks
STYLE = "Answer in the style of a sailor, with many words of the sea."


def profile(folder: Path) -> dict[str, Any]:
    """Profile of tiny-qwen with three adapters: without effect, with a large one, and with a template of its own."""
    own = (BASE / "chat_template.jinja").read_text()
    role = "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    assert role in own
    adapters = {
        "same": write_adapter(folder / "same"),
        "other": write_adapter(folder / "other", scale=4, rank=16),
        "styled": write_adapter(folder / "styled", chat_template=own.replace(role, f"{role}{{{{- '{STYLE} ' -}}}}")),
    }
    tiny = yaml.safe_load((ROOT / "deployments/profiles/tiny.yaml").read_text())
    model = next(one for one in tiny["models"] if one["id"] == "tiny-qwen")
    model["adapters"] = [{"id": f"tiny-{name}", "source": str(path)} for name, path in adapters.items()]
    model["adapters"][0] |= {"description": "the same", "usd_per_million_tokens": {"prompt": 1, "completion": 2}}
    return {
        "name": "adapters",
        "memory_gib": 3,
        "env": tiny["env"],
        "models": [model],
        "team": {"proposers": ["tiny-qwen", "tiny-other"], "aggregator": "tiny-same"},
        "recipes": ["moa-lite"],
        "api": {"aliases": {"gpt-4o": "tiny-other"}},
        "orchestrator": {"num_cpus": 0, "drain_s": 5},
    }


@pytest.fixture(scope="module")
def adapter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("adapters")
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile(folder)))
    with served("deployments:moa_app", f"profile={folder / 'profile.yaml'}") as started:
        yield started


@pytest.fixture(scope="module")
def chats(adapter_server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{adapter_server.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def answer(chats: openai.OpenAI, model: str, question: str = QUESTION, **more: Any) -> str:
    done = chats.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=24,
        extra_body=more,
    )
    return done.choices[0].message.content or ""


def test_each_adapter_is_a_model_with_its_parent(chats: openai.OpenAI) -> None:
    cards = {card.id: card.model_dump() for card in chats.models.list()}
    assert [*cards] == ["moa-lite", "tiny-qwen", "tiny-same", "tiny-other", "tiny-styled", "gpt-4o"]
    assert {name: card["parent"] for name, card in cards.items() if card["parent"]} == dict.fromkeys(
        ("tiny-same", "tiny-other", "tiny-styled", "gpt-4o"), "tiny-qwen"
    )
    assert (cards["tiny-same"]["root"], cards["tiny-qwen"]["root"]) == ("tiny-qwen", "tiny-qwen")
    assert cards["tiny-same"]["description"] == "the same"
    assert cards["tiny-same"]["usd_per_million_tokens"] == {"prompt": 1, "completion": 2}
    assert cards["tiny-same"]["max_model_len"] == cards["tiny-qwen"]["max_model_len"]


def test_an_adapter_without_effect_answers_as_its_base_and_another_does_not(chats: openai.OpenAI) -> None:
    base = answer(chats, "tiny-qwen")
    assert base
    assert answer(chats, "tiny-same") == base
    other = answer(chats, "tiny-other")
    assert other != base
    assert answer(chats, "gpt-4o") == other
    assert answer(chats, "tiny-qwen") == base


def test_adapters_share_no_cache_with_their_base_even_if_a_salt_has_their_name(chats: openai.OpenAI) -> None:
    other, base = answer(chats, "tiny-other", LONG), answer(chats, "tiny-qwen", LONG, cache_salt="untouched")
    assert other != base
    assert answer(chats, "tiny-qwen", LONG) == base
    assert answer(chats, "tiny-qwen", LONG, cache_salt="tiny-other") == base
    assert answer(chats, "tiny-other", LONG) == other


def test_adapters_and_their_model_answer_at_once_as_they_do_alone(chats: openai.OpenAI) -> None:
    models = ("tiny-qwen", "tiny-same", "tiny-other", "tiny-styled")
    questions = [f"What is {number} + 25?" for number in range(4)]
    asked = [(model, question) for question in questions for model in models]
    alone = [answer(chats, *one) for one in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = [*pool.map(lambda one: answer(chats, *one), asked)]
    assert together == alone
    assert len({*alone[:4]}) > 1


def test_an_adapters_own_template_writes_its_prompts(adapter_server: Server) -> None:
    def tokens(model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
        return int(httpx.post(f"{adapter_server.url}/tokenize", json=body).json()["count"])

    assert tokens("tiny-same") == tokens("tiny-qwen") < tokens("tiny-styled")


def test_raw_prompts_tools_and_streams_reach_the_adapter(chats: openai.OpenAI) -> None:
    texts = {
        model: chats.completions.create(model=model, prompt="17 + 25 =", temperature=0, max_tokens=8).choices[0].text
        for model in ("tiny-qwen", "tiny-same", "tiny-other")
    }
    assert texts["tiny-same"] == texts["tiny-qwen"] != texts["tiny-other"]
    tool = {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    }
    stream = chats.chat.completions.create(
        model="tiny-other",
        messages=[{"role": "user", "content": QUESTION}],
        tools=[{"type": "function", "function": tool}],
        tool_choice="required",
        max_tokens=64,
        stream=True,
    )
    names = [
        call.function.name for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or ()
    ]
    assert "add" in names


def test_a_recipe_has_the_base_and_its_adapters_as_agents(chats: openai.OpenAI) -> None:
    done = chats.chat.completions.create(
        model="moa-lite",
        messages=[{"role": "user", "content": QUESTION}],
        temperature=0,
        max_tokens=24,
        extra_body={"moa": {"trace": True}},
    )
    report = done.model_extra["moa"]
    agents = {(agent["model"], agent["role"]): agent for layer in report["trace"] for agent in layer["agents"]}
    assert {*agents} == {("tiny-qwen", "proposer"), ("tiny-other", "proposer"), ("tiny-same", "aggregator")}
    assert all(agent["outcome"] == "ok" for agent in agents.values()), report
    assert not report["degraded"]


def test_errors_name_the_adapter_that_was_asked(chats: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="'tiny-other'"):
        answer(chats, "tiny-other", "one two three " * 4000)
    with pytest.raises(openai.BadRequestError, match="of 'tiny-other'"):
        chats.completions.create(model="tiny-other", prompt=[1, 99_999], max_tokens=1)
