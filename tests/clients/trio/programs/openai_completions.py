"""The client `openai` on text completions: of a recipe, and of one model with token prompts, echo and logprobs."""

from typing import Any

from common import MISSING, MODEL, QUESTION, failure, main
from openai import OpenAI

ASKED: Any = {"model": MODEL, "prompt": QUESTION, "temperature": 0, "max_tokens": 32}
SINGLE = "tiny-qwen"


def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def chat(url: str) -> Any:
    answer = client(url).completions.create(**ASKED)
    usage = answer.usage
    return {"text": answer.choices[0].text, "usage": [usage.prompt_tokens, usage.completion_tokens]}


def stream(url: str) -> Any:
    pieces, usage = [], None
    for chunk in client(url).completions.create(**ASKED, stream=True, stream_options={"include_usage": True}):
        pieces += [choice.text for choice in chunk.choices if choice.text]
        usage = chunk.usage or usage
    return {"pieces": pieces, "usage": [usage.prompt_tokens, usage.completion_tokens] if usage else None}


def logprobs(url: str) -> Any:
    """Tokens of a prompt that is given as ids, with their log probabilities."""
    asked: Any = {"model": SINGLE, "prompt": [40, 41, 42], "max_tokens": 1, "echo": True, "logprobs": 1}
    answer = client(url).completions.create(**asked)
    found = answer.choices[0].logprobs
    assert found is not None
    return {"tokens": found.tokens, "logprobs": found.token_logprobs}


def not_found(url: str) -> Any:
    return failure(lambda: client(url).completions.create(**{**ASKED, "model": MISSING}))


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, logprobs, not_found)})
