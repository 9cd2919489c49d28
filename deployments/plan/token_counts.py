"""Token counts of prompts: exact if the model's tokenizer is local, otherwise estimated from words.

Texts of unknown content consist of stand-ins; each counts as one token, whatever its spelling.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deployments.external_spec import ExternalSpec
from deployments.model_spec import ModelSpec
from serving.conversation import Message
from serving.errors import ConfigError, InvalidRequest
from serving.failures import said

if TYPE_CHECKING:
    from deployments.model.prompt_renderer import PromptRenderer
    from deployments.model.templates.facts import TemplateFacts

TOKENS_PER_WORD = 1.3  # of English text, for tokenizers of large models
TEMPLATE_TOKENS = 4  # per message, in most chat templates
_STAND_IN = re.compile(r"\s*zqx\d+")


def stand_ins(count: int, number: int) -> str:
    """Return a text of `count` tokens; texts of different numbers differ."""
    return " ".join([f"zqx{number}"] * count)


class Counter:
    """Token counter of one model.

    Raises:
        ConfigError: the local tokenizer cannot be read, or has no chat template.
    """

    def __init__(self, model: ModelSpec | ExternalSpec) -> None:
        self._renderer = None if isinstance(model, ExternalSpec) else _local_renderer(model)

    @property
    def exact(self) -> bool:
        """True if the model's own tokenizer counts."""
        return self._renderer is not None

    @property
    def template_facts(self) -> "TemplateFacts | None":
        """Shapes that the chat template accepts; None without a local tokenizer."""
        return None if self._renderer is None else self._renderer.facts

    def __call__(self, messages: Sequence[Message]) -> int:
        """Count the tokens of the whole prompt, the chat template's included."""
        stand_in_tokens = sum(len(_STAND_IN.findall(message.content)) for message in messages)
        rest = tuple(replace(message, content=_STAND_IN.sub("", message.content)) for message in messages)
        if self._renderer is not None:
            return stand_in_tokens + len(self._renderer.token_ids(rest))
        words = sum(len(message.content.split()) for message in rest)
        return stand_in_tokens + round(words * TOKENS_PER_WORD) + TEMPLATE_TOKENS * len(rest)


def _local_renderer(model: ModelSpec) -> "PromptRenderer | None":
    """Renderer of the model's local tokenizer; None if the weights are not local or use another tokenizer."""
    path = model.path
    if path is None or "tokenizer" in model.engine_kwargs or not (path / "tokenizer_config.json").is_file():
        return None
    if model.tokenizer_mode not in ("auto", "hf"):  # vLLM's own tokenizers
        return None
    from transformers import AutoTokenizer  # takes seconds, which profiles without local weights do not need

    from deployments.model.prompt_renderer import PromptRenderer

    trusted = bool(model.engine_kwargs.get("trust_remote_code"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), trust_remote_code=trusted)
        return PromptRenderer(tokenizer, model.id, model.chat_template)
    except InvalidRequest as error:
        raise ConfigError(str(error)) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"The tokenizer of '{model.id}' cannot be read: {said(error)}.") from None
