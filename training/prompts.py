"""Prompts as token ids: the server's own renderer, over the tokenizers of a profile's models."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from transformers import AutoTokenizer

from deployments.model.prompt_renderer import PromptRenderer
from deployments.model_spec import ModelSpec
from serving.errors import ConfigError, InvalidRequest
from serving.failures import said
from training.errors import TrainingError
from training.trajectory import PromptMessage

MODES = ("auto", "hf")  # kinds of tokenizers that transformers reads


class ModelText:
    """Tokenizer and chat template of one model, as its replica has them."""

    def __init__(self, model: ModelSpec) -> None:
        """Load the tokenizer. Raises `TrainingError` if it is none of transformers' or cannot be read."""
        self.model = model
        if model.tokenizer_mode not in MODES:
            raise TrainingError(
                f"'{model.id}' has tokenizer_mode {model.tokenizer_mode}, whose prompts cannot be rebuilt here; train"
                " other models with --models."
            )
        source = str(model.engine_kwargs.get("tokenizer") or model.path or model.source)
        trusted = bool(model.engine_kwargs.get("trust_remote_code"))
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=trusted)
            self._renderer = PromptRenderer(self.tokenizer, model.id, model.chat_template)
        except (ConfigError, InvalidRequest) as error:
            raise TrainingError(str(error)) from None
        except (OSError, ValueError) as error:
            raise TrainingError(f"The tokenizer of '{model.id}' cannot be read: {said(error)}.") from None

    def prompt_ids(self, prompt: Sequence[PromptMessage], args: Mapping[str, Any]) -> list[int]:
        """Token ids of a prompt, up to the beginning of the answer. Raises `TrainingError` if the template refuses."""
        try:
            return list(self._renderer.token_ids(tuple(one.message for one in prompt), args=args))
        except InvalidRequest as error:
            raise TrainingError(str(error)) from None

    def opening_ids(self, args: Mapping[str, Any]) -> list[int]:
        """Token ids with which every prompt ends."""
        return list(self._renderer.opening_ids(args))

    def answer_ids(self, text: str) -> list[int]:
        """Token ids of an answer and of its end."""
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end_id]

    @cached_property
    def end_id(self) -> int:
        """Token that ends an answer. Raises `TrainingError` if the tokenizer names none."""
        if self.tokenizer.eos_token_id is None:
            raise TrainingError(f"The tokenizer of '{self.model.id}' has no eos_token, which must end its answers.")
        return int(self.tokenizer.eos_token_id)
