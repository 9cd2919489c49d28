"""Keys of answers: equal if and only if all that carries meaning is equal."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.cache.key import key_of
from serving.conversation import Image, Message, Thinking, Tool, ToolCall, ToolChoice
from serving.decoding import Decoding
from serving.references import Reference, ReferenceBlock
from serving.tenant import Tenant
from serving.trace_context import TraceContext
from serving.types import CacheOption, GenerateRequest, MoaOptions, RawPrompt, ResponseFormat, Sampling

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
OTHER_ORDER = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "string"}}}
PNG = Image("image/png", b"one", "digest-of-one")

# Values of each field: all of them give different keys. Fields of values inside are in `test_..._inside`.
OF_SAMPLING: Mapping[str, tuple[Any, ...]] = {
    "temperature": (None, 0.0, 0.7),
    "top_p": (None, 0.5, 1.0),
    "max_tokens": (None, 1, 2),
    "stop": ((), ("a",), ("a", "b"), ("ab",)),
    "seed": (None, 0, 1),
    "n": (1, 2),
    "presence_penalty": (0.0, 0.5),
    "frequency_penalty": (0.0, 0.5),
    "logprobs": (None, 0, 5),
    "response_format": (
        None,
        ResponseFormat("json_object"),
        ResponseFormat("json_schema", "x", SCHEMA),
        ResponseFormat("json_schema", "y", SCHEMA),
        ResponseFormat("json_schema", "x", OTHER_ORDER),
        ResponseFormat("regex", rule="a+"),
        ResponseFormat("choice", choices=("a", "b")),
    ),
    "top_k": (None, 1),
    "min_p": (None, 0.1),
    "repetition_penalty": (None, 1.1),
    "ignore_eos": (False, True),
    "min_tokens": (0, 1),
    "decoding": (Decoding(), Decoding(logit_bias=((1, 2.0),)), Decoding(bad_words=("x",))),
}
WITH_MEANING: Mapping[str, tuple[Any, ...]] = {
    "messages": (
        (),
        (Message("user", "hi"),),
        (Message("user", "hi "),),
        (Message("system", "hi"),),
        (Message("user", "h"), Message("user", "i")),
        (Message("user", "hi", name="ann"),),
        (Message("assistant", "hi", reasoning="hm"),),
        (Message("assistant", "hi", tool_calls=(ToolCall("1", "f", "{}"),)),),
        (Message("assistant", "hi", tool_calls=(ToolCall("1", "f", "{ }"),)),),
        (Message("tool", "hi", tool_call_id="1"),),
        (Message("user", "[image]"),),
        (Message("user", "[image]", images=(PNG,)),),
        (Message("user", "[image]", images=(replace(PNG, digest="digest-of-two"),)),),
        (Message("user", "[image]", images=(replace(PNG, detail="low"),)),),
        (Message("user", "\ud800"),),
    ),
    "references": (None, ReferenceBlock((Reference("m", "t"),), "i"), ReferenceBlock((Reference("m", "u"),), "i")),
    "tools": (
        (),
        (Tool("f"),),
        (Tool("f", "about"),),
        (Tool("f", None, SCHEMA),),
        (Tool("f", None, OTHER_ORDER),),
        (Tool("f", None, SCHEMA, strict=True),),
        (Tool("f"), Tool("g")),
        (Tool("g"), Tool("f")),
    ),
    "tool_choice": (ToolChoice(), ToolChoice("required"), ToolChoice("named", "f"), ToolChoice("named", "g")),
    "parallel_tool_calls": (True, False),
    "thinking": (Thinking(), Thinking(True), Thinking(True, "low"), Thinking(True, None, 100)),
    "template_args": ({}, {"a": 1}, {"a": True}, {"a": "1"}),
    "token_cap": (None, 5),
    "prompt_end": ("answer", "continued"),
    "prompt": (None, RawPrompt("hi"), RawPrompt((1, 2)), RawPrompt((12,)), RawPrompt("hi", echo=True)),
    "cache_salt": (None, "salt"),
    "tenant": (Tenant(), Tenant("a", True), Tenant("b", True)),
    "moa": (MoaOptions(), MoaOptions(trace=True)),
}
WITHOUT_MEANING: Mapping[str, tuple[Any, ...]] = {
    "request_id": ("1", "2"),
    "trace": (None, TraceContext(1, 2, False)),
    "priority": (0, 7),
    "deadline_s": (None, 5.0),
    "stream_interval": (1, None),
    "user": (None, "ann"),
    "session": (None, "s"),
    "metadata": ({}, {"team": "blue"}),
    "running_usage": (None, "team"),
    # Not isolated: callers share what they compute. The engine's identity has the overrides and the recipe.
    "tenant": (Tenant(), Tenant("a"), Tenant("b")),
    "moa": (
        MoaOptions(),
        MoaOptions(recipe="other"),
        MoaOptions(overrides={"temperature": 1.0}),
        MoaOptions(cache=CacheOption(60)),
        MoaOptions(cache=CacheOption(None)),
        MoaOptions(events="text"),
        MoaOptions(show_reasoning=True),
        MoaOptions(preview=True),
    ),
    # Paths are for errors: another dialect has others.
    "tools": ((Tool("f", path="tools"),), (Tool("f", path="input_schema"),)),
    "prompt": (RawPrompt("hi", path="prompt"), RawPrompt("hi", path="prompt[0]")),
}


def key(*requests: GenerateRequest, model: str = "m", identity: str = "i", version: str = "") -> str:
    return key_of(model, identity, requests, version)


def test_every_field_of_a_request_is_tested() -> None:
    assert {field.name for field in fields(GenerateRequest)} == {*WITH_MEANING, *WITHOUT_MEANING, "sampling"}
    assert {field.name for field in fields(Sampling)} == {*OF_SAMPLING}


def request_of(changes: Mapping[str, Any], sampling: Mapping[str, Any]) -> GenerateRequest:
    return GenerateRequest(**{"request_id": "r", "messages": (), **changes, "sampling": Sampling(**sampling)})


def one_of_each(values: Mapping[str, tuple[Any, ...]]) -> st.SearchStrategy[dict[str, Any]]:
    """The place of a value of each field."""
    return st.fixed_dictionaries({name: st.integers(0, len(options) - 1) for name, options in values.items()})


def picked(values: Mapping[str, tuple[Any, ...]], places: Mapping[str, int]) -> dict[str, Any]:
    return {name: values[name][place] for name, place in places.items()}


NEUTRAL = {name: options for name, options in WITHOUT_MEANING.items() if name not in WITH_MEANING}


@given(st.data())
def test_keys_are_equal_if_and_only_if_the_fields_with_meaning_are(data: st.DataObject) -> None:
    meaning, sampling = data.draw(one_of_each(WITH_MEANING)), data.draw(one_of_each(OF_SAMPLING))
    changed = data.draw(st.sets(st.sampled_from([*WITH_MEANING, *OF_SAMPLING]), max_size=2))
    others = {name: data.draw(st.integers(0, len(WITH_MEANING[name]) - 1)) for name in changed & set(WITH_MEANING)}
    sampled = {name: data.draw(st.integers(0, len(OF_SAMPLING[name]) - 1)) for name in changed & set(OF_SAMPLING)}
    first = request_of(
        picked(WITH_MEANING, meaning) | picked(NEUTRAL, data.draw(one_of_each(NEUTRAL))),
        picked(OF_SAMPLING, sampling),
    )
    second = request_of(
        picked(WITH_MEANING, meaning | others) | picked(NEUTRAL, data.draw(one_of_each(NEUTRAL))),
        picked(OF_SAMPLING, sampling | sampled),
    )
    same = meaning == meaning | others and sampling == sampling | sampled
    assert (key(first) == key(second)) is same


@pytest.mark.parametrize("name", [*WITH_MEANING, *OF_SAMPLING])
def test_each_value_of_a_field_with_meaning_has_its_own_key(name: str) -> None:
    if name in OF_SAMPLING:
        keys = [key(request_of({}, {name: value})) for value in OF_SAMPLING[name]]
    else:
        keys = [key(request_of({name: value}, {})) for value in WITH_MEANING[name]]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", WITHOUT_MEANING)
def test_other_fields_do_not_change_the_key(name: str) -> None:
    assert len({key(request_of({name: value}, {})) for value in WITHOUT_MEANING[name]}) == 1


def test_model_identity_version_and_the_number_of_prompts_change_the_key() -> None:
    one = request_of({}, {})
    keys = [
        key(one),
        key(one, model="other"),
        key(one, identity="other"),
        key(one, version="2"),
        key(one, one),
        key(one, request_of({"prompt": RawPrompt("x")}, {})),
    ]
    assert len(set(keys)) == len(keys)
