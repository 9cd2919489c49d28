"""A single model and an endpoint with images in the request."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from serving.conversation import Message, Modality
from serving.engine import complete
from serving.engines.model import ModelEngine
from serving.engines.openai import OpenAIEngine
from serving.engines.scripted import ScriptedEngine
from serving.runtime.shared_state import Runtime
from serving.types import GenerateRequest, MoaOptions
from tests.support.images import placed, url_of

ASKED = "[image]What is it?"
BOTH: tuple[Modality, ...] = ("text", "image")
SEEN = GenerateRequest("r", (Message("user", ASKED, images=placed(ASKED, "red")),))


def traced(request: GenerateRequest) -> GenerateRequest:

    return replace(request, moa=MoaOptions(trace=True))


@pytest.mark.parametrize("trace", [False, True])
async def test_a_model_without_eyes_reads_the_word_and_says_so(trace: bool) -> None:
    engine = ScriptedEngine("m", "I cannot see")
    done = await complete("m", ModelEngine("m", engine, Runtime({})), traced(SEEN) if trace else SEEN)
    [asked] = engine.requests[0].messages
    assert (asked.content, asked.images) == (ASKED, ())
    assert done.report is not None
    assert done.report.degraded
    assert done.report.reasons == ("The request's image: no model that was asked can see; 'm' read [image].",)
    assert [trace.images for trace in done.report.agents] == ([0] if trace else [])
    assert done.usage.prompt_tokens
    assert done.report.usage == done.report.answer_usage == done.usage


async def test_a_model_that_sees_gets_the_image_and_the_trace_counts_it() -> None:
    engine = ScriptedEngine("m", "Red", modalities=BOTH)
    model = ModelEngine("m", engine, Runtime({}))
    assert (await complete("m", model, SEEN)).report is None
    done = await complete("m", model, traced(SEEN))
    assert engine.requests[1].messages == SEEN.messages
    assert done.report is not None
    assert not done.report.reasons
    assert done.report.agents[0].images == 1
    assert await model.count_tokens(SEEN) == await engine.count_tokens(SEEN)


async def test_images_are_sent_along_to_an_endpoint() -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        chunk = {"choices": [{"index": 0, "delta": {"content": "Red"}, "finish_reason": "stop"}]}
        return httpx.Response(200, text=f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n")

    engine = OpenAIEngine("m", "http://endpoint/v1", modalities=BOTH, transport=httpx.MockTransport(answer))
    assert engine.info.sees

    [image] = SEEN.messages[0].images
    low = replace(SEEN.messages[0], images=(replace(image, detail="low"),))
    await complete("m", engine, replace(SEEN, messages=(low, Message("assistant", "Red"), *SEEN.messages)))
    url = url_of(image.data)
    text = {"type": "text", "text": "What is it?"}
    assert sent[0]["messages"] == [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}, text]},
        {"role": "assistant", "content": "Red"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, text]},
    ]
    await engine.aclose()
