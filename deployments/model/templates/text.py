"""Chat templates that write text: Jinja, and the encodings of DeepSeek V3.2 and V4 in vLLM's tokenizers.

Control strings in messages are escaped before rendering, and become ordinary tokens after it. Without control strings,
the ids equal those of `tokenizer.apply_chat_template`.

Known limit: a control literal that is plain text to the tokenizer (`[INST]` in some models) gets a space after its
first character, since it cannot be both kept and escaped.
"""

import inspect
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from deployments.model.control_strings import ControlStringEscaper, added_tokens, control_tokens, template_literals
from deployments.model.prompt_budget import PromptBudget
from deployments.model.prompt_encoder import PromptEncoder, stable_end
from deployments.model.templates.base import NO_ARGS, ChatTemplate, Turn
from deployments.model.templates.samples import ANSWER, PICTURE, SYSTEM, TEXT, THINKING_ARGS, TOOL, USER, tool_turns
from serving.errors import InvalidRequest
from serving.failures import said
from serving.types import PromptEnd

CONTINUED = f"x{secrets.token_hex(16)}"  # behind a message that is to be continued, where its prompt is cut


class TextTemplate(ChatTemplate):
    """Template of a tokenizer: its Jinja template, one given as text, or what the tokenizer itself writes."""

    ends = frozenset({"answer", "message", "continued"})

    def __init__(
        self,
        tokenizer: Any,
        chat_template: str | None = None,
        *,
        jinja: bool = True,
        image_placeholder: Callable[[int], str | None] | None = None,
    ) -> None:
        """Probe how the template reads contents.

        Args:
            tokenizer: The model's tokenizer.
            chat_template: Text in place of the tokenizer's own.
            jinja: False if the tokenizer writes prompts itself. Its class does not tell: vLLM gives every tokenizer an
                `apply_chat_template` of its own.
            image_placeholder: Text of the placeholder of an image by its number, from 1.
        """
        self._tokenizer, self._chat_template, self._jinja = tokenizer, chat_template, jinja
        self._parts_only = False
        self._parts_only = not self._shows(USER["content"]) and self._shows([TEXT])
        # Templates that read parts write the placeholder themselves.
        plain, pictured = (self._written([{"role": "user", "content": parts}]) for parts in ([TEXT], [TEXT, PICTURE]))
        in_parts = plain is not None and pictured not in (None, plain) and "'type'" not in f"{plain}{pictured}"
        self._placeholder = None if in_parts else image_placeholder
        # A caller's template argument of such a name would change more than a text.
        parameters = {
            name
            for function in (tokenizer.apply_chat_template, PreTrainedTokenizerBase.apply_chat_template)
            for name in inspect.signature(function).parameters
        }
        special = getattr(tokenizer, "special_tokens_map", {})
        self.reserved_args = frozenset(
            {"messages", "conversation", "conversations", *parameters, *special} - {"kwargs"}
        )
        written = self._probed()
        self._control = control_tokens(tokenizer, "\n".join([*written, self._source()]))
        self._control_ids = frozenset(tokenizer.convert_tokens_to_ids(list(self._control)))
        literals = template_literals(written, added_tokens(tokenizer))
        self._escaper = ControlStringEscaper(tokenizer, self._control, literals)
        self._encoder = PromptEncoder(tokenizer, self._escaper)

    def text(self, turns: Sequence[Turn], tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS) -> str:
        return self._escaper.plain(self._escaped(turns, tools, args, end=True))

    def _escaped(self, turns: Sequence[Turn], tools: Sequence[Turn], args: Mapping[str, Any], *, end: bool) -> str:
        """Text of the prompt, with the control strings in messages, tools and arguments escaped."""
        escape = self._escaper.replace_all
        escaped = [{key: value if key == "role" else escape(value) for key, value in turn.items()} for turn in turns]
        if self._placeholder is not None:
            escaped = self._with_placeholders(escaped, self._placeholder)
        return self._rendered(escaped, escape(list(tools)), escape(args), end=end)

    def _with_placeholders(self, turns: Sequence[Turn], placeholder: Callable[[int], str | None]) -> list[Turn]:
        """`turns` with parts joined to texts, for a template that reads no parts. Raises `InvalidRequest`."""
        number = 0
        found = []
        for turn in turns:
            if isinstance(content := turn["content"], list):
                text = ""
                for part in content:
                    if part["type"] == "text":
                        text += part["text"]
                        continue
                    number += 1
                    if (written := placeholder(number)) is None:
                        raise InvalidRequest("The chat template has no images.", "messages")
                    text += written
                turn = {**turn, "content": text}
            found.append(turn)
        return found

    def _shows(self, content: Any) -> bool:
        return USER["content"] in (self._written([{"role": "user", "content": content}]) or "")

    def _written(self, turns: Sequence[Turn]) -> str | None:
        """Text of a prompt; None if the template refuses it."""
        try:
            return self._rendered(turns)
        except Exception:
            return None

    def token_ids(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        end: PromptEnd = "answer",
        budget: PromptBudget | None = None,
    ) -> tuple[int, ...]:
        if budget is not None:
            texts = (turn.get("content") for turn in turns if turn["role"] == "user")  # which templates only trim
            self._encoder.check([text.strip() for text in texts if isinstance(text, str)], budget)
        if end != "continued":
            return self._encoder.encode(self._escaped(turns, tools, args, end=end == "answer"), budget)
        *before, last = turns
        marked = {**last, "content": f"{last['content']}{CONTINUED}"}  # templates trim the end of a message
        known, found, _ = self._escaped([*before, marked], tools, args, end=False).rpartition(CONTINUED)
        if not found:
            raise TemplateError("an assistant's last message is not written")
        return self._encoder.encode(known, budget)

    def prefix_ids(
        self,
        turns: Sequence[Turn],
        marker: str,
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        budget: PromptBudget | None = None,
    ) -> tuple[int, ...]:
        known, found, _ = self._escaped(turns, tools, args, end=True).partition(marker)
        known = known[: max(len(known) - self._escaper.reach, 0)]  # its last words may begin a control string
        return self._encoder.encode(known[: stable_end(known)], budget) if found else ()

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def control_ids(self) -> frozenset[int]:
        return self._control_ids

    def control_strings(self) -> tuple[str, ...]:
        return self._control

    def reason(self, error: Exception) -> str | None:
        # raise_exception of a template; Jinja's own errors are subclasses.
        return said(error) if type(error) is TemplateError else None

    def _rendered(
        self, turns: Sequence[Turn], tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS, *, end: bool = True
    ) -> str:
        if self._parts_only:
            turns = [
                {**turn, "content": [{"type": "text", "text": turn["content"]}]}
                if isinstance(turn["content"], str)
                else turn
                for turn in turns
            ]
        if not self._jinja:
            written = self._tokenizer.apply_chat_template(
                list(turns), tools=list(tools) or None, tokenize=False, add_generation_prompt=end, **args
            )
            return str(written)
        # apply_chat_template of transformers drops null contents, which some templates ask for.
        rendered: Any = render_jinja_template(
            conversations=[list(turns)],
            tools=list(tools) or None,
            chat_template=self._tokenizer.get_chat_template(self._chat_template, list(tools) or None),
            add_generation_prompt=end,
            **{**self._tokenizer.special_tokens_map, **args},
        )
        prompts, _ = rendered
        return str(prompts[0])

    def _source(self) -> str:
        """Text of the template itself, which may write more than the probes show."""
        given = self._chat_template or getattr(self._tokenizer, "chat_template", None)
        return given if isinstance(given, str) else ""

    def _probed(self) -> list[str]:
        """Prompts of all probes that the template accepts."""
        found = []
        for probe in self._probes():
            try:
                found.append(probe())
            except Exception:
                continue
        return found

    def _probes(self) -> list[partial[str]]:
        """Renderings that show the control tokens and literals of the template."""
        thought = {**ANSWER, "reasoning_content": "Reasoning", "reasoning": "Reasoning"}
        loops = [
            tool_turns(arguments, content)
            for arguments in ({"Arg7": "Val7"}, '{"Arg7": "Val7"}')
            for content in ("", None)
        ]
        return [
            partial(self._rendered, turns, tools, args, end=end)
            for args in (NO_ARGS, THINKING_ARGS)
            for turns, tools, end in (
                ([SYSTEM, USER, ANSWER, USER], (), True),
                ([USER, ANSWER, USER], (), True),
                ([USER, thought, USER], (), True),
                ([USER, thought], (), False),
                ([USER], [TOOL], True),
                *((turns, [TOOL], True) for turns in loops),
            )
        ]
