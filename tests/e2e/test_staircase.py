"""moa-staircase on the trio: an answer in chunks, written while the proposals are."""

from typing import Any

import openai
import pytest

QUESTION: Any = [{"role": "user", "content": "Spell the word planet backwards, then add 17 and 25."}]
TOKENS = 96
SIZES = {"trace": True, "first_chunk_tokens": 8, "chunk_tokens": 16}


def ask(client: openai.OpenAI, *, stream: bool = False, moa: dict[str, Any] | None = None, **fields: Any) -> Any:
    """An answer of `TOKENS` tokens, for which every agent writes as many."""
    body = {"ignore_eos": True, "min_tokens": TOKENS, "moa": {**SIZES, **(moa or {})}, **fields}
    return client.chat.completions.create(
        model="moa-staircase", messages=QUESTION, max_tokens=TOKENS, temperature=0, stream=stream, extra_body=body
    )


def test_chunks_are_one_answer_that_begins_before_the_proposals_end(client: openai.OpenAI) -> None:
    answer = ask(client)
    assert answer.choices[0].finish_reason == "length"
    proposers, final = answer.moa["trace"]
    calls = final["agents"]
    assert len(calls) > 2
    assert "".join(call["text"] for call in calls) == answer.choices[0].message.content
    assert {call["outcome"] for call in [*proposers["agents"], *calls]} == {"ok"}
    assert calls[0]["started_ms"] < min(one["started_ms"] + one["elapsed_ms"] for one in proposers["agents"])
    assert sum(call["usage"]["completion_tokens"] for call in calls) == answer.usage.completion_tokens == TOKENS
    assert answer.usage.prompt_tokens == sum(call["usage"]["prompt_tokens"] for call in calls)
    assert not answer.moa["degraded"]


@pytest.mark.parametrize("stop", [True, False])
def test_a_stream_has_the_same_rules(client: openai.OpenAI, stop: bool) -> None:
    fields: dict[str, Any] = {"stream_options": {"include_usage": True}}
    if stop:
        whole = ask(client).choices[0].message.content
        fields |= {"stop": [whole[len(whole) // 2 :][:3]], "min_tokens": 0}
    chunks = list(ask(client, stream=True, **fields))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert text
    assert 0 < chunks[-1].usage.completion_tokens <= TOKENS
    assert reasons in ([["stop"], ["length"]] if stop else [["length"]])
    assert not stop or fields["stop"][0] not in text


def test_a_question_with_a_format_waits_for_whole_proposals(client: openai.OpenAI) -> None:
    answer = ask(client, min_tokens=0, ignore_eos=False, response_format={"type": "json_object"})
    assert len(answer.moa["trace"][-1]["agents"]) == 1
    assert any("a response format" in reason for reason in answer.moa["reasons"])
