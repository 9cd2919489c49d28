"""Answers to completions requests as OpenAI's JSON, whole or in chunks."""

import math
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

import orjson

from serving import sse
from serving.api.dialects.chat_answers import MIN_LOGPROB, AnswerInfo, moa_json
from serving.api.dialects.openai_json import Json, usage_json
from serving.api.errors import encodable, error_json
from serving.errors import EngineFailed
from serving.types import Completion, Delta, TokenLogprob


@dataclass(frozen=True, slots=True)
class CompletionsAnswer:
    """Answer to one completions request, whole or streamed. Reasoning, which recipes may have, is left out."""

    info: AnswerInfo
    choices: int = 1  # of all prompts together
    include_usage: bool = False
    trace: bool = False
    continuous_usage: bool = False  # all chunks have the usage so far; null until a count is known

    @property
    def id(self) -> str:
        """Id of the answer."""
        return self.info.id

    def whole(self, completion: Completion) -> Json:
        """Body of the answer that is not streamed."""
        answer: Json = {
            "id": self.info.id,
            "object": "text_completion",
            "created": self.info.created,
            "model": self.info.model,
            "choices": [
                {
                    "index": index,
                    "text": encodable(choice.text),
                    "logprobs": None if choice.logprobs is None else text_logprobs(choice.logprobs),
                    "finish_reason": choice.finish_reason,
                }
                for index, choice in enumerate(completion.choices)
            ],
            "usage": usage_json(completion.usage),
        }
        if (moa := moa_json(completion.report, self.trace)) is not None:
            answer["moa"] = moa
        return answer

    def events(self) -> "TextChunkEncoder":
        """Encoder of the answer as a stream."""
        return TextChunkEncoder(self.info, self.choices, self.include_usage, self.trace, self.continuous_usage)

    def deltas(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """`stream` itself: what the answer does not have is not encoded."""
        return stream


def text_logprobs(tokens: Iterable[TokenLogprob], offset: int = 0) -> Json:
    """OpenAI's older logprobs object, of tokens behind others whose texts have `offset` characters.

    The alternatives of a token are by their texts, and the token itself is one of them. Of several tokens with one
    text, the most likely one counts.
    """
    found: Json = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for token in tokens:
        text = encodable(token.token)
        known = not math.isnan(token.logprob)
        found["tokens"].append(text)
        found["token_logprobs"].append(max(token.logprob, MIN_LOGPROB) if known else None)
        found["top_logprobs"].append(_alternatives(token) if known else None)
        found["text_offset"].append(offset)
        offset += len(text)
    return found


def _alternatives(token: TokenLogprob) -> Json:
    alternatives: Json = {}
    for one in (*token.top, token):
        alternatives.setdefault(encodable(one.token), max(one.logprob, MIN_LOGPROB))
    return alternatives


class TextChunkEncoder:
    """Encodes the stream of one answer as server-sent events.

    Attributes:
        unfinished: choices without a finish reason so far.
    """

    def __init__(
        self, info: AnswerInfo, choices: int, include_usage: bool, trace: bool, continuous_usage: bool = False
    ) -> None:
        """Prepare the constant parts of all chunks. Arguments: `ChunkEncoder` of chat completions."""
        self.include_usage, self.trace, self.choices, self._model = include_usage, trace, choices, info.model
        start = {"id": info.id, "object": "text_completion", "created": info.created, "model": info.model}
        self._start = sse.START + orjson.dumps(start).removesuffix(b"}") + b',"choices":['
        self.continuous_usage = continuous_usage
        self._end = b'],"usage":null' if include_usage or continuous_usage else b"]"
        self._close = b',"logprobs":null,"finish_reason":null}' + self._end + b"}" + sse.END
        self.unfinished = set(range(choices))
        self._offsets = [0] * choices  # characters of each choice's tokens so far
        self._open = [self._start + b'{"index":%d,"text":' % index for index in range(choices)]

    def opening(self) -> bytes:
        """Nothing: the first chunk has text."""
        return b""

    def encode(self, delta: Delta) -> bytes:
        """Events for one delta; empty if it has neither text nor an end.

        Raises:
            EngineFailed: the delta belongs to a choice that was not asked for.
        """
        index = delta.index
        if self.continuous_usage and (so_far := delta.usage or delta.running_usage) is not None:
            self._end = b'],"usage":' + orjson.dumps(usage_json(so_far))
            self._close = b',"logprobs":null,"finish_reason":null}' + self._end + b"}" + sse.END
        if not 0 <= index < self.choices:
            raise EngineFailed(
                self._model, f"it returned a choice with index {index}, but was asked for {self.choices} choices"
            )
        if delta.logprobs is None and delta.finish_reason is None:
            text = self._open[index] + orjson.dumps(encodable(delta.text)) + self._close if delta.text else b""
            return text if delta.usage is None else text + self._ending(delta)
        return self._choice(delta) + self._ending(delta)

    def closing(self) -> bytes:
        """Event that ends every stream."""
        return sse.DONE

    def failure(self, error: Exception) -> bytes:
        """Events that end a stream whose answer has failed."""
        return sse.event(orjson.dumps(error_json(error))) + sse.DONE

    def _choice(self, delta: Delta) -> bytes:
        """Chunk with text, log probabilities and the finish reason; the last one of all also has `moa`."""
        logprobs = None
        if delta.logprobs is not None:
            logprobs = text_logprobs(delta.logprobs, self._offsets[delta.index])
            self._offsets[delta.index] += sum(map(len, logprobs["tokens"]))
        if delta.finish_reason is not None:
            self.unfinished.discard(delta.index)
        choice = {
            "index": delta.index,
            "text": encodable(delta.text),
            "logprobs": logprobs,
            "finish_reason": delta.finish_reason,
        }
        moa = None if self.include_usage or delta.finish_reason is None else self._moa(delta)
        return self._start + orjson.dumps(choice) + self._end + _moa_field(moa) + b"}" + sse.END

    def _ending(self, delta: Delta) -> bytes:
        """Chunk without choices: the usage if asked for, and `moa` if no choice's chunk had it."""
        if delta.usage is None:
            return b""
        moa = self._moa(delta)
        if self.include_usage:
            usage = b'],"usage":' + orjson.dumps(usage_json(delta.usage))
            return self._start + usage + _moa_field(moa) + b"}" + sse.END
        if moa is None or delta.finish_reason is not None:
            return b""
        return self._start + self._end + _moa_field(moa) + b"}" + sse.END

    def _moa(self, delta: Delta) -> Json | None:
        return None if delta.usage is None else moa_json(delta.report, self.trace)


def _moa_field(moa: Json | None) -> bytes:
    return b"" if moa is None else b',"moa":' + orjson.dumps(moa)
