"""Each model alone, through the public client and real vLLM engines."""

import json

import openai
import pytest

from tests.e2e.conftest import MODELS, RECIPES

QUESTION = [{"role": "user", "content": "What is 17 + 25?"}]


def ask(client: openai.OpenAI, model: str, **options: object) -> openai.types.chat.ChatCompletion:
    options = {"temperature": 0, "max_tokens": 24, "messages": QUESTION, **options}
    return client.chat.completions.create(model=model, **options)


def test_models_and_recipes_are_listed(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} >= {*MODELS, *RECIPES}


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_has_the_same_text_as_a_whole_answer(client: openai.OpenAI, model: str) -> None:
    whole = ask(client, model)
    chunks = list(ask(client, model, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content != ""
    assert chunks[-1].usage == whole.usage or chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_comes_in_pieces(client: openai.OpenAI, model: str) -> None:
    # `min_tokens` keeps end tokens, which have no text, from being chosen.
    chunks = list(ask(client, model, stream=True, max_tokens=200, extra_body={"min_tokens": 200}))
    with_text = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    # A replica sends at most 8 together; two such groups may meet on a busy machine's way out.
    assert len(with_text) >= 200 / 16, "tokens are held back"


@pytest.mark.parametrize("model", MODELS)
def test_greedy_answers_repeat_and_seeds_decide(client: openai.OpenAI, model: str) -> None:
    assert ask(client, model).choices[0].message.content == ask(client, model).choices[0].message.content
    free = {"temperature": 1.5, "max_tokens": 40, "extra_body": {"ignore_eos": True}}
    same = [ask(client, model, seed=7, **free).choices[0].message.content for _ in range(2)]
    assert same[0] == same[1] != ask(client, model, seed=8, **free).choices[0].message.content


def test_n_gives_as_many_choices(client: openai.OpenAI) -> None:
    answer = ask(client, "tiny-qwen", n=3, temperature=1.5, max_tokens=12, extra_body={"ignore_eos": True})
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1
    assert answer.usage.completion_tokens == 36


def test_logprobs_come_for_each_token(client: openai.OpenAI) -> None:
    answer = ask(client, "tiny-llama", logprobs=True, top_logprobs=3, max_tokens=8, extra_body={"ignore_eos": True})
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == 8
    for token in tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].logprob == pytest.approx(token.logprob), "greedy takes the likeliest"


def test_a_stop_string_ends_the_answer_before_it(client: openai.OpenAI) -> None:
    text = ask(client, "tiny-qwen", max_tokens=40, extra_body={"ignore_eos": True}).choices[0].message.content
    stop = text[len(text) // 2 :][:3]
    stopped = ask(client, "tiny-qwen", max_tokens=40, stop=[stop], extra_body={"ignore_eos": True})
    assert stopped.choices[0].message.content == text[: text.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"


def test_max_tokens_is_kept(client: openai.OpenAI) -> None:
    answer = ask(client, "tiny-mixtral", max_tokens=5, extra_body={"ignore_eos": True})
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (5, "length")


@pytest.mark.parametrize("model", [*MODELS, "moa-lite"])
def test_a_json_schema_is_kept(client: openai.OpenAI, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "n": {"enum": [1, 2]}},
        "required": ["ok", "n"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    answer = json.loads(ask(client, model, response_format=form, max_tokens=200).choices[0].message.content)
    assert set(answer) == {"ok", "n"}
    assert isinstance(answer["ok"], bool)
    assert answer["n"] in (1, 2)


@pytest.mark.parametrize("model", [*MODELS, *RECIPES])
def test_a_conversation_that_is_too_long_says_both_numbers(client: openai.OpenAI, model: str) -> None:
    long = [{"role": "user", "content": "what is 1 + 2 " * 3000}]
    with pytest.raises(openai.BadRequestError, match=r"has (at least )?\d{4,} tokens.* holds 8192 tokens") as refused:
        ask(client, model, messages=long)
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize("model", MODELS)
def test_system_and_earlier_turns_reach_the_model(client: openai.OpenAI, model: str) -> None:
    plain = ask(client, model).usage.prompt_tokens
    turns = [
        {"role": "system", "content": "You answer briefly."},
        *QUESTION,
        {"role": "assistant", "content": "42"},
        {"role": "user", "content": "And 8 - 3?"},
    ]
    assert ask(client, model, messages=turns).usage.prompt_tokens > plain + 10
