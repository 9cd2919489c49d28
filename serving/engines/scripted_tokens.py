"""Tokens of scripted engines: words with the white space before them, numbered in the order in which they appear."""

import re
from collections.abc import Sequence
from itertools import islice

from serving.conversation import Message
from serving.errors import InvalidRequest
from serving.types import GenerateRequest

WORD = re.compile(r"\s*\S+|\s+$")
TEMPLATE = ("<message>", "<role>", "<text>", "</message>")  # the tokens that a message adds to those of its text


def words(text: str) -> list[str]:
    """Scripted tokens: words with the white space before them."""
    return WORD.findall(text)


def prompt_tokens(messages: Sequence[Message]) -> int:
    """Length of a prompt in scripted tokens; each message adds four for a template."""
    return sum(len(words(message.content)) + len(TEMPLATE) for message in messages)


def counted_tokens(messages: Sequence[Message], most: int) -> int | None:
    """`prompt_tokens` of a prompt of at most so many; None: there are more. Work stops there."""
    count = 0
    for message in messages:
        found = WORD.finditer(message.content)
        count += sum(1 for _ in islice(found, max(most + 1 - count, 0))) + len(TEMPLATE)
        if count > most:
            return None
    return count


class ScriptedTokenizer:
    """Tokenizer whose vocabulary grows with each new word; the tokens of `TEMPLATE` come first."""

    def __init__(self) -> None:
        self._texts = list(TEMPLATE)
        self._ids = {text: token_id for token_id, text in enumerate(TEMPLATE)}

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text."""
        return tuple(self._id(word) for word in words(text))

    def _id(self, word: str) -> int:
        if word not in self._ids:
            self._ids[word] = len(self._texts)
            self._texts.append(word)
        return self._ids[word]

    def prompt(self, request: GenerateRequest) -> tuple[int, ...]:
        """Token ids of a request's raw prompt or of its messages; those of tools are left out.

        Raises:
            InvalidRequest: the prompt has an id that is not in the vocabulary.
        """
        prompt = request.prompt
        if prompt is None:
            opening, ending = range(len(TEMPLATE) - 1), len(TEMPLATE) - 1
            return tuple(
                token_id for one in request.messages for token_id in (*opening, *self.encode(one.content), ending)
            )
        if isinstance(prompt.content, str):
            return self.encode(prompt.content)
        self.texts(prompt.content, prompt.path)
        return prompt.content

    def texts(self, ids: Sequence[int], path: str = "tokens") -> tuple[str, ...]:
        """Text of each token. Raises `InvalidRequest` if one of `ids`, the field at `path`, is unknown."""
        for place, one in enumerate(ids):
            if not 0 <= one < len(self._texts):
                name = f"{path}[{place}]"
                raise InvalidRequest(f"Set '{name}' to a token id, 0 to {len(self._texts) - 1}, not {one}.", name)
        return tuple(self._texts[one] for one in ids)
