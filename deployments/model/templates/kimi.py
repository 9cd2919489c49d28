"""Prompts of Kimi K3, whose tokenizer writes them itself (vLLM's tokenizer mode `kimi_k3`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from vllm.renderers import kimi_k3

from deployments.model.templates.base import Turn
from deployments.model.templates.tokens import TokenTemplate
from serving.errors import InvalidRequest

EFFORTS = ("low", "high", "max")


class KimiTemplate(TokenTemplate):
    """Template in Kimi K3's own code, which comes with the model (`trust_remote_code`)."""

    known_args = frozenset({"thinking", "enable_thinking", "thinking_effort", "reasoning_effort"})

    def _ids(self, turns: Sequence[Turn], tools: Sequence[Turn], args: Mapping[str, Any]) -> Sequence[int]:
        known = dict(args)
        for name in ("reasoning_effort", "thinking_effort"):
            if (effort := known.get(name)) not in (None, *EFFORTS) and (name, effort) != ("reasoning_effort", "none"):
                raise InvalidRequest(f"{name} must be {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}.", name)
        kimi_k3._apply_k3_thinking_kwargs(known)
        normalized = kimi_k3._normalize_k3_tool_messages(list(turns))  # type: ignore[arg-type]  # typed dicts there
        ids: Sequence[int] = self._tokenizer.apply_chat_template(
            normalized, tools=list(tools) or None, tokenize=True, add_generation_prompt=True, **known
        )
        return ids
