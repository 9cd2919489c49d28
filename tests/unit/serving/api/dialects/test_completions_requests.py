"""Completions requests: what they become, and what is refused by name."""

from typing import Any

import pytest

from serving.api.dialects.completions_requests import completions_requests, parse_completions
from serving.api.schemas.chat import StreamOptions
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Message
from serving.decoding import Decoding
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.types import GenerateRequest, MoaOptions, RawPrompt, ResponseFormat, Sampling
from tests.unit.serving.api.dialects.test_chat_requests import encoded

MODEL, RECIPE = ModelCard("m", "model"), ModelCard("team", "recipe")
ABLE = EngineInfo(raw_prompts=True)
WHY = "it is supported for single models, not for recipes"


def convert(card: ModelCard = MODEL, info: EngineInfo = ABLE, **fields: Any) -> tuple[GenerateRequest, ...]:
    headers = fields.pop("headers", {})
    settings = ApiSettings(**fields.pop("settings", {}))
    body = {"model": card.id, "prompt": "Hello", **fields}
    return completions_requests(parse_completions(encoded(body), settings), card, info, settings, "id", headers)


def refusal(card: ModelCard = MODEL, info: EngineInfo = ABLE, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        convert(card, info, **fields)
    return caught.value


def test_a_bare_request() -> None:
    assert convert() == (
        GenerateRequest(
            "id", (), Sampling(max_tokens=16), prompt=RawPrompt("Hello"), deadline_s=600.0, stream_interval=None
        ),
    )


def test_each_field_is_applied() -> None:
    sampling = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "n": 2,
        "seed": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logprobs": 4,
        "top_k": 5,
        "min_p": 0.01,
        "repetition_penalty": 1.1,
        "ignore_eos": True,
        "min_tokens": 2,
    }
    (request,) = convert(
        **sampling,
        best_of=2,
        stop="END",
        echo=True,
        add_special_tokens=False,
        user="me",
        priority=3,
        stream=True,
        stream_options={"include_usage": True},
        moa={"trace": True},
        response_format={"type": "json_object"},
    )
    assert request.sampling == Sampling(**sampling, stop=("END",), response_format=ResponseFormat("json_object"))
    assert request.prompt == RawPrompt("Hello", add_special_tokens=False, echo=True)
    assert (request.user, request.priority, request.stream_interval) == ("me", 3, 1)
    assert request.moa == MoaOptions(trace=True)


def test_the_options_of_a_stream_are_known() -> None:
    """They are those of chat requests: a new one must be applied to completions, too, or refused."""
    assert set(StreamOptions.model_fields) == {"include_usage", "continuous_usage_stats", "include_obfuscation"}


def test_decoding_rules_and_the_usage_so_far_reach_the_engine() -> None:
    fields = {"logit_bias": {"7": -100}, "stop_token_ids": [3], "bad_words": ["no"], "skip_special_tokens": False}
    [request] = convert(**fields, cache_salt="s", stream=True, stream_options={"continuous_usage_stats": True})
    decoding = Decoding(((7, -100.0),), stop_token_ids=(3,), bad_words=("no",), skip_special_tokens=False)
    assert (request.sampling.decoding, request.cache_salt, request.running_usage) == (decoding, "s", "answer")
    [request] = convert(structured_outputs={"choice": ["a", "b"]})
    assert request.sampling.response_format == ResponseFormat("choice", choices=("a", "b"))
    with pytest.raises(InvalidRequest, match="Remove 'response_format' or 'structured_outputs'"):
        convert(structured_outputs={"regex": "a"}, response_format={"type": "json_object"})


def test_null_is_not_given_and_what_asks_for_nothing_is_accepted() -> None:
    nothing = {
        "suffix": "",
        "best_of": 1,
        "logit_bias": {},
        "bad_words": [],
        "stop_token_ids": [],
        "use_beam_search": False,
        "length_penalty": 1.0,
        "skip_special_tokens": True,
        "response_format": {"type": "text"},
        "moa": {"trace": None, "recipe": None},
        "stream": False,
    }
    assert convert(**nothing) == convert(**dict.fromkeys([*nothing, "temperature", "max_tokens", "user"])) == convert()


def test_several_prompts_are_as_many_requests_with_their_places() -> None:
    first, second = convert(prompt=[[5, 6], [7]], n=2)
    assert (first.prompt, second.prompt) == (RawPrompt((5, 6), path="prompt[0]"), RawPrompt((7,), path="prompt[1]"))
    assert (first.request_id, second.request_id) == ("id-0", "id-1")
    (single,) = convert(prompt=[5, 6])
    assert (single.prompt, single.request_id) == (RawPrompt((5, 6)), "id")


def test_a_recipe_reads_a_text_as_a_users_message() -> None:
    first, second = convert(RECIPE, EngineInfo(), prompt=["a", "b"], moa={"recipe": "other", "samples": 2})
    assert (first.messages, second.messages) == ((Message("user", "a"),), (Message("user", "b"),))
    assert (first.prompt, first.sampling.max_tokens) == (None, None)
    assert first.moa == MoaOptions(recipe="other", overrides={"samples": 2})


@pytest.mark.parametrize(
    ("fields", "param", "why"),
    [
        ({"prompt": [1, 2]}, "prompt", "token ids are supported for single models; send a recipe text"),
        ({"prompt": [[1]]}, "prompt", "token ids are supported for single models; send a recipe text"),
        ({"echo": True}, "echo", WHY),
        ({"logprobs": 0}, "logprobs", WHY),
        ({"add_special_tokens": False}, "add_special_tokens", WHY),
        ({"moa": {"events": True}}, "moa.events", "only /v1/chat/completions has it"),
    ],
)
def test_what_a_recipe_does_not_have(fields: dict[str, Any], param: str, why: str) -> None:
    error = refusal(RECIPE, EngineInfo(), **fields)
    assert isinstance(error, UnsupportedField)
    assert (error.param, str(error)) == (param, f"Remove '{param}': {why}.")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"best_of": 2}, "best_of"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"prompt_embeds": "AA"}, "prompt_embeds"),
        ({"max_completion_tokens": 2}, "max_completion_tokens"),
        ({"stream_options": {"include_usage": True, "surprise": 1}, "stream": True}, "stream_options.surprise"),
        ({"moa": {"recipe": "x"}}, "moa.recipe"),
        ({"prompt": ["a", "b"], "moa": {"trace": True}}, "moa.trace"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert isinstance(error, UnsupportedField)
    assert error.param == param


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": None}, "Set 'prompt': it is required."),
        ({"prompt": ["a", 2]}, "Set 'prompt[1]' to a string, as the entries before it, not a number."),
        ({"prompt": ["a"] * 3, "settings": {"max_prompts": 2}}, "Shorten 'prompt': it has 3 prompts, at most 2"),
        ({"logprobs": 21}, "Set 'logprobs' to at most 20, not 21."),
        ({"logprobs": True}, "Set 'logprobs' to an integer, not true."),
        ({"max_tokens": 0}, "Set 'max_tokens' to at least 1, or 'echo' to true to get the prompt alone."),
        ({"max_tokens": -1}, "Set 'max_tokens' to at least 0, not -1."),
        ({"max_tokens": 9, "settings": {"max_tokens": 8}}, "Set 'max_tokens' to at most 8, not 9."),
        ({"min_tokens": 17}, "Set 'min_tokens' to at most 'max_tokens'."),
        ({"n": 17}, "Set 'n' to at most 16, not 17."),
        ({"temperature": 3}, "Set 'temperature' to at most 2, not 3."),
        ({"stream_options": {}}, "Remove 'stream_options' or set 'stream' to true."),
        ({"stop": 1}, "Set 'stop' to a string or a list of strings, not a number."),
        ({"response_format": {"type": "json_schema"}}, "Set 'response_format.json_schema': the type"),
    ],
)
def test_bad_values_get_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    assert str(refusal(**fields)).startswith(sentence)


def test_an_engine_without_raw_prompts_is_named() -> None:
    error = refusal(MODEL, EngineInfo())
    assert (error.param, error.status) == ("model", 400)
    assert str(error) == "Send conversations to 'm', with /v1/chat/completions; it takes no prompts."


def test_zero_tokens_are_the_echo_alone() -> None:
    (request,) = convert(max_tokens=0, echo=True, logprobs=1)
    assert request.sampling == Sampling(max_tokens=0, logprobs=1)


def test_long_prompts_and_a_header_name_a_session() -> None:
    def session(**fields: Any) -> str | None:
        (request,) = convert(**fields)
        return request.session

    assert session() is None
    assert session(prompt="x" * 3000) == session(prompt="x" * 3000) != session(prompt="y" * 3000)
    assert session(prompt=[1] * 3000) == session(prompt=[1] * 3000) not in (None, session(prompt=[2] * 3000))
    header = {b"x-session-id": b"s"}
    assert session(headers=header) == session(headers=header, prompt="other") is not None
