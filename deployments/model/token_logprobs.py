"""Log probabilities of tokens: vLLM's form to this project's."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from serving.types import TokenLogprob


class Ranked(Protocol):
    """One token of a position, as vLLM gives it."""

    logprob: float
    rank: int | None
    decoded_token: str | None


Position = Mapping[int, Ranked] | None
BytesOf = Callable[[int, str], bytes]  # of a token's id and text


def text_bytes(_: int, text: str) -> bytes:
    """Bytes of a token's text, whatever the token."""
    return text.encode()


def token_logprobs(
    token_ids: Sequence[int],
    positions: Sequence[Position],
    alternatives: int,
    text_of: Callable[[int], str] | None = None,
    bytes_of: BytesOf = text_bytes,
) -> tuple[TokenLogprob, ...]:
    """Log probabilities of `token_ids`, each with its most likely `alternatives`.

    Args:
        token_ids: the tokens of a prompt or an answer.
        positions: for each of them, the tokens whose log probabilities vLLM gave. None: the first one of a prompt.
        alternatives: number of alternatives.
        text_of: text of a token that follows nothing.
        bytes_of: bytes of a token with its text; by default those of the text.
    """
    found = []
    for token_id, position in zip(token_ids, positions, strict=True):
        if position is None:
            text = "" if text_of is None else text_of(token_id)
            found.append(TokenLogprob(text, math.nan, bytes_of(token_id, text)))
            continue
        ranked = sorted(position.items(), key=lambda one: one[1].rank or 0)[:alternatives]
        top = tuple(_token(other, one, bytes_of) for other, one in ranked)
        found.append(replace(_token(token_id, position[token_id], bytes_of), top=top))
    return tuple(found)


def _token(token_id: int, one: Ranked, bytes_of: BytesOf) -> TokenLogprob:
    text = one.decoded_token or ""
    return TokenLogprob(text, one.logprob, bytes_of(token_id, text))
