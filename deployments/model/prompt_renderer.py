"""A conversation becomes token ids by the model's own chat template.

A prompt has exactly the special tokens that the template puts there, whatever its messages say: control strings
in contents become sentinels before rendering, and ordinary tokens after it. Without such strings the ids equal
`tokenizer.apply_chat_template`'s.

Known limit: non-special control text (`[INST]` where it is plain text) cannot be both kept and made harmless; it
gets a space after its first character.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer

from deployments.model.control_strings import CLOSE, OPEN, ControlStringEscaper, template_literals
from serving.errors import InvalidRequest
from serving.types import Message

CACHED_PROMPTS = 16  # agents of one layer often share a prompt; a long one has megabytes of ids


class PromptRenderer:
    """Renders for one model. What its template accepts is found out by trying, never from the model's name."""

    def __init__(self, tokenizer: Any, model: str = "model") -> None:
        """`tokenizer`: a fast Hugging Face tokenizer with a chat template.

        Raises:
            InvalidRequest: there is no chat template.
        """
        if not getattr(tokenizer, "chat_template", None):
            raise InvalidRequest(f"The tokenizer of '{model}' has no chat template; set one in its source directory.")
        self._tokenizer, self._model = tokenizer, model
        self._literals = template_literals(self._template, ())
        self._escaper = ControlStringEscaper(tokenizer, [one for one in self._literals if not self._is_added(one)])
        self._plain = _without_added_tokens(tokenizer)
        self._added_ids = frozenset(getattr(tokenizer, "added_tokens_decoder", {}))
        self.takes_system = self._shows({"role": "system", "content": "Sys7"}, {"role": "user", "content": "Use7"})
        self.takes_later_system = self.takes_system and self._shows(
            {"role": "system", "content": "Sys7"},
            {"role": "user", "content": "Use7"},
            {"role": "system", "content": "Sys8"},
            {"role": "user", "content": "Use8"},
        )
        self.takes_repeated_roles = self._shows(
            {"role": "user", "content": "Use7"}, {"role": "user", "content": "Use8"}
        )
        self.token_ids = lru_cache(CACHED_PROMPTS)(self._token_ids)

    def text(self, messages: Sequence[Message]) -> str:
        """The prompt as the template renders it, control strings of contents as sentinels.

        Raises:
            InvalidRequest: the template refuses the conversation; its own words say why.
        """
        turns = [
            {"role": message.role, "content": self._escaper.replace(message.content)}
            | ({"name": self._escaper.replace(message.name)} if message.name else {})
            for message in self._accepted(messages)
        ]
        try:
            return self._template(turns)
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InvalidRequest(
                f"The chat template of '{self._model}' refuses the messages: {reason}.", "messages"
            ) from None

    def _token_ids(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        """The whole prompt, up to where the assistant's answer begins."""
        return self._encode(self.text(messages))

    def prefill_ids(self, messages: tuple[Message, ...], marker: str) -> tuple[int, ...]:
        """The ids that every prompt has which continues `messages` at `marker`'s first occurrence.

        The last word before the marker is left out, since its tokens may change with what follows. Empty where the
        marker is not in the prompt.
        """
        known, found, _ = self.text(messages).partition(marker)
        if not found:
            return ()
        # Tokenizers split at white space first: tokens before the last such place do not depend on what comes after.
        stable = known.rstrip()
        cut = max(stable.rfind(" "), stable.rfind("\n"), stable.rfind("\t"))
        end = len(known[: cut + 1].rstrip()) if cut >= 0 else 0
        if (opened := known.rfind(OPEN, 0, end)) > known.rfind(CLOSE, 0, end):
            end = opened
        return self._encode(known, end)

    def _accepted(self, messages: Sequence[Message]) -> list[Message]:
        """`messages` in a form that the template takes: system texts joined or folded, same roles merged."""
        if not self.takes_later_system and any(message.role == "system" for message in messages[1:]):
            texts = [message.content for message in messages if message.role == "system"]
            rest = [message for message in messages if message.role != "system"]
            messages = [Message("system", "\n\n".join(texts)), *rest]
        accepted = list(messages)
        if not self.takes_system and accepted and accepted[0].role == "system":
            system, *rest = accepted
            if rest and rest[0].role == "user":
                accepted = [Message("user", f"{system.content}\n\n{rest[0].content}", rest[0].name), *rest[1:]]
            else:
                accepted = [Message("user", system.content), *rest]
        if self.takes_repeated_roles:
            return accepted
        merged: list[Message] = []
        for message in accepted:
            if merged and merged[-1].role == message.role:
                message = Message(message.role, f"{merged.pop().content}\n\n{message.content}", message.name)
            merged.append(message)
        return merged

    def _encode(self, text: str, end: int | None = None) -> tuple[int, ...]:
        """Ids of `text`, or of the tokens that end at or before character `end` of it."""
        if OPEN not in text:
            if end is None:
                return tuple(self._tokenizer.encode(text, add_special_tokens=False))
            encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
            return tuple(token for token, (_, stop) in pairs if stop <= end)
        ids: list[int] = []
        for piece, harmless in self._escaper.split(text if end is None else text[:end]):
            if harmless:
                ids.extend(self._plain.encode(piece, add_special_tokens=False).ids)
            else:
                ids.extend(self._tokenizer.encode(piece, add_special_tokens=False))
        return tuple(ids)

    def _template(self, turns: Sequence[dict[str, str]]) -> str:
        rendered = self._tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=True)
        assert isinstance(rendered, str)
        return rendered

    def _shows(self, *turns: dict[str, str]) -> bool:
        """Whether the template accepts `turns` and keeps all their contents."""
        try:
            text = self._template(turns)
        except Exception:
            return False
        return all(turn["content"] in text for turn in turns)

    def _is_added(self, string: str) -> bool:
        return self._tokenizer.convert_tokens_to_ids(string) in getattr(self._tokenizer, "added_tokens_decoder", {})


def _without_added_tokens(tokenizer: Any) -> Tokenizer:
    """A copy of `tokenizer` to which a special token's text is text like any other."""
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    raw["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(raw))
