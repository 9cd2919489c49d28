"""Communication formats: instructions of the first iteration, which vary how the agents write (arXiv 2410.08115).

An instruction is a system message of the request, so that every agent sees it. It is taken out again of the prompts
that a model is trained on: the model learns to write so without being asked. Each instruction is one line, because a
quoted conversation has no other place where its end is known.
"""

from collections.abc import Sequence

from serving.conversation import Message
from training.trajectory import PromptMessage

FORMATS: dict[str, str] = {
    "short": "Write as few words as possible; leave out greetings, repetitions and explanations.",
    "symbols": "Write in symbols and abbreviations instead of sentences wherever the meaning stays clear.",
    "list": "Write numbered points of a few words each, and the result as the last point.",
    "keys": "Write lines of the form 'key: value', and the result as 'answer: value'.",
    "json": "Write one JSON object with short keys; the result has the key 'answer'.",
    "table": "Write a small table with one row per fact or step, and the result in the last row.",
    "steps": "Write one calculation or inference per line without any words around it, then the result.",
    "plain": "Write one plain sentence that contains only what the reader needs.",
}


def format_of(sample: int, varied: bool) -> str:
    """Name of the format of a sample; the first sample, and all without variation, have none: an empty name."""
    names = ("", *FORMATS)
    return names[sample % len(names)] if varied else ""


def asked(question: str, name: str) -> tuple[Message, ...]:
    """Messages of the request for `question` in the format `name`."""
    user = Message("user", question)
    return (Message("system", FORMATS[name]), user) if name else (user,)


def without_format(prompt: Sequence[PromptMessage], name: str) -> tuple[PromptMessage, ...] | None:
    """The prompt as it would be without the instruction; `None` if the instruction stays in it somewhere."""
    if not name:
        return tuple(prompt)
    instruction, found = FORMATS[name], []
    for message in prompt:
        content = message.content
        if message.role == "system" and content == instruction:
            continue
        if message.role == "system":  # more system text, of the recipe, follows it
            content = content.removeprefix(f"{instruction}\n\n")
        else:  # the conversation is quoted: its first line
            quoted = f"Conversation:\n[system] {instruction}\n"
            content = content.replace(quoted, "Conversation:\n", 1) if content.startswith(quoted) else content
        found.append(message.model_copy(update={"content": content}))
    return None if any(instruction in message.content for message in found) else tuple(found)
