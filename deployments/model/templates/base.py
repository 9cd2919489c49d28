"""The interface of chat templates."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from deployments.model.prompt_budget import PromptBudget
from serving.types import PromptEnd

Turn = dict[str, Any]  # a message, a tool or a call in OpenAI's shape
NO_ARGS: Mapping[str, Any] = MappingProxyType({})
SWITCH_ARGS = frozenset({"thinking", "enable_thinking"})  # under which templates take true or false


class ChatTemplate(ABC):
    """Source of a model's prompts. The turns' texts become ordinary tokens, whatever they contain.

    Turns are messages in OpenAI's shape: `role`, `content`, `tool_calls`, `tool_call_id`, `name`, and the reasoning of
    assistants under the name that the template reads. By default a prompt ends where the assistant's answer begins.
    """

    ends: frozenset[PromptEnd] = frozenset({"answer"})  # of its prompts
    known_args: frozenset[str] | None = None  # arguments that the template has; None: it does not say
    reserved_args: frozenset[str] = frozenset()  # arguments that the renderer sets itself

    @abstractmethod
    def text(self, turns: Sequence[Turn], tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS) -> str:
        """Text of the prompt, its control tokens included. Raises whatever the template raises on a refusal."""

    @abstractmethod
    def token_ids(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        end: PromptEnd = "answer",
        budget: PromptBudget | None = None,
    ) -> tuple[int, ...]:
        """Token ids of the prompt, which has one of the `ends`. Raises like `text`.

        Raises:
            PromptTooLong: there are more than the budget allows.
            PromptAbandoned: nobody waits for them.
        """

    @abstractmethod
    def prefix_ids(
        self,
        turns: Sequence[Turn],
        marker: str,
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        budget: PromptBudget | None = None,
    ) -> tuple[int, ...]:
        """Token ids with which the prompt begins whatever text stands in place of `marker`. Raises like `token_ids`."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, that of control tokens included."""

    @abstractmethod
    def control_ids(self) -> frozenset[int]:
        """Ids of the tokens that the text of no message may become."""

    @abstractmethod
    def control_strings(self) -> tuple[str, ...]:
        """Texts of these tokens."""

    def reason(self, error: Exception) -> str | None:
        """The template's own sentence for its refusal; None if `error` is an internal one, for the log alone."""
        return None

    def opening_ids(self, args: Mapping[str, Any] = NO_ARGS) -> tuple[int, ...]:
        """Token ids with which every prompt ends: they close the last message and open the answer (`<think>`)."""
        first, second = (self.token_ids([{"role": "user", "content": text}], (), args) for text in ("Hello", "1 + 2 ="))
        return common_prefix(first[::-1], second[::-1])[::-1]


def common_prefix(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The longest beginning of both."""
    return first[: common_length(first, second)]


def common_length(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Length of the longest beginning of both."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))
