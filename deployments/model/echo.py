"""The prompt with which each choice of an answer begins, if the request asks for its echo."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from deployments.model.token_logprobs import BytesOf, Position, text_bytes, token_logprobs
from serving.errors import EngineFailed
from serving.types import Delta, TokenLogprob


class Echo:
    """Echo of one request's prompt."""

    def __init__(self, model: str, text: str, token_ids: Sequence[int], text_of: Callable[[int], str]) -> None:
        """Echo `text`, which has the tokens `token_ids`; `text_of`: text of a single token. `model`: for errors."""
        self._model, self._text, self._token_ids, self._text_of = model, text, token_ids, text_of
        self._begun: set[int] = set()  # choices that have the prompt already
        self._logprobs: tuple[TokenLogprob, ...] | None = None  # of the prompt

    def before(
        self,
        delta: Delta,
        positions: Sequence[Position] | None,
        alternatives: int | None,
        bytes_of: BytesOf = text_bytes,
    ) -> Delta:
        """`delta`, behind the prompt if it is its choice's first one.

        Args:
            delta: The engine's next delta.
            positions: Log probabilities of the prompt's tokens. vLLM gives them with the first output, which may be
                that of several choices; what later outputs have is not needed.
            alternatives: Number of alternatives per token; None: no logprobs are asked for.
            bytes_of: Bytes of a token with its text.

        Raises:
            EngineFailed: there are not as many log probabilities as tokens.
        """
        if delta.index in self._begun:
            return delta
        self._begun.add(delta.index)
        if alternatives is None:
            return replace(delta, text=self._text + delta.text)
        if self._logprobs is None:
            if len(positions or ()) != len(self._token_ids):
                count = f"{len(positions or ())} log probabilities for the {len(self._token_ids)} tokens"
                raise EngineFailed(self._model, f"it gave {count} of the prompt")
            self._logprobs = token_logprobs(self._token_ids, positions or (), alternatives, self._text_of, bytes_of)
        return replace(delta, text=self._text + delta.text, logprobs=(*self._logprobs, *(delta.logprobs or ())))
