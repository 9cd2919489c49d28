"""Chat templates that write token ids: text of messages is encoded apart from the control tokens around it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from deployments.model.control_strings import added_tokens
from deployments.model.prompt_encoder import stable_end
from deployments.model.templates.base import NO_ARGS, ChatTemplate, Turn, common_prefix
from serving.types import PromptEnd

_CONTINUATIONS = (" x", "\n\ny")  # begin with different tokens behind any word


class TokenTemplate(ChatTemplate):
    """Template of a tokenizer that encodes messages itself."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @abstractmethod
    def _ids(self, turns: Sequence[Turn], tools: Sequence[Turn], args: Mapping[str, Any]) -> Sequence[int]:
        """Token ids of the prompt."""

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def text(self, turns: Sequence[Turn], tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS) -> str:
        return self.decode(self._ids(turns, tools, args))

    def token_ids(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        end: PromptEnd = "answer",
    ) -> tuple[int, ...]:
        return tuple(self._ids(turns, tools, args))

    def prefix_ids(
        self, turns: Sequence[Turn], marker: str, tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS
    ) -> tuple[int, ...]:
        place = next((place for place, turn in enumerate(turns) if marker in (turn["content"] or "")), None)
        if place is None:
            return ()
        known = turns[place]["content"].partition(marker)[0]
        known = known[: stable_end(known)]
        before, turn, after = turns[:place], turns[place], turns[place + 1 :]
        first, second = (
            self.token_ids([*before, {**turn, "content": known + text}, *after], tools, args) for text in _CONTINUATIONS
        )
        return common_prefix(first, second)

    def control_ids(self) -> frozenset[int]:
        return frozenset(self._tokenizer.convert_tokens_to_ids(list(self.control_strings())))

    def control_strings(self) -> tuple[str, ...]:
        return added_tokens(self._tokenizer)
