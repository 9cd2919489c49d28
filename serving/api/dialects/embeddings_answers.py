"""Embeddings as OpenAI's JSON."""

import asyncio
import base64
import struct
import time
from typing import Literal

import orjson

from serving.pooling import Vectors

PAUSE_BYTES = 2**16  # of vectors, after which other requests get their turn: a million numbers take 0.2 s


def pooling_usage(prompt_tokens: int) -> dict[str, int]:
    """Usage object of embeddings and rankings."""
    return {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}


async def embeddings_json(answer_id: str, model: str, vectors: Vectors, form: Literal["float", "base64"]) -> bytes:
    """The answer, encoded.

    Args:
        answer_id: id of the answer.
        model: id of the model, as the request names it.
        vectors: the embeddings.
        form: the request's `encoding_format`.
    """
    head = {"id": answer_id, "object": "list", "created": int(time.time()), "model": model}
    pieces = [orjson.dumps(head)[:-1], b',"data":[']
    waiting = 0
    for index, data in enumerate(vectors.data):
        value = base64.b64encode(data).decode() if form == "base64" else struct.unpack(f"<{len(data) // 4}f", data)
        pieces += [b"," if index else b"", orjson.dumps({"object": "embedding", "index": index, "embedding": value})]
        waiting += len(data)
        if waiting >= PAUSE_BYTES:
            waiting = 0
            await asyncio.sleep(0)
    pieces += [b'],"usage":', orjson.dumps(pooling_usage(vectors.prompt_tokens)), b"}"]
    return b"".join(pieces)
