"""Session of a request: the key by which a conversation stays on the replica that has its prompts cached.

A key is a digest. It says nothing about the name or the text that it was made of, so it may be logged and sent on.
"""

import hashlib
from collections.abc import Mapping, Sequence

from serving.types import Message

HEADERS = (b"x-session-id", b"x-claude-code-session-id")
# A shorter beginning is computed again in milliseconds. Without a session, its request goes where there is most room.
LONG_CHARACTERS = 2_000
HASHED_CHARACTERS = 16_000  # of each message: what begins with as much in common is worth the same replica


def session(
    cache_key: str | None, headers: Mapping[bytes, bytes], messages: Sequence[Message], *, tools: bool
) -> str | None:
    """Key of the request's conversation; None if no later request is likely to share its prompt.

    Args:
        cache_key: the request's `prompt_cache_key`, which comes first.
        headers: the request's headers; then the first of `HEADERS` that is there.
        messages: the conversation, which is known by its beginning if it has no name: the messages up to the first
            user turn. A short one without tools or an earlier answer has no key.
        tools: the request has tools, so that it is likely to be called again.
    """
    if cache_key:
        return _digest(b"key", cache_key.encode(errors="surrogatepass"))
    if name := next((value for header in HEADERS if (value := headers.get(header))), None):
        return _digest(b"header", name)
    first = next((place for place, message in enumerate(messages, start=1) if message.role == "user"), len(messages))
    beginning = [(message.role, message.content[:HASHED_CHARACTERS]) for message in messages[:first]]
    answered = any(message.role == "assistant" for message in messages)
    if not (tools or answered) and sum(len(content) for _, content in beginning) < LONG_CHARACTERS:
        return None
    return _digest(b"conversation", repr(beginning).encode(errors="surrogatepass"))


def _digest(kind: bytes, name: bytes) -> str:
    return hashlib.blake2b(name, digest_size=16, person=kind).hexdigest()
