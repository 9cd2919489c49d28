"""Rendering of conversations to token ids, in the model's own format.

A prompt has exactly the control tokens that the template writes, whatever its messages, tools and arguments contain.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, TypeVar

from deployments.model.conversation import adapted
from deployments.model.image_turns import content_of, without_data
from deployments.model.prompt_budget import PromptAbandoned, PromptBudget, PromptTooLong
from deployments.model.prompt_cache import PromptCache, text_bytes
from deployments.model.templates.base import NO_ARGS, ChatTemplate, Turn
from deployments.model.templates.facts import TemplateFacts, probe
from deployments.model.templates.loading import load_template
from deployments.model.tool_texts import argument_object, functions_of, is_text
from serving.conversation import Message, Tool, ToolCall
from serving.errors import ConfigError, InvalidRequest
from serving.failures import log_exception, said
from serving.types import PromptEnd

CACHED_PROMPTS = 16  # agents of one layer often share a prompt
CACHED_BYTES = 64 * 2**20  # the ids of a long prompt take megabytes
CACHED_OPENINGS = 16

# Of a refused conversation, for which the refused message is searched: each costs a rendering of all before it.
NAMED_MESSAGES = 64
NAMED_CHARACTERS = 200_000

Rendered = TypeVar("Rendered")

logger = logging.getLogger(__name__)


class PromptRenderer:
    """Renderer for one model. Probes what the template accepts instead of relying on the model's name."""

    def __init__(
        self,
        tokenizer: Any,
        model: str = "model",
        chat_template: str | None = None,
        tokenizer_mode: str = "auto",
        model_type: str | None = None,
        image_placeholder: Callable[[int], str | None] | None = None,
    ) -> None:
        """Choose the template and probe it.

        Args:
            tokenizer: The model's tokenizer: a Hugging Face one, or vLLM's for `tokenizer_mode`.
            model: Name of the model, for messages.
            chat_template: Text in place of the tokenizer's own template.
            tokenizer_mode: vLLM's option.
            model_type: `model_type` of the model's config.json.
            image_placeholder: Text of the placeholder of an image by its number, from 1. None: the model reads none.

        Raises:
            ConfigError: there is no chat template, the mode is not supported, or text in messages would become control
                tokens.
        """
        self._model = model
        self._template: ChatTemplate = load_template(
            tokenizer, model, chat_template, tokenizer_mode, model_type, image_placeholder
        )
        self.facts: TemplateFacts = probe(self._template)
        self.control_ids: frozenset[int] = self._template.control_ids()
        self.decode: Callable[[Sequence[int]], str] = self._template.decode
        self._check_escaping()
        self._cache = PromptCache(CACHED_PROMPTS, CACHED_BYTES)
        self._cached_opening = lru_cache(CACHED_OPENINGS)(self._opening_ids)

    def named(self, model: str) -> "PromptRenderer":
        """The same renderer, with its caches, and another name of the model in its errors."""
        other = copy(self)
        other._model = model
        return other

    @property
    def accepts_tools(self) -> bool:
        """True if the template writes the descriptions of tools."""
        return self.facts.tools

    @property
    def accepts_images(self) -> bool:
        """True if the template has a place for images in a user's message."""
        return self.facts.user_images

    def text(self, messages: Sequence[Message], tools: Sequence[Tool] = (), args: Mapping[str, Any] = NO_ARGS) -> str:
        """Text of the prompt, for people; control strings in messages may be written in another way.

        Args:
            messages: The conversation.
            tools: Tools that the model may call.
            args: Arguments of the chat template; those that a Jinja template does not know have no effect.

        Raises:
            InvalidRequest: the template refuses the conversation, or has no tools; an argument is reserved, unknown or
                no JSON.
        """
        return self._rendered(self._template.text, messages, functions_of(tools), json.loads(self._args_key(args)))

    def token_ids(
        self,
        messages: tuple[Message, ...],
        tools: Sequence[Tool] = (),
        args: Mapping[str, Any] = NO_ARGS,
        end: PromptEnd = "answer",
        budget: PromptBudget | None = None,
        scope: str = "",
    ) -> tuple[int, ...]:
        """Token ids of the whole prompt, up to its `end` (see `PromptEnd`). Other arguments and errors: `text`.

        A format that has no such end is refused, too. Prompts within the budget's `cached_tokens` are kept for others
        of the same `scope`.

        Raises:
            PromptTooLong: there are more than the budget allows; found before the whole prompt is encoded if possible.
            PromptAbandoned: nobody waits for them.
        """
        budget = budget or PromptBudget()
        tools_key, args_key = json.dumps(functions_of(tools)), self._args_key(args)
        key = (without_data(messages), tools_key, args_key, end, scope)
        found = self._cache.get(key)
        if found is not None:
            budget.check_length(len(found))
            return found
        ids = self._token_ids(key[0], tools_key, args_key, end, budget)
        if budget.cached_tokens is None or len(ids) <= budget.cached_tokens:
            self._cache.put(key, ids, _size_bytes(key[0]) + text_bytes(tools_key, args_key))
        return ids

    def prefill_ids(
        self,
        messages: tuple[Message, ...],
        marker: str,
        tools: Sequence[Tool] = (),
        args: Mapping[str, Any] = NO_ARGS,
        end: PromptEnd = "answer",
        budget: PromptBudget | None = None,
    ) -> tuple[int, ...]:
        """Token ids shared by every prompt that continues `messages` at the first occurrence of `marker`.

        The last word before the marker is left out, since its tokens may change with the text that follows. Empty if
        the prompt does not contain the marker. Other arguments and errors: `token_ids`.
        """

        def prefix(turns: Sequence[Turn], functions: Sequence[Turn], checked: Mapping[str, Any]) -> tuple[int, ...]:
            return self._template.prefix_ids(turns, marker, functions, checked, budget)

        return self._rendered(prefix, messages, functions_of(tools), json.loads(self._args_key(args)), end)

    def opening_ids(self, args: Mapping[str, Any] = NO_ARGS) -> tuple[int, ...]:
        """Token ids with which every prompt ends, the beginning of the answer (`<think>`) among them."""
        return self._cached_opening(self._args_key(args))

    def _opening_ids(self, args: str) -> tuple[int, ...]:
        return self._template.opening_ids(json.loads(args))

    def _token_ids(
        self, messages: tuple[Message, ...], tools: str, args: str, end: PromptEnd, budget: PromptBudget
    ) -> tuple[int, ...]:
        if end not in self._template.ends:
            field = "continue_final_message" if end == "continued" else "add_generation_prompt"
            raise InvalidRequest(f"Remove '{field}': the prompt format of '{self._model}' does not have it.", field)

        def render(turns: Sequence[Turn], functions: Sequence[Turn], checked: Mapping[str, Any]) -> tuple[int, ...]:
            return self._template.token_ids(turns, functions, checked, end, budget)

        return self._rendered(render, messages, json.loads(tools), json.loads(args), end)

    def _rendered(
        self,
        render: Callable[[Sequence[Turn], Sequence[Turn], Mapping[str, Any]], Rendered],
        messages: Sequence[Message],
        functions: Sequence[Turn],
        args: Mapping[str, Any],
        end: PromptEnd = "answer",
    ) -> Rendered:
        self._check_input(messages, functions)
        turns = self._turns(messages, end)
        try:
            return render(turns, functions, args)
        except (InvalidRequest, PromptTooLong, PromptAbandoned):
            raise
        except Exception as error:
            reason = self._template.reason(error)
            if reason is None:
                log_exception(logger, error, "The chat template of '%s' failed", self._model)
            refusal = f"The chat template of '{self._model}' refuses {self._refused(error, messages, functions, args)}"
            raise InvalidRequest(f"{refusal}{f': {reason}' if reason else ''}.", "messages") from None

    def _refused(
        self, error: Exception, messages: Sequence[Message], functions: Sequence[Turn], args: Mapping[str, Any]
    ) -> str:
        """The last message of the shortest beginning of the conversation that is refused in the same way."""
        rendered = 0
        for number, message in enumerate(messages[:NAMED_MESSAGES]):
            rendered += len(message.content)
            if rendered > NAMED_CHARACTERS:
                break
            try:
                self._template.text(self._turns(messages[: number + 1]), functions, args)
            except Exception as other:
                if said(other) == said(error):
                    return f"messages[{number}] ({message.role})"
        return "the messages"

    def _check_input(self, messages: Sequence[Message], functions: Sequence[Turn]) -> None:
        """Refuse what the template would leave out, and text that is none. Raises `InvalidRequest`."""
        if functions and not self.facts.tools:
            raise InvalidRequest(f"The chat template of '{self._model}' has no tools; remove them.", "tools")
        if functions and not is_text(json.dumps(functions, ensure_ascii=False)):
            raise InvalidRequest("tools have half of a surrogate pair, which is no character.", "tools")
        tools_missing = not functions and self.facts.tool_turns and not self.facts.tool_turns_without_tools
        for number, message in enumerate(messages):
            if tools_missing and (message.tool_calls or message.role == "tool"):
                raise InvalidRequest(
                    f"The chat template of '{self._model}' has tool calls and results only together with tools;"
                    f" send the tools along, or remove messages[{number}] ({message.role}).",
                    "messages",
                )
            if not is_text(
                message.content,
                message.reasoning or "",
                *(call.arguments for call in message.tool_calls),
            ):
                raise InvalidRequest(
                    f"messages[{number}] ({message.role}) has half of a surrogate pair, which is no character.",
                    "messages",
                )

    def _turns(self, messages: Sequence[Message], end: PromptEnd = "answer") -> list[Turn]:
        names = {call.id: call.name for message in messages for call in message.tool_calls}
        found = adapted(messages, self.facts, self._model, opened=end == "answer")
        return [self._turn(message, names) for message in found]

    def _turn(self, message: Message, call_names: Mapping[str, str]) -> Turn:
        """Turn of the template; `call_names`: name of each call by its id."""
        turn: Turn = {"role": message.role, "content": content_of(message)}
        name = message.name or call_names.get(message.tool_call_id or "")
        if name:
            turn["name"] = name
        if message.tool_call_id:
            turn["tool_call_id"] = message.tool_call_id
        if message.tool_calls:
            turn["tool_calls"] = [self._call(call) for call in message.tool_calls]
            turn["content"] = message.content or (None if self.facts.null_content else "")
        if message.reasoning and self.facts.reasoning_key:
            turn[self.facts.reasoning_key] = message.reasoning
        return turn

    def _call(self, call: ToolCall) -> Turn:
        arguments = argument_object(call.arguments) if self.facts.argument_objects else call.arguments
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _args_key(self, args: Mapping[str, Any]) -> str:
        """JSON of `args`. Raises `InvalidRequest`."""
        if reserved := self._template.reserved_args & set(args):
            raise InvalidRequest(f"Remove '{min(reserved)}' from chat_template_kwargs.", "chat_template_kwargs")
        known = self._template.known_args
        if known is not None and (unknown := set(args) - known):
            raise InvalidRequest(
                f"Remove '{min(unknown)}' from chat_template_kwargs; '{self._model}' has"
                f" {', '.join(sorted(known)) or 'none'}.",
                "chat_template_kwargs",
            )
        try:
            return json.dumps(dict(args), allow_nan=False)
        except (TypeError, ValueError):
            raise InvalidRequest("chat_template_kwargs must hold JSON values.", "chat_template_kwargs") from None

    def _check_escaping(self) -> None:
        """Compare the control tokens of a prompt with and without control strings in its texts.

        Raises:
            ConfigError: text became control tokens.
        """
        forged = " ".join(self._template.control_strings())

        def found(text: str) -> list[int]:
            tools = (Tool("f", f"x{text}"),) if self.facts.tools else ()
            messages = [Message("user", f"x{text}x")]
            if self.facts.tool_turns and self.facts.tool_turns_without_tools:
                call = ToolCall("call00007", "f", json.dumps({"x": f"x{text}"}))
                messages += [
                    Message("assistant", "", reasoning=f"x{text}", tool_calls=(call,)),
                    Message("tool", f"x{text}x", tool_call_id=call.id),
                ]
            ids = self._rendered(self._template.token_ids, messages, functions_of(tools), NO_ARGS)
            return [token for token in ids if token in self.control_ids]

        try:
            kept = found(forged) == found("")
        except InvalidRequest as error:
            raise ConfigError(str(error)) from None
        if not kept:
            raise ConfigError(f"Text in messages to '{self._model}' would become control tokens; it cannot be served.")


def _size_bytes(messages: Sequence[Message]) -> int:
    """Size in memory of the texts of `messages`."""
    return sum(
        text_bytes(message.content, message.reasoning or "", *(call.arguments for call in message.tool_calls))
        for message in messages
    )
