"""vLLM's extensions on the real trio: what they force and forbid, what they continue, and that teams honour them."""

import re
import secrets
from functools import cache
from typing import Any

import httpx
import openai
import pytest
from transformers import AutoTokenizer

from tests.e2e.conftest import MODELS
from tests.support.paths import ROOT

QUESTION = [{"role": "user", "content": "What is 17 + 25?"}]
TEAM = "moa-lite"
FINAL = "tiny-qwen"  # writes the team's answer


@cache
def tokenizer(model: str) -> Any:
    return AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / model)


def ask(client: openai.OpenAI, model: str, messages: Any = QUESTION, **extra: Any) -> Any:
    """The answer; arguments that OpenAI's client does not have are vLLM's."""
    own = {name: extra.pop(name) for name in ("logprobs", "stop", "max_tokens", "logit_bias") if name in extra}
    fields = {"temperature": 0, "max_tokens": 24, **own}
    return client.chat.completions.create(model=model, messages=messages, extra_body=extra, **fields)


def text(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def some_token(model: str) -> tuple[int, str]:
    """A token that is a letter, with its text."""
    for letter in "xkqzj":
        [*ids] = tokenizer(model).encode(letter, add_special_tokens=False)
        if len(ids) == 1 and tokenizer(model).decode(ids) == letter:
            return ids[0], letter
    raise AssertionError(f"{model} has no token for a letter")


@pytest.mark.parametrize("model", [FINAL, TEAM])
def test_a_bias_forces_a_token(client: openai.OpenAI, model: str) -> None:
    token, letter = some_token(FINAL)
    forced = ask(client, model, logit_bias={str(token): 100}, max_tokens=4, ignore_eos=True, moa={"trace": True})
    assert text(forced) == letter * 4
    *layers, last = forced.moa["trace"]
    assert [agent["text"] for agent in last["agents"]] == [letter * 4]
    assert all(agent["text"] != letter * 4 for layer in layers for agent in layer["agents"]), "advice is as it was"


@pytest.mark.parametrize("model", MODELS)
def test_a_bias_forbids_a_token(client: openai.OpenAI, model: str) -> None:
    plain = ask(client, model, logprobs=True).choices[0].logprobs.content[0].token
    token = next(one for one in range(len(tokenizer(model))) if tokenizer(model).decode([one]) == plain)
    biased = ask(client, model, logprobs=True, logit_bias={str(token): -100})
    assert plain not in [one.token for one in biased.choices[0].logprobs.content]


@pytest.mark.parametrize("model", [FINAL, TEAM])
def test_only_allowed_tokens_are_generated(client: openai.OpenAI, model: str) -> None:
    token, letter = some_token(FINAL)
    [digit] = tokenizer(FINAL).encode("7", add_special_tokens=False)
    answer = ask(client, model, allowed_token_ids=[token, digit], max_tokens=6, ignore_eos=True)
    assert re.fullmatch(f"[{letter}7]{{6}}", text(answer))


@pytest.mark.parametrize("model", [FINAL, TEAM])
def test_a_token_ends_the_answer(client: openai.OpenAI, model: str) -> None:
    whole = text(ask(client, model))
    ids = tokenizer(FINAL).encode(whole, add_special_tokens=False)
    place = next(place for place in range(1, len(ids)) if ids[place] not in ids[:place])
    stopped = ask(client, model, stop_token_ids=[ids[place]])
    assert text(stopped) == tokenizer(FINAL).decode(ids[:place])
    assert stopped.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", [FINAL, TEAM])
def test_bad_words_do_not_occur(client: openai.OpenAI, model: str) -> None:
    assert "42" in text(ask(client, model))
    assert "42" not in text(ask(client, model, bad_words=["42"]))


@pytest.mark.parametrize("model", [*MODELS, TEAM])
def test_an_answer_is_one_of_the_choices(client: openai.OpenAI, model: str) -> None:
    choices = ["forty-two", "seven"]
    assert text(ask(client, model, structured_outputs={"choice": choices})) in choices


@pytest.mark.parametrize("model", [*MODELS, TEAM])
def test_an_answer_matches_the_expression(client: openai.OpenAI, model: str) -> None:
    answer = ask(client, model, structured_outputs={"regex": "[A-Z]{3}-[0-9]{2}"})
    assert re.fullmatch("[A-Z]{3}-[0-9]{2}", text(answer))


def test_an_answer_follows_the_grammar(client: openai.OpenAI) -> None:
    answer = ask(client, FINAL, structured_outputs={"grammar": 'root ::= "sum=" [0-9] [0-9]'})
    assert re.fullmatch("sum=[0-9]{2}", text(answer))


def test_a_stop_string_can_stay(client: openai.OpenAI) -> None:
    whole = text(ask(client, FINAL, ignore_eos=True))
    stop = whole[len(whole) // 2 :][:3]
    stopped = ask(client, FINAL, stop=[stop], include_stop_str_in_output=True, ignore_eos=True)
    assert text(stopped) == whole[: whole.index(stop) + len(stop)]


def halves(model: str, whole: str) -> tuple[str, str]:
    """`whole` cut where the tokens of its first part are the first tokens of the whole."""
    ids = tokenizer(model).encode(whole, add_special_tokens=False)
    for place in range(len(ids) // 2, 0, -1):
        first = tokenizer(model).decode(ids[:place])
        if whole.startswith(first) and tokenizer(model).encode(first, add_special_tokens=False) == ids[:place]:
            return first, whole[len(first) :]
    raise AssertionError(f"no cut in {whole!r}")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_an_answer_continues_the_message_exactly(client: openai.OpenAI, model: str, stream: bool) -> None:
    whole = text(ask(client, model, chat_template_kwargs={"enable_thinking": False}))
    first, rest = halves(model, whole)
    body: dict[str, Any] = {"continue_final_message": True, "chat_template_kwargs": {"enable_thinking": False}}
    messages: Any = [*QUESTION, {"role": "assistant", "content": first}]
    if not stream:
        assert text(ask(client, model, messages, **body)) == rest
        return
    chunks = client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_tokens=24, stream=True, extra_body=body
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == rest


def test_a_team_continues_the_message(client: openai.OpenAI) -> None:
    messages: Any = [*QUESTION, {"role": "assistant", "content": "17 + 25 = 4"}]
    answer = ask(client, TEAM, messages, continue_final_message=True, moa={"trace": True})
    assert not text(answer).startswith("17")
    *layers, last = answer.moa["trace"]
    assert [agent["text"] for agent in last["agents"]] == [text(answer)]
    assert [agent["outcome"] for layer in layers for agent in layer["agents"]] == ["ok"] * 3


def test_the_messages_api_continues_an_answers_beginning(client: openai.OpenAI, base_url: str) -> None:
    messages: Any = [*QUESTION, {"role": "assistant", "content": "17 + 25 = "}]
    body = {"model": FINAL, "max_tokens": 24, "temperature": 0, "messages": messages}
    [block] = httpx.post(f"{base_url}/v1/messages", json=body, timeout=240).json()["content"]
    assert block["text"] == text(ask(client, FINAL, messages, continue_final_message=True))


def test_a_salt_keeps_prompts_apart(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Sum these numbers: " + " ".join(map(str, range(100, 160)))}]

    def cached(salt: str) -> int:
        answer = ask(client, FINAL, messages, cache_salt=salt, max_tokens=2)
        return int(answer.usage.prompt_tokens_details.cached_tokens)

    first, second = (secrets.token_hex(16) for _ in range(2))
    assert (cached(first), cached(first) > 0, cached(second)) == (0, True, 0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logit_bias": {"999999": 1}}, "logit_bias.999999"),
        ({"stop_token_ids": [1, 999999]}, "stop_token_ids[1]"),
        ({"allowed_token_ids": [999999]}, "allowed_token_ids[0]"),
        ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex"),
        ({"structured_outputs": {"grammar": "root ::= missing"}}, "structured_outputs.grammar"),
        ({"structured_outputs": {"structural_tag": "{}"}}, "structured_outputs.structural_tag"),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", [FINAL, TEAM])
def test_what_the_engine_cannot_do_is_the_callers_error(
    client: openai.OpenAI, model: str, fields: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, model, **fields)
    assert caught.value.param == param


def test_token_ids_for_a_team_of_voters_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="token ids differ between models") as caught:
        ask(client, "vote", logit_bias={"5": 1})
    assert caught.value.param == "logit_bias"
