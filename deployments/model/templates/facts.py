"""Facts about a chat template, found by probing it with every shape of conversation that callers send."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.model.templates.base import NO_ARGS, ChatTemplate, Turn, common_length
from deployments.model.templates.samples import (
    ANSWER,
    ARGUMENTS_TEXT,
    PICTURE,
    SYSTEM,
    THINKING_ARGS,
    TOOL,
    USER,
    call,
    called,
    result,
    tool_turns,
)

REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")  # names under which templates read earlier reasoning
EMPTY: Turn = {"role": "user", "content": ""}

_SYSTEM_2, _USER_2, _ANSWER_2 = ({**turn, "content": turn["content"][:3] + "8"} for turn in (SYSTEM, USER, ANSWER))


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """Shapes that a template accepts as they are: it keeps all texts in their order and opens an answer behind them."""

    system: bool  # first, before a user message
    lone_system: bool  # without any other message
    later_system: bool  # between other messages, and two at the beginning
    repeated_user: bool
    repeated_assistant: bool
    leading_assistant: bool  # before the first user message
    final_assistant: bool
    empty_user: bool  # a user message without text, before a leading and after a final assistant message
    tools: bool
    tool_turns: bool  # calls and results, while the request has tools
    tool_turns_without_tools: bool
    argument_objects: bool  # a call's arguments are an object, not JSON text
    null_content: bool  # a message with calls must have no content, else the calls are lost
    text_with_calls: bool  # one message holds text and calls
    text_before_calls: bool  # or two messages do
    parallel_calls: bool  # one message holds several calls
    reasoning_key: str | None  # under which earlier reasoning is read; None: it is not
    user_images: bool = False  # in a user's message
    tool_images: bool = False  # in a tool's result


class _Probe:
    """Questions to one template."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        asked = self._text([USER], (), NO_ARGS) or ""
        self._opening = asked.rpartition(USER["content"])[2]

    def _text(self, turns: Sequence[Turn], tools: Sequence[Turn], args: Mapping[str, Any]) -> str | None:
        try:
            return self._template.text(turns, tools, args)
        except Exception:
            return None

    def shows(
        self, texts: Sequence[str], turns: Sequence[Turn], tools: Sequence[Turn] = (), args: Mapping[str, Any] = NO_ARGS
    ) -> bool:
        """True if the template accepts the turns, and the prompt contains all `texts`."""
        prompt = self._text(turns, tools, args)
        return prompt is not None and all(text in prompt for text in texts)

    def has_images(self, turns: Sequence[Turn], tools: Sequence[Turn] = ()) -> bool:
        """True if an image in the last of `turns` adds to the prompt, whose texts stay."""
        *before, last = turns
        text = {"type": "text", "text": last["content"]}
        plain, pictured = (
            self._text([*before, {**last, "content": parts}], tools, NO_ARGS) for parts in ([text], [text, PICTURE])
        )
        if plain is None or pictured is None or last["content"] not in plain:
            return False
        return len(pictured) > len(plain) and "'type'" not in pictured and pictured.count(last["content"]) == 1

    def keeps(self, *turns: Turn) -> bool:
        """True if the prompt has all contents once, in their order, and ends with the opening of an answer."""
        prompt = self._text(turns, (), NO_ARGS)
        if prompt is None or not self._opens(prompt, turns):
            return False
        contents = [turn["content"] for turn in turns if turn["content"]]
        places = [prompt.find(content) for content in contents]
        return places == sorted(places) and all(prompt.count(content) == 1 for content in contents)

    def _opens(self, prompt: str, turns: Sequence[Turn]) -> bool:
        if turns[-1]["role"] != "assistant":
            return prompt.endswith(self._opening)
        # Behind the end of the assistant's message, which another one shows as well.
        longer = self._text([*turns, _USER_2], (), NO_ARGS) or ""
        opened = prompt[common_length(prompt, longer) :]
        return bool(opened) and self._opening.endswith(opened)


def probe(template: ChatTemplate) -> TemplateFacts:
    """Probe `template` with some fifty small prompts."""
    ask = _Probe(template)
    accepts_system = ask.keeps(SYSTEM, USER)
    later = [
        (SYSTEM, _SYSTEM_2, USER),
        (SYSTEM, USER, _SYSTEM_2, _USER_2),
        (SYSTEM, USER, ANSWER, _SYSTEM_2, _USER_2),
        (USER, _SYSTEM_2),
    ]
    opened: list[tuple[Turn, ...]] = [(ANSWER, USER), *([(SYSTEM, ANSWER, USER)] if accepts_system else [])]
    ways = [
        (arguments, content)
        for arguments in ({"Arg7": "Val7"}, ARGUMENTS_TEXT)
        for content in ("", None)
        if ask.shows(["Too7", "Val7", "Res7"], tool_turns(arguments, content), [TOOL])
        or ask.shows(["Too7", "Val7", "Res7"], tool_turns(arguments, content))
    ]
    arguments, content = ways[0] if ways else ({"Arg7": "Val7"}, "")
    loop = tool_turns(arguments, content)
    return TemplateFacts(
        system=accepts_system,
        lone_system=ask.keeps(SYSTEM),
        later_system=accepts_system and all(ask.keeps(*turns) for turns in later),
        repeated_user=ask.keeps(USER, _USER_2),
        repeated_assistant=ask.keeps(USER, ANSWER, _ANSWER_2, _USER_2),
        leading_assistant=all(ask.keeps(*turns) for turns in opened),
        final_assistant=ask.keeps(USER, ANSWER),
        empty_user=ask.keeps(EMPTY, ANSWER, USER) and ask.keeps(USER, ANSWER, EMPTY),
        tools=ask.shows(["Too7"], [USER], [TOOL]),
        tool_turns=ask.shows(["Too7", "Val7", "Res7"], loop, [TOOL]),
        tool_turns_without_tools=ask.shows(["Too7", "Val7", "Res7"], loop),
        argument_objects=isinstance(arguments, dict),
        null_content=content is None,
        text_with_calls=ask.shows(["Con7", "Val7", "Res7"], [USER, called(arguments, "Con7"), result()], [TOOL]),
        text_before_calls=ask.shows(
            ["Ans7", "Val7", "Res7"], [USER, ANSWER, called(arguments, content), result()], [TOOL]
        ),
        parallel_calls=_keeps_parallel_calls(ask, arguments, content),
        reasoning_key=_reasoning_key(ask, loop),
        user_images=ask.has_images([USER]),
        tool_images=bool(ways) and ask.has_images(loop, [TOOL]),
    )


def _keeps_parallel_calls(ask: _Probe, arguments: Any, content: str | None) -> bool:
    second = {"Arg7": "Val8"} if isinstance(arguments, dict) else ARGUMENTS_TEXT.replace("Val7", "Val8")
    both = {**called(arguments, content), "tool_calls": [call(7, arguments), call(8, second)]}
    return ask.shows(["Val7", "Val8", "Res7", "Res8"], [USER, both, result(7), result(8)], [TOOL])


def _reasoning_key(ask: _Probe, loop: Sequence[Turn]) -> str | None:
    """Name under which the template reads reasoning, of an earlier answer or in a loop of tool calls."""
    asked, calls, results = loop
    for args in (NO_ARGS, THINKING_ARGS):
        for key in REASONING_KEYS:
            thought = {key: "Rea7"}
            if ask.shows(["Rea7"], [USER, {**ANSWER, **thought}, _USER_2], (), args) or ask.shows(
                ["Rea7"], [asked, {**calls, **thought}, results], [TOOL], args
            ):
                return key
    return None
