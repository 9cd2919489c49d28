"""Prompts without a chat template, and tokens, on real vLLM engines."""

import math
import time
from typing import Any

import httpx
import openai
import pytest
import torch
from transformers import AutoModelForCausalLM

from models.tiny.families import FAMILIES
from tests.e2e.conftest import MODELS, Stats

QUESTION = [{"role": "user", "content": "What is 17 + 25?"}]


def complete(client: openai.OpenAI, prompt: Any, model: str = "tiny-qwen", **fields: Any) -> Any:
    fields = {"temperature": 0, "max_tokens": 24, **fields}
    return client.completions.create(model=model, prompt=prompt, **fields)


def post(base_url: str, path: str, **body: Any) -> dict[str, Any]:
    response = httpx.post(f"{base_url}{path}", json={"model": "tiny-qwen", **body}, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("model", MODELS)
def test_the_rendered_prompt_of_a_chat_has_the_chats_answer(client: openai.OpenAI, base_url: str, model: str) -> None:
    chat = client.chat.completions.create(model=model, messages=QUESTION, temperature=0, max_tokens=24)
    tokens = post(base_url, "/tokenize", model=model, messages=QUESTION)
    assert (tokens["count"], tokens["max_model_len"]) == (chat.usage.prompt_tokens, 8192)
    text = post(base_url, "/detokenize", model=model, tokens=tokens["tokens"])["prompt"]
    for prompt in (tokens["tokens"], text):
        answer = complete(client, prompt, model, extra_body={"add_special_tokens": False})
        assert answer.choices[0].text == chat.choices[0].message.content != ""
        assert answer.choices[0].finish_reason == chat.choices[0].finish_reason
        assert answer.usage.prompt_tokens == chat.usage.prompt_tokens
        assert answer.usage.completion_tokens == chat.usage.completion_tokens


@pytest.mark.parametrize("model", MODELS)
def test_the_logprobs_of_an_echoed_prompt_are_the_models_own(client: openai.OpenAI, base_url: str, model: str) -> None:
    ids = post(base_url, "/tokenize", model=model, messages=QUESTION)["tokens"]
    scored = complete(client, ids, model, max_tokens=0, echo=True, logprobs=3)
    [choice] = scored.choices
    with torch.no_grad():
        network = AutoModelForCausalLM.from_pretrained(FAMILIES[model].path, dtype=torch.float32).eval()
        expected = network(torch.tensor([ids])).logits[0].log_softmax(-1)
    given = choice.logprobs
    assert len(given.tokens) == len(given.token_logprobs) == len(given.top_logprobs) == len(ids)
    assert given.token_logprobs[0] is None
    assert given.top_logprobs[0] is None
    for place in range(1, len(ids)):
        row = expected[place - 1]
        assert given.token_logprobs[place] == pytest.approx(row[ids[place]].item(), abs=1e-3)
        assert max(given.top_logprobs[place].values()) == pytest.approx(row.max().item(), abs=1e-3)
        assert 3 <= len(given.top_logprobs[place]) <= 4
    assert choice.text == post(base_url, "/detokenize", model=model, tokens=ids)["prompt"]
    assert (scored.usage.prompt_tokens, scored.usage.completion_tokens) == (len(ids), 0)
    streamed = list(complete(client, ids, model, max_tokens=0, echo=True, logprobs=3, stream=True))
    assert "".join(chunk.choices[0].text for chunk in streamed) == choice.text
    pieces = [value for chunk in streamed if chunk.choices[0].logprobs for value in chunk.choices[0].logprobs.tokens]
    assert pieces == given.tokens


def test_continuations_are_scored_as_evaluations_do_it(client: openai.OpenAI, base_url: str) -> None:
    """A batch of token prompts, of which each is a context and a possible continuation."""
    context = post(base_url, "/tokenize", messages=QUESTION)["tokens"]
    endings = [post(base_url, "/tokenize", prompt=text, add_special_tokens=False)["tokens"] for text in ("42", "57")]
    batch = [[*context, *ending] for ending in endings]
    answer = complete(client, batch, max_tokens=1, echo=True, logprobs=1, seed=1234)
    assert [choice.index for choice in answer.choices] == [0, 1]
    sums, greedy = [], []
    for choice, ending in zip(answer.choices, endings, strict=True):
        logprobs = choice.logprobs
        assert len(logprobs.tokens) == len(context) + len(ending) + 1
        own = slice(len(context), len(context) + len(ending))
        sums.append(sum(logprobs.token_logprobs[own]))
        pairs = zip(logprobs.tokens[own], logprobs.top_logprobs[own], strict=True)
        greedy.append(all(token == max(top, key=top.get) for token, top in pairs))
    assert sums[0] > sums[1]
    assert not greedy[1]
    single = complete(client, batch[0], max_tokens=1, echo=True, logprobs=1).choices[0].logprobs
    assert single.token_logprobs[1:] == pytest.approx(answer.choices[0].logprobs.token_logprobs[1:], abs=1e-3)


def test_several_prompts_are_answered_side_by_side(client: openai.OpenAI) -> None:
    prompts = [f"What is {number} + 2?" for number in range(1, 5)]
    alone = [complete(client, prompt, extra_body={"ignore_eos": True}) for prompt in prompts]
    together = complete(client, prompts, n=1, extra_body={"ignore_eos": True})
    assert [choice.text for choice in together.choices] == [one.choices[0].text for one in alone]
    assert together.usage.total_tokens == sum(one.usage.total_tokens for one in alone)
    chunks = list(
        complete(client, prompts, stream=True, stream_options={"include_usage": True}, extra_body={"ignore_eos": True})
    )
    *pieces, last = chunks
    texts = ["", "", "", ""]
    for piece in pieces:
        texts[piece.choices[0].index] += piece.choices[0].text
    assert texts == [one.choices[0].text for one in alone]
    assert last.usage.total_tokens == together.usage.total_tokens
    order = [piece.choices[0].index for piece in pieces]
    assert order != sorted(order), "the second prompt waited for the first"


def test_n_choices_of_each_prompt(client: openai.OpenAI) -> None:
    answer = complete(
        client, ["a", "b"], n=3, temperature=1.5, max_tokens=8, echo=True, logprobs=0, extra_body={"ignore_eos": True}
    )
    assert [choice.index for choice in answer.choices] == [*range(6)]
    assert [choice.text[0] for choice in answer.choices] == ["a"] * 3 + ["b"] * 3
    for choice in answer.choices:
        assert len(choice.logprobs.tokens) >= 9
        assert all(math.isfinite(value) for value in choice.logprobs.token_logprobs[1:])
    assert answer.usage.completion_tokens == 48


def test_fields_of_chat_apply(client: openai.OpenAI) -> None:
    text = complete(client, "What is", max_tokens=16, extra_body={"ignore_eos": True})
    assert (text.usage.completion_tokens, text.choices[0].finish_reason) == (16, "length")
    whole = text.choices[0].text
    stop = whole[len(whole) // 2 :][:3]
    stopped = complete(client, "What is", max_tokens=16, stop=[stop], extra_body={"ignore_eos": True})
    assert stopped.choices[0].text == whole[: whole.index(stop)]
    default = client.completions.create(model="tiny-qwen", prompt="What is", extra_body={"ignore_eos": True})
    assert default.usage.completion_tokens == 16


@pytest.mark.parametrize(
    ("prompt", "fields", "param", "sentence"),
    [
        ([[5], [5, 10**6]], {}, "prompt[1][1]", r"Set 'prompt\[1\]\[1\]' to a token id of 'tiny-qwen', 0 to \d+, not"),
        (
            ["a", "what is 1 + 2 " * 3000],
            {},
            "prompt[1]",
            r"has (at least )?\d{4,} tokens.* holds 8192 tokens; shorten 'prompt",
        ),
        ([5] * 8190, {"max_tokens": 3}, "prompt", "has 8190 tokens and max_tokens asks for 3 more"),
        ("a", {"model": "moa-lite", "echo": True}, "echo", "for single models"),
        ([5], {"model": "moa-lite"}, "prompt", "send a recipe text"),
    ],
)
def test_what_is_refused(client: openai.OpenAI, prompt: Any, fields: dict[str, Any], param: str, sentence: str) -> None:
    with pytest.raises(openai.BadRequestError, match=sentence) as refused:
        complete(client, prompt, **fields)
    assert refused.value.param == param


def test_a_recipe_answers_a_text(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(model="moa-lite", messages=QUESTION, temperature=0, max_tokens=24)
    answer = complete(client, QUESTION[0]["content"], "moa-lite", extra_body={"moa": {"trace": True}})
    assert answer.choices[0].text == chat.choices[0].message.content
    assert [len(layer["agents"]) for layer in answer.moa["trace"]] == [3, 1]


def test_leaving_ends_the_work_on_all_prompts(client: openai.OpenAI, stats: Stats) -> None:
    before = stats()["tiny-qwen"]
    with complete(client, ["a", "b", "c"], max_tokens=7000, stream=True, extra_body={"ignore_eos": True}) as stream:
        for _ in stream:
            break
    deadline = time.monotonic() + 60
    while stats()["tiny-qwen"]["unfinished_requests"]:
        assert time.monotonic() < deadline, "the engine still works"
        time.sleep(0.1)
    assert stats()["tiny-qwen"]["aborted_requests"] - before["aborted_requests"] == 3


@pytest.mark.parametrize("model", MODELS)
def test_text_becomes_tokens_and_text_again(base_url: str, model: str) -> None:
    text = "What is 17 + 25? Name the capital of Peru."
    tokens = post(base_url, "/tokenize", model=model, prompt=text, add_special_tokens=False, return_token_strs=True)
    assert len(tokens["tokens"]) == len(tokens["token_strs"]) == tokens["count"]
    assert post(base_url, "/detokenize", model=model, tokens=tokens["tokens"])["prompt"].strip() == text
    turns = [*QUESTION, {"role": "assistant", "content": "42"}]
    opened = post(base_url, "/tokenize", model=model, messages=turns[:1])["tokens"]
    closed = post(base_url, "/tokenize", model=model, messages=turns, add_generation_prompt=False)["tokens"]
    assert closed[: len(opened)] == opened
