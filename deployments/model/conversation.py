"""Conversations in the shapes that a chat template accepts."""

from collections.abc import Sequence
from dataclasses import replace

from deployments.model.image_turns import after_results, behind
from deployments.model.templates.facts import TemplateFacts
from serving.conversation import Image, Message
from serving.errors import InvalidRequest
from serving.images import shifted


def adapted(messages: Sequence[Message], facts: TemplateFacts, model: str, *, opened: bool = True) -> list[Message]:
    """`messages` as the template accepts them; nothing of their texts is left out.

    System texts that it does not accept at their place join the next user message. Messages of one role in a row are
    merged, where it demands that roles alternate. An empty user message goes before a leading assistant message and
    after a final one, where the template needs it and an answer is `opened` behind the messages.

    Raises:
        InvalidRequest: a message fits in no way; the sentence names it.
    """
    _refuse_tool_turns(messages, facts, model)
    _refuse_text_beside_calls(messages, facts, model)
    found = _with_folded_systems(messages, facts)
    if not facts.tool_images:
        found = after_results(found)
    if not facts.text_with_calls:
        found = [part for message in found for part in _text_before_calls(message)]
    if not facts.parallel_calls:
        found = _with_single_calls(found)
    return _with_empty_users(_merged(found, facts), facts, messages, model, opened=opened)


def _refuse_tool_turns(messages: Sequence[Message], facts: TemplateFacts, model: str) -> None:
    if facts.tool_turns or facts.tool_turns_without_tools:
        return
    for number, message in enumerate(messages):
        if message.tool_calls or message.role == "tool":
            raise InvalidRequest(
                f"The chat template of '{model}' has no tool calls and results; remove messages[{number}]"
                f" ({message.role}).",
                "messages",
            )


def _refuse_text_beside_calls(messages: Sequence[Message], facts: TemplateFacts, model: str) -> None:
    if facts.text_with_calls or facts.text_before_calls:
        return
    for number, message in enumerate(messages):
        if message.tool_calls and message.content:
            raise InvalidRequest(
                f"The chat template of '{model}' has no text beside tool calls; remove the content of"
                f" messages[{number}] ({message.role}).",
                "messages",
            )


def _with_folded_systems(messages: Sequence[Message], facts: TemplateFacts) -> list[Message]:
    """Put system texts that the template does not accept at their place into the next user message."""
    found: list[Message] = []
    waiting: list[str] = []
    lone = all(message.role == "system" for message in messages)
    for message in messages:
        if message.role == "system":
            accepted = facts.later_system if found or waiting else facts.system and (facts.lone_system or not lone)
            if accepted:
                found.append(message)
            else:
                waiting.append(message.content)
            continue
        if waiting and message.role == "user":
            message, waiting = behind("\n\n".join(waiting), message), []
        elif waiting and message.role == "assistant":  # not between calls and their results
            found.append(Message("user", "\n\n".join(waiting)))
            waiting = []
        found.append(message)
    return [*found, Message("user", "\n\n".join(waiting))] if waiting else found


def _text_before_calls(message: Message) -> list[Message]:
    """`message`; if it has both, its text and its calls as two."""
    if not (message.tool_calls and message.content):
        return [message]
    return [replace(message, tool_calls=(), reasoning=None), replace(message, content="", images=())]


def _with_single_calls(messages: Sequence[Message]) -> list[Message]:
    """Each call of a message in a message of its own, with its result behind it."""
    found: list[Message] = []
    position = 0
    while position < len(messages):
        message = messages[position]
        position += 1
        if len(message.tool_calls) < 2:
            found.append(message)
            continue
        results = []
        while position < len(messages) and messages[position].role == "tool":
            results.append(messages[position])
            position += 1
        by_call: dict[str | None, list[Message]] = {}
        for one in results:
            by_call.setdefault(one.tool_call_id, []).append(one)
        for number, call in enumerate(message.tool_calls):
            beside = message if number == 0 else replace(message, content="", images=(), reasoning=None)
            found += [replace(beside, tool_calls=(call,)), *by_call.pop(call.id, ())]
        found += [one for one in results if one.tool_call_id in by_call]
    return found


def _merged(messages: Sequence[Message], facts: TemplateFacts) -> list[Message]:
    """Merge consecutive messages of one role, where the template demands that roles alternate."""
    repeated = {"user": facts.repeated_user, "assistant": facts.repeated_assistant, "system": facts.later_system}
    groups: list[list[Message]] = []
    for message in messages:
        last = groups[-1][-1] if groups else None
        if (
            last is None
            or last.role != message.role
            or repeated.get(message.role, True)
            or last.tool_calls
            or (message.tool_calls and not facts.text_with_calls)
        ):
            groups.append([message])
        else:
            groups[-1].append(message)
    return [_joined(group) for group in groups]


def _joined(messages: Sequence[Message]) -> Message:
    """The last of `messages` with the texts of all."""
    if len(messages) == 1:
        return messages[0]
    texts: list[str] = []
    images: list[Image] = []
    length = 0
    for message in messages:
        if message.content:
            length += len("\n\n") if texts else 0
            images += shifted(message.images, length)
            texts.append(message.content)
            length += len(message.content)
    reasoning = "\n\n".join(message.reasoning for message in messages if message.reasoning)
    return replace(messages[-1], content="\n\n".join(texts), images=tuple(images), reasoning=reasoning or None)


def _with_empty_users(
    found: list[Message], facts: TemplateFacts, given: Sequence[Message], model: str, *, opened: bool
) -> list[Message]:
    start = next((place for place, one in enumerate(found) if one.role != "system"), len(found))
    leading = not facts.leading_assistant and start < len(found) and found[start].role == "assistant"
    ended = opened and bool(found) and found[-1].role == "assistant" and not found[-1].tool_calls
    final = ended and not facts.final_assistant
    if (leading or final) and not facts.empty_user:
        numbers = [number for number, message in enumerate(given) if message.role == "assistant"]
        number, where = (numbers[0], "before") if leading else (numbers[-1], "after")
        raise InvalidRequest(
            f"The chat template of '{model}' needs a user message {where} messages[{number}] (assistant).", "messages"
        )
    empty = Message("user", "")
    found = [*found[:start], empty, *found[start:]] if leading else found
    return [*found, empty] if final else found
