"""Parser of output that is text alone, for models whose output is parsed otherwise."""

from collections.abc import Sequence
from typing import Any

from serving.types import Delta


class TextParser:
    """Parser of an answer that is text alone, of a model that thinks: it continues a message behind its reasoning."""

    def prepare(self, params: Any) -> dict[str, Any]:
        """Arguments of `AsyncLLM.generate`: grammars hold from the first token."""
        return {"reasoning_ended": True}

    def choice(self) -> "TextChoice":
        """Parser for one more choice."""
        return TextChoice()


class TextChoice:
    """Parser of one choice that is text."""

    reasoning_tokens = 0

    def parse(self, delta: Delta, token_ids: Sequence[int]) -> Delta:
        """`delta` as it is."""
        return delta
