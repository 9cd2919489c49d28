"""Rendering of conversations to token ids, with the model's own chat template.

A prompt has exactly the special tokens that the template writes, whatever its messages, tools and arguments contain:
control strings in them become sentinels before rendering, and ordinary tokens after it. Without control strings, the
ids equal those of `tokenizer.apply_chat_template`.

Known limit: a control literal that is plain text to the tokenizer (`[INST]` in some models) gets a space after its
first character, since it cannot be both kept and escaped.
"""

import inspect
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from deployments.model.control_strings import CLOSE, OPEN, ControlStringEscaper, template_literals
from serving.errors import InvalidRequest
from serving.types import Message, Tool, ToolCall

CACHED_PROMPTS = 16  # agents of one layer often share a prompt; the ids of a long one take megabytes
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")  # names under which templates read earlier reasoning

NO_ARGS: Mapping[str, Any] = MappingProxyType({})

Turn = dict[str, Any]

_SYSTEM, _USER, _ANSWER = ({"role": role, "content": role.title()} for role in ("system", "user", "assistant"))
_TOOL = {
    "type": "function",
    "function": {
        "name": "Too7",
        "description": "Des7",
        "parameters": {"type": "object", "properties": {"Arg7": {"type": "string"}}},
    },
}

logger = logging.getLogger(__name__)


class PromptRenderer:
    """Renderer for one model. Probes what the template accepts instead of relying on the model's name."""

    def __init__(self, tokenizer: Any, model: str = "model", chat_template: str | None = None) -> None:
        """`tokenizer`: a fast Hugging Face tokenizer; `chat_template`: text in place of the tokenizer's own template.

        Raises:
            InvalidRequest: there is no chat template.
        """
        if not (chat_template or getattr(tokenizer, "chat_template", None)):
            raise InvalidRequest(f"The tokenizer of '{model}' has no chat template; add one to its source directory.")
        self._tokenizer, self._model, self._chat_template = tokenizer, model, chat_template
        # A caller's template argument of such a name would change more than a text.
        own = inspect.signature(tokenizer.apply_chat_template).parameters
        self._reserved_args = {"messages", *own, *getattr(tokenizer, "special_tokens_map", {})}
        self.accepts_tools = self._shows(["Too7"], _USER, tools=[_TOOL])
        # Templates of today take the arguments of a call as an object, older ones as text.
        self._argument_objects = self._shows(["Too7", "Val7", "Res7"], *_tool_turns({"Arg7": "Val7"}), tools=[_TOOL])
        self.accepts_tool_turns = self._argument_objects or self._shows(
            ["Too7", "Val7", "Res7"], *_tool_turns('{"Arg7": "Val7"}'), tools=[_TOOL]
        )
        self._reasoning_key = next((key for key in REASONING_KEYS if self._shows_reasoning(key)), None)
        self._literals = template_literals(self._probes(), ())
        self._escaper = ControlStringEscaper(tokenizer, [text for text in self._literals if not self._is_added(text)])
        self._plain = _without_added_tokens(tokenizer)
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
        self._cached_ids = lru_cache(CACHED_PROMPTS)(self._token_ids)
        self._cached_opening = lru_cache(CACHED_PROMPTS)(self._opening_ids)

    def text(self, messages: Sequence[Message], tools: Sequence[Tool] = (), args: Mapping[str, Any] = NO_ARGS) -> str:
        """Render the prompt, with sentinels in place of control strings.

        Args:
            messages: The conversation.
            tools: Tools that the model may call.
            args: Arguments of the chat template; those that it does not know have no effect.

        Raises:
            InvalidRequest: the template refuses the conversation, or has no tools; an argument is reserved or no JSON.
        """
        return self._text(messages, _functions(tools), json.loads(self._args_key(args)))

    def token_ids(
        self,
        messages: tuple[Message, ...],
        tools: Sequence[Tool] = (),
        args: Mapping[str, Any] = NO_ARGS,
    ) -> tuple[int, ...]:
        """Token ids of the whole prompt, up to where the assistant's answer begins. Arguments and errors: `text`."""
        return self._cached_ids(messages, json.dumps(_functions(tools)), self._args_key(args))

    def prefill_ids(
        self,
        messages: tuple[Message, ...],
        marker: str,
        tools: Sequence[Tool] = (),
        args: Mapping[str, Any] = NO_ARGS,
    ) -> tuple[int, ...]:
        """Token ids shared by every prompt that continues `messages` at the first occurrence of `marker`.

        The last word before the marker is left out, since its tokens may change with the text that follows. Empty if
        the prompt does not contain the marker. Other arguments and errors: `text`.
        """
        known, found, _ = self.text(messages, tools, args).partition(marker)
        if not found:
            return ()
        # Tokenizers split at white space first: tokens before the last white space do not depend on later text.
        stable = known.rstrip()
        cut = max(stable.rfind(" "), stable.rfind("\n"), stable.rfind("\t"))
        end = len(known[: cut + 1].rstrip()) if cut >= 0 else 0
        if (opened := known.rfind(OPEN, 0, end)) > known.rfind(CLOSE, 0, end):
            end = opened
        return self._encode(known, end)

    def opening_ids(self, args: Mapping[str, Any] = NO_ARGS) -> tuple[int, ...]:
        """Token ids with which the template opens the assistant's answer, such as those of `<think>`."""
        return self._cached_opening(self._args_key(args))

    def _opening_ids(self, args: str) -> tuple[int, ...]:
        given = self._escaper.replace_all(json.loads(args))
        try:
            begun, whole = (self._template([_USER], (), given, generation=one) for one in (False, True))
        except Exception:
            return ()
        pairs = enumerate(zip(begun, whole, strict=False))
        return self._encode(whole[next((place for place, (a, b) in pairs if a != b), len(begun)) :])

    def _text(self, messages: Sequence[Message], functions: list[Turn], args: Mapping[str, Any]) -> str:
        if functions and not self.accepts_tools:
            raise InvalidRequest(f"The chat template of '{self._model}' has no tools; remove them.", "tools")
        if not self.accepts_tool_turns and any(message.tool_calls or message.role == "tool" for message in messages):
            raise InvalidRequest(f"The chat template of '{self._model}' has no tool calls and results.", "messages")
        names = {call.id: call.name for message in messages for call in message.tool_calls}
        turns = [self._turn(message, names) for message in self._accepted(messages)]
        replaced = self._escaper.replace_all
        try:
            return self._template(turns, replaced(functions), replaced(args))
        except Exception as error:
            refusal = f"The chat template of '{self._model}' refuses the messages"
            if type(error) is TemplateError:  # the template's own raise_exception; Jinja's errors are subclasses
                reason = " ".join(str(error).split()).rstrip(".")
                raise InvalidRequest(f"{refusal}: {reason}.", "messages") from None
            logger.exception("The chat template of '%s' failed", self._model)
            raise InvalidRequest(f"{refusal}.", "messages") from None

    def _turn(self, message: Message, call_names: Mapping[str, str]) -> Turn:
        """Turn of the template, escaped; `call_names`: name of each call by its id."""
        turn: Turn = {"role": message.role, "content": message.content}
        name = message.name or call_names.get(message.tool_call_id or "")
        if name:
            turn["name"] = name
        if message.tool_call_id:
            turn["tool_call_id"] = message.tool_call_id
        if message.tool_calls:
            turn["tool_calls"] = [self._call(call) for call in message.tool_calls]
        if message.reasoning and self._reasoning_key:
            turn[self._reasoning_key] = message.reasoning
        role = turn.pop("role")
        return {"role": role, **{key: self._escaper.replace_all(value) for key, value in turn.items()}}

    def _call(self, call: ToolCall) -> Turn:
        arguments: Any = call.arguments
        if self._argument_objects:
            with suppress(ValueError):  # else the model's own text, as it is
                arguments = json.loads(call.arguments)
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _args_key(self, args: Mapping[str, Any]) -> str:
        """JSON of `args`. Raises `InvalidRequest`."""
        if reserved := self._reserved_args & set(args):
            raise InvalidRequest(f"Remove '{min(reserved)}' from chat_template_kwargs.", "chat_template_kwargs")
        try:
            return json.dumps(dict(args), allow_nan=False)
        except (TypeError, ValueError):
            raise InvalidRequest("chat_template_kwargs must hold JSON values.", "chat_template_kwargs") from None

    def _token_ids(self, messages: tuple[Message, ...], functions: str, args: str) -> tuple[int, ...]:
        return self._encode(self._text(messages, json.loads(functions), json.loads(args)))

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
            if merged and merged[-1].role == message.role and not (message.role == "tool" or merged[-1].tool_calls):
                message = replace(message, content=f"{merged.pop().content}\n\n{message.content}")
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

    def _template(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        *,
        generation: bool = True,
    ) -> str:
        rendered = self._tokenizer.apply_chat_template(
            list(turns),
            tools=list(tools) or None,
            chat_template=self._chat_template,
            tokenize=False,
            add_generation_prompt=generation,
            **args,
        )
        assert isinstance(rendered, str)
        return rendered

    def _probes(self) -> list[partial[str]]:
        """Renderings that show the control literals of the template."""
        tool_turns = _tool_turns({"Arg7": "Val7"} if self._argument_objects else '{"Arg7": "Val7"}')
        thought = {**_ANSWER, "reasoning_content": "Reasoning"}
        return [
            partial(self._template, [_SYSTEM, _USER, _ANSWER, _USER]),
            partial(self._template, [_USER, _ANSWER, _USER]),
            partial(self._template, [_USER, thought, _USER]),
            partial(self._template, [_USER, thought], generation=False),
            partial(self._template, [_USER], [_TOOL]),
            partial(self._template, tool_turns, [_TOOL]),
        ]

    def _shows_reasoning(self, key: str) -> bool:
        asked, called, result = _tool_turns({"Arg7": "Val7"} if self._argument_objects else '{"Arg7": "Val7"}')
        return self._shows(["Rea7"], _USER, {**_ANSWER, key: "Rea7"}, _USER) or self._shows(
            ["Rea7"], asked, {**called, key: "Rea7"}, result, tools=[_TOOL]
        )

    def _shows(self, texts: Sequence[str], *turns: Turn, tools: Sequence[Turn] = ()) -> bool:
        """True if the template accepts `turns` and `tools`, and the prompt contains all `texts`."""
        try:
            prompt = self._template(turns, tools)
        except Exception:
            return False
        return all(text in prompt for text in texts)

    def _keeps(self, *turns: Turn) -> bool:
        """True if the template accepts `turns` and keeps all their contents."""
        return self._shows([turn["content"] for turn in turns], *turns)

    def _is_added(self, string: str) -> bool:
        return self._tokenizer.convert_tokens_to_ids(string) in getattr(self._tokenizer, "added_tokens_decoder", {})


def _functions(tools: Sequence[Tool]) -> list[Turn]:
    """`tools` in OpenAI's shape, which chat templates expect."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                **({} if tool.description is None else {"description": tool.description}),
                "parameters": {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters,
            },
        }
        for tool in tools
    ]


def _tool_turns(arguments: Any) -> tuple[Turn, Turn, Turn]:
    """A question, a call of `_TOOL` and its result."""
    call = {"id": "call00007", "type": "function", "function": {"name": "Too7", "arguments": arguments}}
    return (
        _USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "Res7", "name": "Too7", "tool_call_id": "call00007"},
    )


def _without_added_tokens(tokenizer: Any) -> Tokenizer:
    """Copy of `tokenizer` that encodes the text of an added token like any other text."""
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    raw["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(raw))
