"""Raw prompts: text and token ids that a model reads as they are, and the texts of tokens."""

from collections.abc import Sequence
from copy import copy
from typing import Any

from deployments.model.prompt_budget import PromptBudget
from deployments.model.prompt_encoder import SAMPLE, own_encode
from deployments.model.text_encoder import text_encoder
from deployments.model.token_lengths import token_lengths
from deployments.model.tool_texts import is_text
from serving.errors import InvalidRequest
from serving.types import RawPrompt


class PromptCodec:
    """Tokenizer of one model's raw prompts. Control tokens in a text are the caller's own, so none are escaped."""

    def __init__(self, tokenizer: Any, model: str, vocabulary_size: int) -> None:
        """Read with `tokenizer`; `vocabulary_size`: token ids that the model itself knows.

        Either may know more than the other: models are padded, and some tokenizers have tokens for images.
        """
        self._tokenizer, self._model = tokenizer, model
        known = getattr(tokenizer, "max_token_id", len(tokenizer) - 1) + 1  # vLLM's tokenizers say it
        self._vocabulary_size = min(vocabulary_size, known)
        self._texts = text_encoder(own_encode(tokenizer), token_lengths(tokenizer))
        self._around = _around(tokenizer)

    def named(self, model: str) -> "PromptCodec":
        """The same codec with another name of the model in its errors."""
        other = copy(self)
        other._model = model
        return other

    def encode(self, prompt: RawPrompt, budget: PromptBudget | None = None) -> tuple[int, ...]:
        """Token ids of a prompt.

        Raises:
            InvalidRequest: the text has half of a character, or an id is not in the vocabulary.
            PromptTooLong: there are more than the budget allows.
            PromptAbandoned: nobody waits for them.
        """
        budget = budget or PromptBudget()
        if isinstance(prompt.content, str):
            if not is_text(prompt.content):
                why = f"Change '{prompt.path}': it has half of a surrogate pair, which is no character."
                raise InvalidRequest(why, prompt.path)
            return self._ids(prompt.content, prompt.add_special_tokens, budget)
        budget.check_length(len(prompt.content))
        self.check(prompt.content, prompt.path)
        return prompt.content

    def _ids(self, text: str, special: bool, budget: PromptBudget) -> tuple[int, ...]:
        if special and self._around is None:
            self._texts.count(text, budget)
            ids = self._tokenizer.encode(text, add_special_tokens=True)
        else:
            before, after = self._around if special and self._around is not None else ((), ())
            ids = [*before, *self._texts.encode(text, budget), *after]
        budget.check_length(len(ids))
        return tuple(ids)

    def check(self, ids: Sequence[int], path: str) -> None:
        """Check that `ids`, the field at `path`, are in the vocabulary. Raises `InvalidRequest`."""
        if not ids or (min(ids) >= 0 and max(ids) < self._vocabulary_size):
            return
        place = next(place for place, one in enumerate(ids) if not 0 <= one < self._vocabulary_size)
        raise InvalidRequest(
            f"Set '{path}[{place}]' to a token id of '{self._model}', 0 to {self._vocabulary_size - 1}, not"
            f" {ids[place]}.",
            f"{path}[{place}]",
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, that of control tokens included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def text(self, prompt: RawPrompt) -> str:
        """Text of a prompt."""
        return prompt.content if isinstance(prompt.content, str) else self.decode(prompt.content)

    def texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Text of each token as the vocabulary has it: white space and bytes may be written in another way."""
        return tuple(one or "" for one in self._tokenizer.convert_ids_to_tokens(list(ids)))


def _around(tokenizer: Any) -> tuple[list[int], list[int]] | None:
    """Tokens that `tokenizer` puts before and behind a text; None if it does not do so with every text alike."""
    alone, whole = ([*tokenizer.encode(SAMPLE, add_special_tokens=special)] for special in (False, True))
    places = [place for place in range(len(whole)) if whole[place : place + len(alone)] == alone]
    if len(places) != 1:
        return None
    before, after = whole[: places[0]], whole[places[0] + len(alone) :]
    return (before, after) if [*tokenizer.encode("", add_special_tokens=True)] == [*before, *after] else None
