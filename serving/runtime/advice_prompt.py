"""The conversation as agents without tools read it: tool turns as short prose, in the user turn before them.

Proposers, judges and critics advise; they call nothing. Schemas and serialized calls in a prompt make a model imitate
them, and take most of its room: here a call and its result are one bounded line each, and reasoning is left out.
Drafts of tool calls (`tools: vote`) become references in the same way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from serving.conversation import Message, ToolCall
from serving.images import shifted
from serving.references import Draft
from serving.runtime.prompts import CUT_MARK, is_tool_turn

NAME_CHARACTERS = 64
ARGUMENTS_CHARACTERS = 400
RESULT_CHARACTERS = 1_000
MAX_LINES = 32  # per user turn: older lines of a long loop are counted only


def as_prose(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`messages` without reasoning, and with tool turns as prose at the end of the user turn before them.

    `(called NAME with ARGUMENTS)` and `(NAME returned: RESULT)` are one line each. An image of a result is the text
    `[image]` there; images of other turns stay. Where no user turn precedes, the lines are a user turn of their own; a
    user message that follows them ends the same turn. So roles alternate if they alternate without the tool turns. A
    conversation without either stays as it is.
    """
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    turns: list[Message] = []
    lines: list[str] = []  # of tool turns since the last turn
    for message in messages:
        if is_tool_turn(message):
            lines.extend(_lines(message, names))
            continue
        joined = _join(turns, lines)
        lines = []
        if joined and message.role == "user":
            before = turns.pop()
            images = (*before.images, *shifted(message.images, len(before.content) + 2))
            message = replace(message, content=f"{before.content}\n\n{message.content}", images=images)
        turns.append(replace(message, reasoning=None) if message.reasoning is not None else message)
    _join(turns, lines)
    return tuple(turns)


def without_reasoning(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`messages` without reasoning, which no agent reads of another; tool turns stay as they are."""
    return tuple(message if message.reasoning is None else replace(message, reasoning=None) for message in messages)


def as_reference(draft: Draft) -> str:
    """Text of a draft as other agents read it: its own text, then one line `(would call NAME with ARGUMENTS)` a call.

    The own text comes first, so that it can be prefilled before the calls are known.
    """
    lines = [f"(would call {_call(call)})" for call in draft.tool_calls[:MAX_LINES]]
    if (left_out := len(draft.tool_calls) - MAX_LINES) > 0:
        lines.append(f"({left_out} more calls are left out)")
    return "\n".join([draft.text, *lines] if draft.text.strip() else lines)


def _call(call: ToolCall) -> str:
    return f"{_cut(call.name, NAME_CHARACTERS)} with {_cut(call.arguments, ARGUMENTS_CHARACTERS) or '{}'}"


def _join(turns: list[Message], lines: Sequence[str]) -> bool:
    """Add `lines` to the last turn if it is a user's, or as one of their own; False if there are none."""
    if not lines:
        return False
    left_out = len(lines) - MAX_LINES
    shown = lines if left_out <= 0 else [f"({left_out} earlier calls and results are left out)", *lines[left_out:]]
    text = "\n".join(shown)
    if turns and turns[-1].role == "user":
        turns[-1] = replace(turns[-1], content=f"{turns[-1].content}\n\n{text}")
    else:
        turns.append(Message("user", text))
    return True


def _lines(message: Message, names: Mapping[str, str]) -> Iterable[str]:
    if message.role == "tool":
        name = names.get(message.tool_call_id or "", message.name or "a tool")
        yield f"({_cut(name, NAME_CHARACTERS)} returned: {_cut(message.content, RESULT_CHARACTERS) or 'nothing'})"
        return
    if text := _cut(message.content, RESULT_CHARACTERS):
        yield f"(wrote: {text})"
    for call in message.tool_calls:
        yield f"(called {_call(call)})"


def _cut(text: str, characters: int) -> str:
    """`text` on one line and at most `characters` long, with a mark at its end if it was cut."""
    line = " ".join(text[: 4 * characters].split())  # what is cut anyway need not be split
    if len(line) <= characters and len(text) <= 4 * characters:
        return line
    return line[: characters - len(CUT_MARK)].rstrip() + CUT_MARK
