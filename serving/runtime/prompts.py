"""Prompts of agents that read references.

The default instruction and both layouts are those of Mixture-of-Agents (arXiv 2406.04692, section 2.2 and the authors'
reference code): the instruction, then the references as `1. ...`, `2. ...`.

A reference is untrusted text. Its lines after the first are indented, so that a number at the start of a line is
always ours: no proposal can end itself and forge the next one. Control strings of a model's chat template are escaped
where prompts are rendered, next to the tokenizer.
"""

from collections.abc import Sequence
from dataclasses import replace

from serving.conversation import Message
from serving.references import Reference, ReferenceBlock, References
from serving.types import GenerateRequest, PromptEnd

AGGREGATE_AND_SYNTHESIZE = (
    "You have been provided with a set of responses from various open-source models to the latest user query. "
    "Your task is to synthesize these responses into a single, high-quality response. "
    "It is crucial to critically evaluate the information provided in these responses, "
    "recognizing that some of it may be biased or incorrect. "
    "Your response should not simply replicate the given answers but should offer a refined, accurate, and "
    "comprehensive reply to the instruction. "
    "Ensure your response is well-structured, coherent, and adheres to the highest standards of accuracy and "
    "reliability.\n\nResponses from models:"
)
CUT_MARK = " [...]"  # ends a reference that was shortened to fit


def numbered(references: Sequence[Reference], numbers: Sequence[int] = ()) -> str:
    """`1. ...` to `n. ...`, one line each; further lines of a reference (any line break) are indented.

    `numbers`: those of the references, if they are not 1 to n.
    """
    return "\n".join(
        f"{number}. " + "\n   ".join(reference.text.strip().splitlines())
        for number, reference in zip(numbers or range(1, len(references) + 1), references, strict=True)
    )


def prompt_messages(request: GenerateRequest) -> tuple[Message, ...]:
    """The request's messages with its references inserted: the conversation that the chat template renders.

    A message that the answer continues stays the last one.
    """
    if request.references is None:
        return request.messages
    if request.prompt_end == "continued":
        return (*with_references(request.messages[:-1], request.references), request.messages[-1])
    return with_references(request.messages, request.references)


def with_references(messages: Sequence[Message], block: ReferenceBlock) -> tuple[Message, ...]:
    """`messages` with the references of `block`; unchanged if it has none.

    `paper`: instruction and references are the system message, after the caller's own; the conversation follows.
    `references_last`: they end the last user turn, so that the conversation can be prefilled before they exist; a loop
    of tool calls follows them. After any other message the references are a user turn of their own.
    In both a loop of tool calls adds turns at the end only: each prompt begins with the whole of the one before.
    """
    if not block.references:
        return tuple(messages)
    text = f"{block.instruction}\n{numbered(block.references, block.numbers)}"
    if block.layout == "paper":
        return with_system(messages, text)
    start = last_user_turn(messages)
    if not start or (start < len(messages) and not in_tool_loop(messages)):
        return (*messages, Message("user", text))
    last = messages[start - 1]
    return (*messages[: start - 1], replace(last, content=f"{last.content}\n\n{text}"), *messages[start:])


def prompt_end(
    request: GenerateRequest, messages: tuple[Message, ...] | None, *, answers: bool
) -> tuple[tuple[Message, ...], tuple[Message, ...], PromptEnd]:
    """Messages of a prompt, the one behind them that the answer continues, if there is one, and the prompt's end.

    Args:
        request: the request.
        messages: the conversation of the agent's task; None: the request's own.
        answers: the agent's text may be the answer. It continues the last message, which the others do not read: they
            answer the user.
    """
    messages, end = request.messages if messages is None else messages, request.prompt_end
    if end == "answer" or messages != request.messages:
        return messages, (), "answer"
    if end == "continued":
        return messages[:-1], messages[-1:] if answers else (), end if answers else "answer"
    return messages, (), end if answers else "answer"


def last_user_turn(messages: Sequence[Message]) -> int:
    """Number of messages up to and including the last user message; 0 if there is none."""
    return next((place for place in range(len(messages), 0, -1) if messages[place - 1].role == "user"), 0)


def is_tool_turn(message: Message) -> bool:
    """True for an assistant message that calls tools, and for a tool's result."""
    return message.role == "tool" or bool(message.tool_calls)


def has_tool_turns_or_reasoning(messages: Sequence[Message]) -> bool:
    """True if any of `messages` is a tool turn or has reasoning."""
    return any(is_tool_turn(message) or message.reasoning is not None for message in messages)


def in_tool_loop(messages: Sequence[Message]) -> bool:
    """True if the last message is a tool turn, and only an assistant's and tools' follow the last user message."""
    start = last_user_turn(messages)
    turns = messages[start:]
    if not start or not turns or not is_tool_turn(turns[-1]):
        return False
    return all(message.role in ("assistant", "tool") for message in turns)


def with_system(messages: Sequence[Message], text: str | None) -> tuple[Message, ...]:
    """`messages` with `text` appended to the caller's own system message, or as the system message."""
    if not text:
        return tuple(messages)
    if messages and messages[0].role == "system":
        first = messages[0]
        return (replace(first, content=f"{first.content}\n\n{text}"), *messages[1:])
    return (Message("system", text), *messages)


def shortened(references: Sequence[Reference], characters: int) -> References:
    """References with at most `characters` characters in all: the longest are cut at their ends to one common length.

    Short references stay whole; the room they leave goes to the longer ones.
    """
    lengths = sorted(len(reference.text) for reference in references)
    limit, left = 0, characters
    for position, length in enumerate(lengths):
        limit = max(left, 0) // (len(lengths) - position)
        if length > limit:
            break
        left -= length
        limit = length
    return tuple(
        reference
        if len(reference.text) <= limit
        else replace(reference, text=reference.text[: max(limit - len(CUT_MARK), 0)].rstrip() + CUT_MARK)
        for reference in references
    )
