"""OpenAI's legacy completions format from the client's side: the body of a request and the chunks of its answer."""

import asyncio
import math
from typing import Any

from serving.engines.openai_wire import StreamReader, to_payload
from serving.types import Delta, GenerateRequest, RawPrompt, TokenLogprob


def completions_payload(request: GenerateRequest, prompt: RawPrompt, model: str) -> dict[str, Any]:
    """Body of the HTTP request for `request`, whose `prompt` is given."""
    payload = to_payload(request, model, "max_tokens", thinking=False)
    for name in ("messages", "logprobs", "top_logprobs"):
        payload.pop(name, None)
    payload["prompt"] = prompt.content if isinstance(prompt.content, str) else list(prompt.content)
    if request.sampling.logprobs is not None:
        payload["logprobs"] = request.sampling.logprobs
    if prompt.echo:
        payload["echo"] = True
    if not prompt.add_special_tokens:
        payload["add_special_tokens"] = False
    return payload


class CompletionsReader(StreamReader):
    """Converts chunks to deltas, as `StreamReader` does with those of chat completions."""

    def _choice(self, choice: dict[str, Any]) -> Delta | None:
        index = self._index(choice)
        text = choice.get("text") or ""
        if not isinstance(text, str):
            raise TypeError("text is not a string")
        logprobs = choice.get("logprobs")
        if not (text or logprobs):
            return None
        if self.first_s is None:
            self.first_s = asyncio.get_running_loop().time()
        return Delta(text, index, _logprobs(logprobs) if logprobs else None)


def _logprobs(raw: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    tokens, values = raw["tokens"], raw["token_logprobs"]
    alternatives = raw.get("top_logprobs") or [None] * len(tokens)
    if not len(tokens) == len(values) == len(alternatives):
        raise TypeError("the lists of logprobs differ in length")
    return tuple(
        TokenLogprob(
            token,
            math.nan if value is None else value,
            token.encode(),
            tuple(TokenLogprob(other, logprob, other.encode()) for other, logprob in (top or {}).items()),
        )
        for token, value, top in zip(tokens, values, alternatives, strict=True)
    )
