"""Inputs of the fuzzers: JSON bodies made of the dialects' own fields, events and YAML, as strategies of hypothesis."""

import json
from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from deployments.config import Profile
from loadtest.torture.fuzz_targets import BODIES, MODELS
from serving.recipes.strategies.layered import Layered

# Words that mean something somewhere: a random text would hardly ever be one.
WORDS = (
    *("role", "user", "assistant", "system", "tool", "developer", "content", "type", "text", "function", "name"),
    *("id", "arguments", "call_id", "input_text", "output_text", "image_url", "url", "data:image/png;base64,AAAA"),
    *("json_schema", "json_object", "schema", "strict", "auto", "none", "required", "any", "tool_use", "tool_result"),
    *("thinking", "signature", "function_call", "function_call_output", "reasoning", "properties", "object", "$ref"),
    *("low", "high", "trace", "layers", "proposal_max_tokens", "a", "moa-lite", "", "\ud800", "\x00", "-1", "1e400"),
)
VALID: Mapping[str, dict[str, Any]] = {
    "messages": {"messages": [{"role": "user", "content": "x"}]},
    "max_tokens": {"max_tokens": 4},
    "prompt": {"prompt": "x"},
    "input": {"input": "x"},
    "query": {"query": "x", "documents": ["y"]},
}

words = st.sampled_from(WORDS) | st.text(max_size=20)
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**40, 1e308])
leaves: SearchStrategy[Any] = st.none() | st.booleans() | numbers | words
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=25
)
turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "developer"]) | words, "content": values},
        optional={
            "name": values,
            "tool_calls": values,
            "tool_call_id": values,
            "reasoning_content": values,
            "type": words,
            "id": words,
        },
    ),
    max_size=4,
)


@st.composite
def bodies(draw: st.DrawFn, path: str) -> bytes:
    """A valid body of the dialect with a few fields that are not."""
    fields = [*BODIES[path].model_fields]
    body: dict[str, Any] = {"model": draw(st.sampled_from(MODELS))}
    for name, valid in VALID.items():
        if name in fields:
            body |= valid
    for name in draw(st.lists(st.sampled_from(fields), max_size=4, unique=True)):
        own = turns | values if name in ("messages", "input") else values
        body[name] = draw(own)
    raw = json.dumps(body).encode()
    cut = draw(st.integers(0, len(raw)))
    return draw(st.sampled_from([raw] * 8 + [raw[:cut], raw[:cut] + draw(st.binary(max_size=8)) + raw[cut:]]))


event_pieces = st.sampled_from(
    [b"data: ", b"data:", b"event: ", b"\n", b"\r", b"\r\n", b"\n\n", b": ", b"\xef\xbb\xbf", b"id:", b"[DONE]"]
)
event_streams = st.lists(event_pieces | st.binary(max_size=12), max_size=40).map(b"".join)


@st.composite
def configs(draw: st.DrawFn, required: Mapping[str, Any], fields: tuple[str, ...]) -> bytes:
    """A valid YAML mapping with a few fields that are not, now and then cut."""
    config = dict(required)
    for name in draw(st.lists(st.sampled_from(fields) | words, max_size=3, unique=True)):
        config[name] = draw(values)
    raw = yaml.safe_dump(config).encode("utf-8", "surrogatepass")
    cut = draw(st.integers(0, len(raw)))
    odd = draw(st.sampled_from([b"&a [*a, *a]", b"!!python/object/apply:os.system [x]", b"\t", b"{", b"*x", b"\x00"]))
    return draw(st.sampled_from([raw] * 8 + [raw[:cut], raw[:cut] + odd + raw[cut:]]))


PROFILE: Mapping[str, Any] = {"name": "fuzzed", "models": [{"id": "a", "source": "a"}]}
RECIPE: Mapping[str, Any] = {"id": "r", "strategy": "layered", "layers": [["a"]], "aggregator": "a"}

INPUTS: Mapping[str, SearchStrategy[bytes]] = {
    **{path: bodies(path) for path in BODIES},
    "events": event_streams,
    "profile": configs(PROFILE, tuple(Profile.model_fields)),
    "recipe": configs(RECIPE, tuple(Layered.model_fields)),
}
