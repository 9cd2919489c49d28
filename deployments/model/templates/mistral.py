"""Prompts of Mistral's own tokenizers (tekken.json, tokenizer.model.v*), which encode messages with mistral-common."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deployments.model.prompt_budget import PromptBudget
from deployments.model.templates.base import NO_ARGS, Turn
from deployments.model.templates.tokens import TokenTemplate
from serving.failures import said
from serving.types import PromptEnd

_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")  # the only ids that mistral-common takes
_EFFORT_VERSION = 15  # of the tokenizer, from which on prompts say how much to think
_BYTES = re.compile(r"(?:<0x[0-9A-F]{2}>)+")  # SentencePiece's way to write what its vocabulary lacks


class MistralTemplate(TokenTemplate):
    """Template of vLLM's tokenizer mode `mistral`."""

    ends = frozenset({"answer", "continued"})

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.known_args = frozenset({"reasoning_effort"} if tokenizer.version >= _EFFORT_VERSION else ())

    def decode(self, ids: Sequence[int]) -> str:
        text = super().decode(ids)
        if not self._tokenizer.is_spm:
            return text
        return _BYTES.sub(lambda match: bytes.fromhex(re.sub("<0x|>", "", match[0])).decode(errors="replace"), text)

    def token_ids(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        end: PromptEnd = "answer",
        budget: PromptBudget | None = None,
    ) -> tuple[int, ...]:
        if end == "answer":
            return super().token_ids(turns, tools, args, end, budget)
        return self._within(
            budget,
            turns,
            lambda: self._tokenizer.apply_chat_template(
                [_with_short_ids(turn) for turn in turns],
                tools=list(tools) or None,
                continue_final_message=True,
                **args,
            ),
        )

    def _ids(self, turns: Sequence[Turn], tools: Sequence[Turn], args: Mapping[str, Any]) -> Sequence[int]:
        ids: Sequence[int] = self._tokenizer.apply_chat_template(
            [_with_short_ids(turn) for turn in turns], tools=list(tools) or None, add_generation_prompt=True, **args
        )
        return ids

    def reason(self, error: Exception) -> str | None:
        theirs = type(error).__module__.startswith("mistral_common.")
        return said(error) if theirs else None


def _with_short_ids(turn: Turn) -> Turn:
    """`turn` with ids of calls of the length that Mistral's models know."""
    turn = dict(turn)
    if "tool_calls" in turn:
        turn["tool_calls"] = [{**call, "id": _short(call["id"])} for call in turn["tool_calls"]]
    if "tool_call_id" in turn:
        turn["tool_call_id"] = _short(turn["tool_call_id"])
    return turn


def _short(call_id: str) -> str:
    return call_id if _CALL_ID.fullmatch(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:9]
