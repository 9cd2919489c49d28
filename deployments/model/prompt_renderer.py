"""Rendering of conversations to token ids, with the model's own chat template.

A prompt has exactly the special tokens that the template writes, whatever its messages contain: control strings in
contents become sentinels before rendering, and ordinary tokens after it. Without control strings, the ids equal
those of `tokenizer.apply_chat_template`.

Known limit: a control literal that is plain text to the tokenizer (`[INST]` in some models) gets a space after its
first character, since it cannot be both kept and escaped.
"""

import json
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from deployments.model.control_strings import CLOSE, OPEN, ControlStringEscaper, template_literals
from serving.errors import InvalidRequest
from serving.types import Message

CACHED_PROMPTS = 16  # agents of one layer often share a prompt; the ids of a long one take megabytes

logger = logging.getLogger(__name__)


class PromptRenderer:
    """Renderer for one model. Probes what the template accepts instead of relying on the model's name."""

    def __init__(self, tokenizer: Any, model: str = "model") -> None:
        """`tokenizer`: a fast Hugging Face tokenizer with a chat template.

        Raises:
            InvalidRequest: the tokenizer has no chat template.
        """
        if not getattr(tokenizer, "chat_template", None):
            raise InvalidRequest(f"The tokenizer of '{model}' has no chat template; add one to its source directory.")
        self._tokenizer, self._model = tokenizer, model
        self._literals = template_literals(self._template, ())
        self._escaper = ControlStringEscaper(tokenizer, [text for text in self._literals if not self._is_added(text)])
        self._plain = _without_added_tokens(tokenizer)
        self._added_ids = frozenset(getattr(tokenizer, "added_tokens_decoder", {}))
        self.accepts_system = self._keeps({"role": "system", "content": "Sys7"}, {"role": "user", "content": "Use7"})
        self.accepts_later_system = self.accepts_system and self._keeps(
            {"role": "system", "content": "Sys7"},
            {"role": "user", "content": "Use7"},
            {"role": "system", "content": "Sys8"},
            {"role": "user", "content": "Use8"},
        )
        self.accepts_repeated_roles = self._keeps(
            {"role": "user", "content": "Use7"}, {"role": "user", "content": "Use8"}
        )
        self.token_ids = lru_cache(CACHED_PROMPTS)(self._token_ids)

    def text(self, messages: Sequence[Message]) -> str:
        """Render the prompt, with sentinels in place of control strings.

        Raises:
            InvalidRequest: the template refuses the conversation.
        """
        turns = [
            {"role": message.role, "content": self._escaper.replace(message.content)}
            | ({"name": self._escaper.replace(message.name)} if message.name else {})
            for message in self._accepted(messages)
        ]
        try:
            return self._template(turns)
        except Exception as error:
            refusal = f"The chat template of '{self._model}' refuses the messages"
            if type(error) is TemplateError:  # the template's own raise_exception; Jinja's errors are subclasses
                reason = " ".join(str(error).split()).rstrip(".")
                raise InvalidRequest(f"{refusal}: {reason}.", "messages") from None
            logger.exception("The chat template of '%s' failed", self._model)
            raise InvalidRequest(f"{refusal}.", "messages") from None

    def _token_ids(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        """Token ids of the whole prompt, up to where the assistant's answer begins."""
        return self._encode(self.text(messages))

    def prefill_ids(self, messages: tuple[Message, ...], marker: str) -> tuple[int, ...]:
        """Token ids shared by every prompt that continues `messages` at the first occurrence of `marker`.

        The last word before the marker is left out, since its tokens may change with the text that follows. Empty if
        the prompt does not contain the marker.
        """
        known, found, _ = self.text(messages).partition(marker)
        if not found:
            return ()
        # Tokenizers split at white space first: tokens before the last white space do not depend on later text.
        stable = known.rstrip()
        cut = max(stable.rfind(" "), stable.rfind("\n"), stable.rfind("\t"))
        end = len(known[: cut + 1].rstrip()) if cut >= 0 else 0
        if (opened := known.rfind(OPEN, 0, end)) > known.rfind(CLOSE, 0, end):
            end = opened
        return self._encode(known, end)

    def _accepted(self, messages: Sequence[Message]) -> list[Message]:
        """Adapt `messages` to the template: join or fold system texts, merge consecutive messages of one role."""
        if not self.accepts_later_system and any(message.role == "system" for message in messages[1:]):
            texts = [message.content for message in messages if message.role == "system"]
            rest = [message for message in messages if message.role != "system"]
            messages = [Message("system", "\n\n".join(texts)), *rest]
        accepted = list(messages)
        if not self.accepts_system and accepted and accepted[0].role == "system":
            system, *rest = accepted
            if rest and rest[0].role == "user":
                accepted = [Message("user", f"{system.content}\n\n{rest[0].content}", rest[0].name), *rest[1:]]
            else:
                accepted = [Message("user", system.content), *rest]
        if self.accepts_repeated_roles:
            return accepted
        merged: list[Message] = []
        for message in accepted:
            if merged and merged[-1].role == message.role:
                message = Message(message.role, f"{merged.pop().content}\n\n{message.content}", message.name)
            merged.append(message)
        return merged

    def _encode(self, text: str, end: int | None = None) -> tuple[int, ...]:
        """Token ids of `text`, or those of its tokens that end at or before character `end`."""
        if OPEN not in text:
            if end is None:
                return tuple(self._tokenizer.encode(text, add_special_tokens=False))
            encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
            return tuple(token for token, (_, stop) in pairs if stop <= end)
        ids: list[int] = []
        for piece, escaped in self._escaper.split(text if end is None else text[:end]):
            if escaped:
                ids.extend(self._plain.encode(piece, add_special_tokens=False).ids)
            else:
                ids.extend(self._tokenizer.encode(piece, add_special_tokens=False))
        return tuple(ids)

    def _template(self, turns: Sequence[dict[str, str]]) -> str:
        rendered = self._tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=True)
        assert isinstance(rendered, str)
        return rendered

    def _keeps(self, *turns: dict[str, str]) -> bool:
        """True if the template accepts `turns` and keeps all their contents."""
        try:
            text = self._template(turns)
        except Exception:
            return False
        return all(turn["content"] in text for turn in turns)

    def _is_added(self, string: str) -> bool:
        return self._tokenizer.convert_tokens_to_ids(string) in getattr(self._tokenizer, "added_tokens_decoder", {})


def _without_added_tokens(tokenizer: Any) -> Tokenizer:
    """Copy of `tokenizer` that encodes the text of an added token like any other text."""
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    raw["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(raw))
