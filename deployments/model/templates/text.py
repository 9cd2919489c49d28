"""Chat templates that write text: Jinja, and the encodings of DeepSeek V3.2 and V4 in vLLM's tokenizers.

Control strings in messages become sentinels before rendering, and ordinary tokens after it. Without control strings,
the ids equal those of `tokenizer.apply_chat_template`.

Known limit: a control literal that is plain text to the tokenizer (`[INST]` in some models) gets a space after its
first character, since it cannot be both kept and escaped.
"""

import inspect
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from deployments.model.control_strings import ControlStringEscaper, added_tokens, template_literals
from deployments.model.prompt_encoder import PromptEncoder, stable_end
from deployments.model.templates.base import NO_ARGS, ChatTemplate, Turn
from deployments.model.templates.samples import ANSWER, SYSTEM, THINKING_ARGS, TOOL, USER, tool_turns
from serving.types import PromptEnd

CONTINUED = f"x{secrets.token_hex(16)}"  # behind a message that is to be continued, where its prompt is cut


class TextTemplate(ChatTemplate):
    """Template of a tokenizer: its Jinja template, one given as text, or what the tokenizer itself writes."""

    ends = frozenset({"answer", "message", "continued"})

    def __init__(self, tokenizer: Any, chat_template: str | None = None, *, jinja: bool = True) -> None:
        """`chat_template`: text in place of the tokenizer's own; `jinja`: False if the tokenizer writes prompts itself.

        The tokenizer's class does not tell: vLLM gives every tokenizer an `apply_chat_template` of its own.
        """
        self._tokenizer, self._chat_template, self._jinja = tokenizer, chat_template, jinja
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
        self._added = added_tokens(tokenizer)
        self._control_ids = frozenset(tokenizer.convert_tokens_to_ids(list(self._added)))
        literals = template_literals(self._probes(), ())
        self._escaper = ControlStringEscaper(tokenizer, [text for text in literals if text not in self._added])
        self._encoder = PromptEncoder(tokenizer, self._escaper)

    def text(self, turns: Sequence[Turn], tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS) -> str:
        """Text of the prompt, with sentinels in place of control strings in messages, tools and arguments."""
        return self._escaped(turns, tools, args, end=True)

    def _escaped(self, turns: Sequence[Turn], tools: Sequence[Turn], args: Mapping[str, Any], *, end: bool) -> str:
        escape = self._escaper.replace_all
        escaped = [{key: value if key == "role" else escape(value) for key, value in turn.items()} for turn in turns]
        return self._rendered(escaped, escape(list(tools)), escape(args), end=end)

    def token_ids(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        args: Mapping[str, Any] = NO_ARGS,
        end: PromptEnd = "answer",
    ) -> tuple[int, ...]:
        if end != "continued":
            return self._encoder.encode(self._escaped(turns, tools, args, end=end == "answer"))
        *before, last = turns
        marked = {**last, "content": f"{last['content']}{CONTINUED}"}  # templates trim the end of a message
        known, found, _ = self._escaped([*before, marked], tools, args, end=False).rpartition(CONTINUED)
        if not found:
            raise TemplateError("an assistant's last message is not written")
        return self._encoder.encode(known)

    def prefix_ids(
        self, turns: Sequence[Turn], marker: str, tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS
    ) -> tuple[int, ...]:
        known, found, _ = self.text(turns, tools, args).partition(marker)
        return self._encoder.encode(known[: stable_end(known)]) if found else ()

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def control_ids(self) -> frozenset[int]:
        return self._control_ids

    def control_strings(self) -> tuple[str, ...]:
        return self._added

    def reason(self, error: Exception) -> str | None:
        # raise_exception of a template; Jinja's own errors are subclasses.
        return " ".join(str(error).split()).rstrip(".") if type(error) is TemplateError else None

    def _rendered(
        self, turns: Sequence[Turn], tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS, *, end: bool = True
    ) -> str:
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

    def _probes(self) -> list[partial[str]]:
        """Renderings that show the control literals of the template."""
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
