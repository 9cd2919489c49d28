"""Prompts of Inkling, which has no text form (vLLM's tokenizer mode `inkling`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from vllm.renderers.inkling import _resolve_reasoning_effort
from vllm.renderers.inkling_encoding import SPECIAL_TOKEN_SPELLINGS, render_inkling_messages

from deployments.model.control_strings import ControlStringEscaper, added_tokens
from deployments.model.prompt_encoder import PromptEncoder
from deployments.model.templates.base import Turn
from deployments.model.templates.tokens import TokenTemplate
from serving.errors import ConfigError, InvalidRequest


class InklingTemplate(TokenTemplate):
    """Template of vLLM's renderer, with texts encoded by a tokenizer that knows no control tokens."""

    known_args = frozenset({"reasoning_effort"})

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self._text_tokenizer = _OrdinaryText(tokenizer)

    def _ids(self, turns: Sequence[Turn], tools: Sequence[Turn], args: Mapping[str, Any]) -> Sequence[int]:
        effort = _resolve_reasoning_effort(args.get("reasoning_effort"))
        if effort is None:
            raise InvalidRequest(
                "reasoning_effort must be none, minimal, low, medium, high, xhigh, max or a number.", "reasoning_effort"
            )
        return render_inkling_messages(turns, self._text_tokenizer, tools=list(tools) or None, reasoning_effort=effort)


class _OrdinaryText:
    """Tokenizer in the shape that vLLM's renderer expects; what it encodes as text has no control tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._escaper = ControlStringEscaper(tokenizer, added_tokens(tokenizer))
        self._encoder = PromptEncoder(tokenizer, self._escaper)
        vocabulary = tokenizer.get_vocab()
        self._ids: dict[str, int] = {}
        for token, spellings in SPECIAL_TOKEN_SPELLINGS.items():
            known = [vocabulary[spelling] for spelling in spellings if spelling in vocabulary]
            if not known:
                raise ConfigError(f"The tokenizer has no {token}; it is none of Inkling's. Remove tokenizer_mode.")
            self._ids[token] = known[0]

    def encode_text(self, text: str) -> list[int]:
        return list(self._encoder.encode(self._escaper.replace(text)))

    def encode_special(self, token: str) -> int:
        return self._ids[token]
