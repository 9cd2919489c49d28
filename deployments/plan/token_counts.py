"""How many tokens a prompt has for a model: by its own tokenizer where that is local, otherwise estimated from words.

Texts of unknown content are made of stand-ins, each of which counts as one token whatever it looks like.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deployments.config import ExternalSpec, ModelSpec
from serving.errors import ConfigError, InvalidRequest
from serving.types import Message

if TYPE_CHECKING:
    from deployments.model.prompt_renderer import PromptRenderer

TOKENS_PER_WORD = 1.3  # of English, by the tokenizers of large models
TEMPLATE_TOKENS = 4  # around a message, by most chat templates
_STAND_IN = re.compile(r"\s*zqx\d+")


def stand_ins(count: int, number: int) -> str:
    """A text of `count` tokens; texts of different numbers differ."""
    return " ".join([f"zqx{number}"] * count)


class Counter:
    """Counts for one model.

    Raises:
        ConfigError: its local tokenizer cannot be read, or has no chat template.
    """

    def __init__(self, model: ModelSpec | ExternalSpec) -> None:
        self._renderer = None if isinstance(model, ExternalSpec) else _local_renderer(model)

    @property
    def exact(self) -> bool:
        """Whether the model's own tokenizer counts."""
        return self._renderer is not None

    def __call__(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt, the chat template's included."""
        standing_in = sum(len(_STAND_IN.findall(message.content)) for message in messages)
        rest = tuple(replace(message, content=_STAND_IN.sub("", message.content)) for message in messages)
        if self._renderer is not None:
            return standing_in + len(self._renderer.token_ids(rest))
        words = sum(len(message.content.split()) for message in rest)
        return standing_in + round(words * TOKENS_PER_WORD) + TEMPLATE_TOKENS * len(rest)


def _local_renderer(model: ModelSpec) -> "PromptRenderer | None":
    """`None` where the weights are not local, or another tokenizer than theirs is used."""
    path = model.path
    if path is None or "tokenizer" in model.engine_kwargs or not (path / "tokenizer_config.json").is_file():
        return None
    from transformers import AutoTokenizer  # seconds, which profiles without local weights do not need

    from deployments.model.prompt_renderer import PromptRenderer

    trusted = bool(model.engine_kwargs.get("trust_remote_code"))
    try:
        return PromptRenderer(AutoTokenizer.from_pretrained(str(path), trust_remote_code=trusted), model.id)
    except InvalidRequest as error:
        raise ConfigError(str(error)) from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(f"The tokenizer of '{model.id}' cannot be read: {reason}.") from None
