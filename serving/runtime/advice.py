"""Advice of a user turn: references that are made once and read again while the final agent calls tools."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.runtime.advice_prompt import as_prose
from serving.runtime.policy import Policy
from serving.runtime.prompts import last_user_turn
from serving.types import Message, References

TTL_S = 600.0
MAX_ENTRIES = 256


def advice_key(policy: Policy, messages: Sequence[Message]) -> str:
    """Key of the references that a recipe makes for a conversation up to its last user message.

    A recipe's `repr` has its id and every setting, those that the request overrides included.
    """
    turns = as_prose(messages[: last_user_turn(messages)])  # clients may drop reasoning between two calls
    return hashlib.sha256(f"{policy!r}\n{turns!r}".encode(errors="surrogatepass")).hexdigest()


@dataclass
class AdviceCache:
    """References by key: the least recently used go first, and none is older than `ttl_s`."""

    ttl_s: float = TTL_S
    max_entries: int = MAX_ENTRIES
    _entries: OrderedDict[str, tuple[float, References]] = field(default_factory=OrderedDict)

    def get(self, key: str) -> References:
        """The references of `key`; `()` if there are none or they have expired."""
        expires, references = self._entries.get(key, (0.0, ()))
        if not references:
            return ()
        if asyncio.get_running_loop().time() >= expires:
            del self._entries[key]
            return ()
        self._entries.move_to_end(key)
        return references

    def put(self, key: str, references: References) -> None:
        """Keep `references`, which are not empty, under `key`."""
        self._entries[key] = (asyncio.get_running_loop().time() + self.ttl_s, references)
        self._entries.move_to_end(key)
        while len(self._entries) > self.max_entries:
            self._entries.popitem(last=False)
