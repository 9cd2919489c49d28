"""Deltas to `chat.completion.chunk` events. Everything that does not change from token to token is encoded once."""

import orjson

from serving import sse
from serving.api.answer import Head, Json, logprobs_json, moa_json, usage_json, valid
from serving.errors import EngineFailed
from serving.types import Delta


class ChunkEncoder:
    """Encodes one answer's stream.

    Args:
        head: the answer's id, time and model.
        choices: how many choices will come (`n`).
        include_usage: end with a chunk that has `usage` and no choices; the others then have `usage: null`.
        trace: put the trace into the `moa` object of the last chunk.
    """

    def __init__(self, head: Head, choices: int, include_usage: bool, trace: bool) -> None:
        self.include_usage, self.trace, self.choices, self._model = include_usage, trace, choices, head.model
        start = {"id": head.id, "object": "chat.completion.chunk", "created": head.created, "model": head.model}
        self._start = sse.START + orjson.dumps(start).removesuffix(b"}") + b',"choices":['
        self._end = b'],"usage":null' if include_usage else b"]"
        self._close = b'},"logprobs":null,"finish_reason":null}' + self._end + b"}" + sse.END
        self.unfinished = set(range(choices))
        self._open = [self._start + b'{"index":%d,"delta":{"content":' % index for index in range(choices)]

    def roles(self) -> bytes:
        """The chunks that open the stream, one a choice."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(
            self._chunk({"index": index, "delta": delta, "logprobs": None, "finish_reason": None})
            for index in range(self.choices)
        )

    def encode(self, delta: Delta) -> bytes:
        """The events for one delta; empty where it says nothing.

        Raises:
            EngineFailed: the delta is of a choice that was not asked for.
        """
        if not 0 <= delta.index < self.choices:
            raise EngineFailed(self._model, f"it gave choice {delta.index} of {self.choices}, counted from 0")
        if delta.logprobs is None and delta.text:
            data = self._open[delta.index] + quoted(delta.text) + self._close
        elif delta.logprobs is not None:
            data = self._chunk(
                {
                    "index": delta.index,
                    "delta": {"content": valid(delta.text)},
                    "logprobs": logprobs_json(delta.logprobs),
                    "finish_reason": None,
                }
            )
        else:
            data = b""
        if delta.finish_reason is None and delta.usage is None:
            return data
        return data + self._ending(delta)

    def _ending(self, delta: Delta) -> bytes:
        """A choice's finish chunk; after the last one the usage. `moa` is in the stream's last chunk."""
        data = b""
        moa = moa_json(delta.report, self.trace) if delta.usage is not None else None
        if delta.finish_reason is not None:
            self.unfinished.discard(delta.index)
            choice = {"index": delta.index, "delta": {}, "logprobs": None, "finish_reason": delta.finish_reason}
            data = self._chunk(choice, None if self.include_usage else moa)
        if delta.usage is not None and self.include_usage:
            usage = b'],"usage":' + orjson.dumps(usage_json(delta.usage))
            data += self._start + usage + _moa(moa) + b"}" + sse.END
        elif moa is not None and delta.finish_reason is None:
            data += self._start + b"]" + _moa(moa) + b"}" + sse.END
        return data

    def _chunk(self, choice: Json, moa: Json | None = None) -> bytes:
        return self._start + orjson.dumps(choice) + self._end + _moa(moa) + b"}" + sse.END


def _moa(moa: Json | None) -> bytes:
    return b"" if moa is None else b',"moa":' + orjson.dumps(moa)


def quoted(text: str) -> bytes:
    """`text` as a JSON string; a lone surrogate, which UTF-8 cannot carry, becomes a question mark."""
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return orjson.dumps(valid(text))
