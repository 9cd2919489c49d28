"""Real language from one model: a fact, no tags, exact stops, JSON by schema."""

import json
from functools import partial
from itertools import product

import openai
import pytest

from tests.smol.asking import ask, streamed, text_of, together, whole

CAPITAL = "What is the capital of France?"
GREEK = "Write the Greek alphabet letters."
TOKENS = 40


@pytest.fixture(scope="module")
def greek(client: openai.OpenAI) -> str:
    """A greedy answer of several lines, partly not ASCII."""
    text = whole(client, GREEK, max_tokens=TOKENS)
    assert "(α)" in text
    assert text.count("\n") > 2
    return text


def test_the_greedy_answer_is_right(client: openai.OpenAI) -> None:
    answer = ask(client, CAPITAL)
    assert text_of(answer) == "The capital of France is Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (37, 8)  # with the template's tokens


def test_without_thinking_there_are_no_tags_and_no_reasoning(client: openai.OpenAI) -> None:
    answer = ask(client, CAPITAL, reasoning_effort="none")
    assert text_of(answer) == "The capital of France is Paris."
    assert not {"reasoning", "reasoning_content"} & set(answer.choices[0].message.model_extra)
    with pytest.raises(openai.BadRequestError, match="'smol' does not support thinking") as refused:
        ask(client, CAPITAL, reasoning_effort="high")
    assert refused.value.param == "reasoning_effort"


def test_an_answer_ends_exactly_before_a_stop_string(client: openai.OpenAI, greek: str) -> None:
    """Stop strings of one to nine characters, at the beginning, in the middle and at the end; some within a token."""
    begins = [(int(share * (len(greek) - length)), length) for share, length in product((0, 0.3, 0.9), (1, 4, 9))]
    stops = [greek[begin : begin + length] for begin, length in begins] + ["(α)"]
    made = partial(ask, client, GREEK, max_tokens=TOKENS)
    answers = together([partial(made, stop=[stop, "no such text"]) for stop in stops])
    streams = together([partial(streamed, client, GREEK, max_tokens=TOKENS, stop=stop) for stop in stops])
    for stop, answer, stream in zip(stops, answers, streams, strict=True):
        assert text_of(answer) == stream == greek[: greek.index(stop)], stop
        assert answer.choices[0].finish_reason == "stop"


def test_of_several_stop_strings_the_first_in_the_text_counts(client: openai.OpenAI, greek: str) -> None:
    assert whole(client, GREEK, max_tokens=TOKENS, stop=["* Beta", "(α)", "Alpha"]) == greek[: greek.index("Alpha")]


def test_the_beginning_of_a_stop_string_is_not_lost(client: openai.OpenAI, greek: str) -> None:
    """The engine holds text back that may become a stop string; at the token limit it is part of the answer."""
    begun = [f"{greek[-length:]} and more" for length in (1, 3, 9)]
    calls = [partial(call, client, GREEK, max_tokens=TOKENS, stop=stop) for call in (whole, streamed) for stop in begun]
    assert set(together(calls)) == {greek}


@pytest.mark.parametrize("model", ["smol", "moa-lite"])
def test_a_json_schema_is_kept(client: openai.OpenAI, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {
            "greeting": {"enum": ["Grüße, 世界 🎉"]},
            "city": {"type": "string", "maxLength": 12},
            "stars": {"type": "integer", "minimum": 1, "maximum": 5},
            "tags": {"type": "array", "items": {"enum": ["old", "large"]}, "minItems": 1, "maxItems": 2},
        },
        "required": ["greeting", "city", "stars", "tags"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "visit", "schema": schema, "strict": True}}
    calls = [partial(call, client, "Describe Paris.", model, response_format=form) for call in (whole, streamed)]
    text, stream = together([partial(call, max_tokens=120) for call in calls])
    found = json.loads(text)
    assert found.keys() == schema["properties"].keys()
    assert found["greeting"] == "Grüße, 世界 🎉"
    assert len(found["city"]) <= 12
    assert found["stars"] in range(1, 6)
    assert found["tags"]
    assert set(found["tags"]) <= {"old", "large"}
    assert stream == text
