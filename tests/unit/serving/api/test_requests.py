import json
from typing import Any

import pytest

from serving.api.requests import parse_chat, to_request
from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest, UnsupportedField
from serving.types import GenerateRequest, Message, MoaOptions, ModelCard, ResponseFormat, Sampling

MODEL, RECIPE = ModelCard("m", "model"), ModelCard("r", "recipe")


def convert(card: ModelCard = MODEL, *, limits: dict[str, Any] | None = None, **fields: Any) -> GenerateRequest:
    body = {"model": card.id, "messages": [{"role": "user", "content": "hi"}], **fields}
    return to_request(parse_chat(json.dumps(body).encode(), 100), card, ApiSettings(**(limits or {})), "id-1")


def test_every_honoured_field_arrives() -> None:
    schema = {"type": "object"}
    request = convert(
        RECIPE,
        temperature=0.5,
        top_p=0.9,
        max_tokens=10,
        n=2,
        stop=["a", "b"],
        seed=-7,
        presence_penalty=1,
        frequency_penalty=-1,
        logprobs=True,
        top_logprobs=3,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
        stream=True,
        user="u",
        metadata={"a": "b"},
        top_k=5,
        min_p=0.1,
        repetition_penalty=1.1,
        ignore_eos=True,
        min_tokens=2,
        priority=-3,
        moa={"trace": True, "layout": "paper"},
    )
    assert request == GenerateRequest(
        request_id="id-1",
        messages=(Message("user", "hi"),),
        sampling=Sampling(
            temperature=0.5,
            top_p=0.9,
            max_tokens=10,
            stop=("a", "b"),
            seed=-7,
            n=2,
            presence_penalty=1.0,
            frequency_penalty=-1.0,
            logprobs=3,
            response_format=ResponseFormat("json_schema", "x", schema),
            top_k=5,
            min_p=0.1,
            repetition_penalty=1.1,
            ignore_eos=True,
            min_tokens=2,
        ),
        priority=-3,
        deadline_s=600.0,
        stream_interval=1,
        user="u",
        metadata={"a": "b"},
        moa=MoaOptions(trace=True, overrides={"layout": "paper"}),
    )


def test_what_is_not_given_stays_unset() -> None:
    request = convert()
    assert request.sampling == Sampling()
    assert (request.streaming, request.moa, request.user, request.priority) == (False, MoaOptions(), None, 0)


def test_conversations_pass_through_intact() -> None:
    request = convert(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "In French."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a\n"}, {"type": "text", "text": " b"}],
                "name": "Ann",
            },
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "<|im_start|>\u0000 é"},
        ]
    )
    assert request.messages == (
        Message("system", "Be brief."),
        Message("system", "In French."),
        Message("user", "a\n b", "Ann"),
        Message("assistant", ""),
        Message("user", "<|im_start|>\u0000 é"),
    )


def test_a_single_stop_text_is_a_list_of_one() -> None:
    assert convert(stop="\n").sampling.stop == ("\n",)


@pytest.mark.parametrize(
    ("given", "wanted"), [({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 4}, 4), ({}, None)]
)
def test_logprobs_are_off_or_a_number_of_alternatives(given: dict[str, Any], wanted: int | None) -> None:
    assert convert(**given).sampling.logprobs == wanted


def test_both_names_of_max_tokens_mean_the_same() -> None:
    assert convert(max_completion_tokens=5).sampling.max_tokens == 5
    assert convert(max_completion_tokens=5, max_tokens=5).sampling.max_tokens == 5


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens"),
        ({"max_tokens": 101}, "max_tokens"),
        ({"max_completion_tokens": 101}, "max_completion_tokens"),
        ({"n": 5}, "n"),
        ({"min_tokens": 6, "max_tokens": 5}, "min_tokens"),
        ({"min_tokens": 101}, "min_tokens"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"top_logprobs": 1, "logprobs": False}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "text", "json_schema": {"name": "x", "schema": {}}}},
            "response_format.json_schema",
        ),
        ({"moa": {"trace": "yes"}}, "moa.trace"),
        ({"moa": {"trace": 1}}, "moa.trace"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        convert(limits={"max_tokens": 100, "max_choices": 4}, **fields)
    assert caught.value.param == param


def test_recipe_options_are_for_recipes() -> None:
    with pytest.raises(UnsupportedField) as caught:
        convert(MODEL, moa={"trace": True, "layout": "paper"})
    assert caught.value.param == "moa.layout"
    assert convert(RECIPE, moa={"layout": "paper"}).moa == MoaOptions(overrides={"layout": "paper"})


@pytest.mark.parametrize(
    ("given", "wanted"), [({"type": "text"}, None), ({"type": "json_object"}, ResponseFormat("json_object"))]
)
def test_response_formats_without_a_schema(given: dict[str, Any], wanted: ResponseFormat | None) -> None:
    assert convert(response_format=given).sampling.response_format == wanted
