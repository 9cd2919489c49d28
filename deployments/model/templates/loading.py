"""Choice of the chat template of a model."""

from collections.abc import Callable
from typing import Any

from deployments.model.templates.base import ChatTemplate
from deployments.model.templates.text import TextTemplate
from serving.errors import ConfigError

HARMONY = "gpt_oss"  # model_type of config.json
ENCODED_MODES = frozenset({"deepseek_v32", "deepseek_v4"})  # vLLM's tokenizers of these write the prompt themselves


def load_template(
    tokenizer: Any,
    model: str,
    chat_template: str | None,
    tokenizer_mode: str = "auto",
    model_type: str | None = None,
    image_placeholder: Callable[[int], str | None] | None = None,
) -> ChatTemplate:
    """The format in which `model` reads conversations. Arguments: `PromptRenderer`.

    Raises:
        ConfigError: there is no chat template, it does not fit the model, or the mode is not supported.
    """
    own = _own_format(tokenizer, model, tokenizer_mode, model_type)
    if own is not None or tokenizer_mode in ENCODED_MODES:
        if chat_template is not None:
            raise ConfigError(f"Remove chat_template of '{model}'; its format is built in.")
        return own or TextTemplate(tokenizer, jinja=False)
    if tokenizer_mode not in {"auto", "hf", "slow"}:
        raise ConfigError(f"The tokenizer_mode '{tokenizer_mode}' of '{model}' is not supported; remove it.")
    if not (chat_template or getattr(tokenizer, "chat_template", None)):
        raise ConfigError(f"The tokenizer of '{model}' has no chat template; set engine_kwargs.chat_template.")
    return TextTemplate(tokenizer, chat_template, image_placeholder=image_placeholder)


def _own_format(tokenizer: Any, model: str, tokenizer_mode: str, model_type: str | None) -> ChatTemplate | None:
    """Format that is no text template; imported on demand, since each needs a library of its own."""
    if model_type == HARMONY:
        from deployments.model.templates.harmony import HarmonyTemplate

        return HarmonyTemplate(tokenizer, model)
    if getattr(tokenizer, "IS_MISTRAL_TOKENIZER", False):
        from deployments.model.templates.mistral import MistralTemplate

        return MistralTemplate(tokenizer)
    if tokenizer_mode == "kimi_k3":
        from deployments.model.templates.kimi import KimiTemplate

        return KimiTemplate(tokenizer)
    if tokenizer_mode == "inkling":
        from deployments.model.templates.inkling import InklingTemplate

        return InklingTemplate(tokenizer)
    return None
