"""Chat templates that write token ids: text of messages is encoded apart from the control tokens around it."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployments.model.control_strings import added_tokens
from deployments.model.prompt_budget import PromptBudget
from deployments.model.prompt_encoder import own_encode, stable_end
from deployments.model.templates.base import NO_ARGS, ChatTemplate, Turn, common_prefix
from deployments.model.text_encoder import text_encoder
from deployments.model.token_lengths import token_lengths
from serving.types import PromptEnd

_KEPT_ROLES = frozenset({"system", "user", "tool"})  # formats leave out texts of assistants only
_CONTINUATIONS = (" x", "\n\ny")  # begin with different tokens behind any word


class TokenTemplate(ChatTemplate):
    """Template of a tokenizer that encodes messages itself."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._contents = text_encoder(own_encode(tokenizer), token_lengths(tokenizer))

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
        budget: PromptBudget | None = None,
    ) -> tuple[int, ...]:
        return self._within(budget, turns, lambda: self._ids(turns, tools, args))

    def _within(
        self, budget: PromptBudget | None, turns: Sequence[Turn], encode: Callable[[], Sequence[int]]
    ) -> tuple[int, ...]:
        """Ids of `encode`, which cannot be stopped: before it, each long text is counted. Raises like `token_ids`."""
        if budget is not None:
            for turn in turns:
                content = turn.get("content")
                if turn["role"] in _KEPT_ROLES and isinstance(content, str):
                    self._contents.count(content.strip(), budget)
            budget.check()
        ids = tuple(encode())
        if budget is not None:
            budget.check_length(len(ids))
        return ids

    def prefix_ids(
        self,
        turns: Sequence[Turn],
        marker: str,
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        budget: PromptBudget | None = None,
    ) -> tuple[int, ...]:
        place = next((place for place, turn in enumerate(turns) if marker in (turn["content"] or "")), None)
        if place is None:
            return ()
        known = turns[place]["content"].partition(marker)[0]
        known = known[: stable_end(known)]
        before, turn, after = turns[:place], turns[place], turns[place + 1 :]
        first, second = (
            self.token_ids([*before, {**turn, "content": known + text}, *after], tools, args, budget=budget)
            for text in _CONTINUATIONS
        )
        return common_prefix(first, second)

    def control_ids(self) -> frozenset[int]:
        return frozenset(self._tokenizer.convert_tokens_to_ids(list(self.control_strings())))

    def control_strings(self) -> tuple[str, ...]:
        return added_tokens(self._tokenizer)
