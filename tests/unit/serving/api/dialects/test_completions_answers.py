"""Answers to completions requests, as JSON and as chunks of a stream."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import sse
from serving.api.dialects.chat_answers import AnswerInfo
from serving.api.dialects.completions_answers import CompletionsAnswer, TextChunkEncoder, text_logprobs
from serving.errors import EngineFailed, Overloaded
from serving.types import Choice, Completion, Delta, Report, TokenLogprob
from serving.usage import TokenUsage

INFO = AnswerInfo("cmpl-1", 1_700_000_000, "m")
USAGE = TokenUsage(3, 2, 1)
REPORT = Report("team", True, ("m was late.",), ())
TOKENS = (
    TokenLogprob("He", math.nan),
    TokenLogprob("llo", -0.5, top=(TokenLogprob("llo", -0.5), TokenLogprob("y", -1.5))),
    TokenLogprob("!", -3.0, top=(TokenLogprob("?", -0.1), TokenLogprob("?", -9.0))),
    TokenLogprob("", -math.inf),
)


def encoder(choices: int = 1, include_usage: bool = False, trace: bool = False) -> TextChunkEncoder:
    return CompletionsAnswer(INFO, choices, include_usage, trace).events()


def parsed(data: bytes) -> list[Any]:
    assert data.endswith(sse.END) or not data
    return [json.loads(event.removeprefix(sse.START)) for event in data.split(sse.END) if event]


def chunk(**fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": None, **fields}
    return {"id": "cmpl-1", "object": "text_completion", "created": INFO.created, "model": "m", "choices": [choice]}


def test_a_whole_answer() -> None:
    completion = Completion((Choice("a", "stop"), Choice("b\ud800", "length", TOKENS[:1])), USAGE)
    answer = CompletionsAnswer(INFO, 2).whole(completion)
    assert (answer["id"], answer["object"], answer["model"]) == ("cmpl-1", "text_completion", "m")
    first, second = answer["choices"]
    assert first == {"index": 0, "text": "a", "logprobs": None, "finish_reason": "stop"}
    assert (second["index"], second["text"], second["logprobs"]["tokens"]) == (1, "b\ufffd", ["He"])
    assert answer["usage"]["total_tokens"] == 5
    assert "moa" not in answer


def test_reasons_are_in_moa_and_reasoning_is_nowhere() -> None:
    completion = Completion((Choice("a", "stop", reasoning="hm"),), USAGE, report=REPORT)
    answer = CompletionsAnswer(INFO).whole(completion)
    assert (answer["moa"]["degraded"], answer["moa"]["reasons"]) == (True, ["m was late."])
    assert "hm" not in json.dumps(answer)


def test_logprobs_are_four_lists() -> None:
    assert text_logprobs(TOKENS, 10) == {
        "tokens": ["He", "llo", "!", ""],
        "token_logprobs": [None, -0.5, -3.0, -9999.0],
        "top_logprobs": [None, {"llo": -0.5, "y": -1.5}, {"?": -0.1, "!": -3.0}, {"": -9999.0}],
        "text_offset": [10, 12, 15, 16],
    }


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_offsets_are_the_same_in_a_stream(texts: list[str]) -> None:
    tokens = [TokenLogprob(text, -1.0) for text in texts]
    stream, parts = encoder(), []
    for text, token in zip(texts, tokens, strict=True):
        ((choice,),) = [event["choices"] for event in parsed(stream.encode(Delta(text, logprobs=(token,))))]
        parts.append(choice["logprobs"])
    whole = text_logprobs(tokens)
    assert {name: [one for part in parts for one in part[name]] for name in whole} == whole


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_is_one_event_and_comes_back(text: str) -> None:
    data = encoder().encode(Delta(text))
    assert data.count(sse.END) == 1
    assert parsed(data) == [chunk(text=text)]


def test_the_last_text_and_the_finish_reason_share_a_chunk() -> None:
    stream = encoder()
    assert (stream.opening(), stream.encode(Delta())) == (b"", b"")
    assert parsed(stream.encode(Delta("x", finish_reason="stop", usage=USAGE))) == [
        chunk(text="x", finish_reason="stop")
    ]
    assert stream.unfinished == set()
    assert stream.closing() == sse.DONE


def test_usage_is_a_chunk_of_its_own() -> None:
    stream = encoder(include_usage=True)
    assert parsed(stream.encode(Delta("x"))) == [{**chunk(text="x"), "usage": None}]
    finish, usage = parsed(stream.encode(Delta(finish_reason="stop", usage=USAGE, report=REPORT)))
    assert (finish["usage"], "moa" in finish) == (None, False)
    assert (usage["choices"], usage["usage"]["total_tokens"], usage["moa"]["degraded"]) == ([], 5, True)


def test_the_end_of_several_prompts_has_no_choice() -> None:
    for end, fields in (
        (Delta(usage=USAGE), []),
        (Delta(usage=USAGE, report=REPORT), ["moa"]),
    ):
        stream = encoder(2)
        stream.encode(Delta(finish_reason="stop", index=1))
        assert stream.unfinished == {0}
        sent = parsed(stream.encode(end))
        assert [one["choices"] for one in sent] == [[] for _ in fields]
        assert [name for one in sent for name in one if name == "moa"] == fields


def test_moa_is_in_the_last_chunk_of_a_single_prompt() -> None:
    (last,) = parsed(encoder().encode(Delta(finish_reason="stop", usage=USAGE, report=REPORT)))
    assert last["moa"]["reasons"] == ["m was late."]


@pytest.mark.parametrize("index", [-1, 2])
def test_a_choice_that_was_not_asked_for_is_an_error(index: int) -> None:
    with pytest.raises(EngineFailed, match=f"index {index}"):
        encoder(2).encode(Delta("x", index))


def test_a_failure_is_an_event_before_the_end() -> None:
    error, _ = encoder().failure(Overloaded("Full.")).split(sse.END, 1)
    assert json.loads(error.removeprefix(sse.START))["error"]["code"] == "overloaded"


def test_continuous_usage_is_in_every_chunk() -> None:
    stream = CompletionsAnswer(INFO, include_usage=True, continuous_usage=True).events()
    data = stream.encode(Delta("a", running_usage=TokenUsage(3, 1, 1))) + stream.encode(Delta("b"))
    data += stream.encode(Delta("", finish_reason="stop", usage=USAGE))
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in data.split(b"\n\n") if event]
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [1, 1, 2, 2]
    assert chunks[-1]["choices"] == []
