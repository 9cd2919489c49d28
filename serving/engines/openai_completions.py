"""OpenAI's legacy completions format from the client's side: the body of a request and the chunks of its answer."""

import math
from collections.abc import Mapping
from typing import Any

from serving.engines.openai_fields import InvalidChunk, number, string
from serving.engines.openai_stream import StreamReader
from serving.engines.openai_wire import to_payload
from serving.surrogates import well_formed
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

    def _delta(self, index: int, choice: Mapping[str, Any]) -> Delta | None:
        text = self._text(index, "content", choice.get("text"))
        logprobs = choice.get("logprobs")
        if not (text or logprobs):
            return None
        return Delta(text, index, _logprobs(logprobs) if logprobs else None)


def _logprobs(raw: object) -> tuple[TokenLogprob, ...]:
    if not isinstance(raw, dict):
        raise InvalidChunk("logprobs is not an object")
    tokens, values = raw.get("tokens"), raw.get("token_logprobs")
    if not (isinstance(tokens, list) and isinstance(values, list)):
        raise InvalidChunk("tokens and token_logprobs are not lists")
    alternatives = raw.get("top_logprobs") or [None] * len(tokens)
    if not isinstance(alternatives, list) or not len(tokens) == len(values) == len(alternatives):
        raise InvalidChunk("the lists of logprobs differ in length")
    return tuple(
        _token(token, math.nan if value is None else number(value, "token_logprobs"), top)
        for token, value, top in zip(tokens, values, alternatives, strict=True)
    )


def _token(given: object, logprob: float, top: object = None) -> TokenLogprob:
    if not isinstance(top or {}, dict):
        raise InvalidChunk("top_logprobs has an entry that is not an object")
    token = well_formed(string(given, "token"))
    others = top.items() if isinstance(top, dict) else ()
    return TokenLogprob(
        token,
        logprob,
        token.encode(),
        tuple(_token(other, number(value, "top_logprobs")) for other, value in others),
    )
