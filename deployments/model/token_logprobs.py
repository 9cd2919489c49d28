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


def token_logprobs(
    token_ids: Sequence[int],
    positions: Sequence[Position],
    alternatives: int,
    text_of: Callable[[int], str] | None = None,
) -> tuple[TokenLogprob, ...]:
    """Log probabilities of `token_ids`, each with its most likely `alternatives`.

    Args:
        token_ids: the tokens of a prompt or an answer.
        positions: for each of them, the tokens whose log probabilities vLLM gave. None: the first one of a prompt.
        alternatives: number of alternatives.
        text_of: text of a token that follows nothing.
    """
    found = []
    for token_id, position in zip(token_ids, positions, strict=True):
        if position is None:
            text = "" if text_of is None else text_of(token_id)
            found.append(TokenLogprob(text, math.nan, text.encode()))
            continue
        ranked = sorted(position.values(), key=lambda one: one.rank or 0)[:alternatives]
        found.append(replace(_token(position[token_id]), top=tuple(map(_token, ranked))))
    return tuple(found)


def _token(one: Ranked) -> TokenLogprob:
    text = one.decoded_token or ""
    return TokenLogprob(text, one.logprob, text.encode())
