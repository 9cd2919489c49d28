"""Raw prompts at an external endpoint: over this server's own API, and over scripted responses."""

import math
from typing import Any

import httpx
import pytest

from serving.engine import complete
from serving.engines.openai import OpenAIEngine
from serving.engines.openai_completions import completions_payload
from serving.engines.scripted import ScriptedEngine
from serving.errors import ContextTooLong, EngineFailed, InvalidRequest
from serving.types import GenerateRequest, RawPrompt, Sampling, TokenLogprob
from serving.usage import TokenUsage
from tests.support.api import app_of
from tests.unit.serving.engines.test_openai import answering, event, over, streaming


def asked(content: str | tuple[int, ...] = "One two", *, echo: bool = False, **sampling: Any) -> GenerateRequest:
    prompt = RawPrompt(content, echo=echo, path="prompt[1]")
    return GenerateRequest("r", (), Sampling(**{"max_tokens": 8, **sampling}), prompt=prompt)


def test_the_body_has_what_is_set_and_nothing_else() -> None:
    common = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    prompt = RawPrompt((1, 2), add_special_tokens=False, echo=True)
    sampling = Sampling(max_tokens=0, logprobs=3, stop=("x",), n=2, top_k=4)
    assert completions_payload(GenerateRequest("r", (), sampling), prompt, "m") == {
        **common,
        "prompt": [1, 2],
        "max_tokens": 0,
        "logprobs": 3,
        "stop": ["x"],
        "n": 2,
        "top_k": 4,
        "echo": True,
        "add_special_tokens": False,
    }
    assert completions_payload(GenerateRequest("r", ()), RawPrompt("hi"), "m") == {**common, "prompt": "hi"}


async def test_an_answer_comes_through_with_its_echo_and_logprobs() -> None:
    near = ScriptedEngine("m", "three four", logprob=-0.5)
    engine = over(app_of({"m": near}), raw_prompts=True)
    assert engine.info.raw_prompts
    done = await complete("far", engine, asked(echo=True, logprobs=1))
    [choice] = done.choices
    assert (choice.text, choice.finish_reason) == ("One twothree four", "stop")
    assert [token.token for token in choice.logprobs] == ["One", " two", "three", " four"]
    first, second, *_ = choice.logprobs
    assert (math.isnan(first.logprob), first.top) == (True, ())
    assert second == TokenLogprob(" two", -0.5, b" two", (TokenLogprob(" two", -0.5, b" two"),))
    assert done.usage == TokenUsage(2, 2, 0)
    (request,) = near.requests
    assert (request.prompt.content, request.prompt.echo) == ("One two", True)


async def test_token_ids_come_through_with_several_choices() -> None:
    near = ScriptedEngine("m", "three")
    ids = near.tokenizer.encode("One two")
    done = await complete("far", over(app_of({"m": near}), raw_prompts=True), asked(ids, n=2))
    assert [choice.text for choice in done.choices] == ["three", "three"]
    assert near.requests[0].prompt.content == ids


async def test_refusals_name_the_prompt() -> None:
    engine = over(app_of({"m": ScriptedEngine("m", context_tokens=8)}), raw_prompts=True)
    with pytest.raises(ContextTooLong, match="has 2 tokens and max_tokens asks for 8 more") as caught:
        await complete("far", engine, asked())
    assert caught.value.param == "prompt[1]"
    with pytest.raises(InvalidRequest, match="to a token id, 0 to 5, not 9") as refused:
        await complete("far", engine, asked((0, 9)))
    assert refused.value.param == "prompt[1][1]"


def text(text: str = "", reason: str | None = None, logprobs: Any = None) -> bytes:
    return event({"choices": [{"index": 0, "text": text, "logprobs": logprobs, "finish_reason": reason}]})


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (text("a", "error"), "finish reason is an error"),
        (event({"choices": [{"text": 1}]}), "invalid chunk"),
        (text("a", logprobs={"tokens": ["a"], "token_logprobs": []}), "invalid chunk"),
        (text("a", logprobs={"tokens": ["a"]}), "invalid chunk"),
        (text("a", "stop", logprobs={"tokens": ["a"]}), "invalid chunk"),
    ],
)
async def test_what_is_no_chunk_is_an_error(first: bytes, reason: str) -> None:
    with pytest.raises(EngineFailed, match=reason):
        await complete("far", answering(streaming(first)), asked())


async def test_what_other_servers_leave_out() -> None:
    logprobs = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": None}
    done = await complete(
        "far", answering(streaming(text("a", logprobs=logprobs), text("", "length"), b"data: [DONE]\n\n")), asked()
    )
    [choice] = done.choices
    assert (choice.text, choice.finish_reason, choice.logprobs) == ("a", "length", (TokenLogprob("a", -1.0, b"a"),))


async def test_prompts_are_posted_to_completions() -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(404, json={"error": {"message": "no such path"}})

    with pytest.raises(EngineFailed, match="status 404"):
        await complete("far", answering(respond), asked())
    assert [request.url.path for request in seen] == ["/v1/completions"]


def test_only_an_endpoint_that_says_so_takes_prompts() -> None:
    assert not OpenAIEngine("far", "http://far/v1").info.raw_prompts
