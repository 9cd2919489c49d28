"""Advice of a user turn: references that are made once and read again while the final agent calls tools."""

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from serving.conversation import Message
from serving.references import Draft, References
from serving.runtime.advice_prompt import without_reasoning
from serving.runtime.policy import Policy
from serving.runtime.prompts import in_tool_loop, last_user_turn
from serving.runtime.reasons import REUSED
from serving.types import GenerateRequest

TTL_S = 600.0
MAX_ENTRIES = 256


@dataclass(frozen=True, slots=True)
class AdvisedTurn:
    """The turn of a conversation at which the team is asked, at the latest now."""

    messages: int  # that the team reads
    calls: int  # answers with tool calls among them, since the last user message
    now: bool  # nothing follows: the team is asked even if it was asked before

    @property
    def reuse(self) -> str:
        """Sentence for the caller of an answer that reuses the references of this turn."""
        made = f", made after {self.calls} answers with tool calls," if self.calls else ""
        return REUSED(made=made)


def advised_turn(messages: Sequence[Message], every: int | None) -> AdvisedTurn:
    """The last turn at which the team is asked: the user's, or that of every `every`-th answer with tool calls."""
    start = last_user_turn(messages)
    if not in_tool_loop(messages):
        return AdvisedTurn(start, 0, now=True)
    calls = [place for place in range(start, len(messages)) if messages[place].tool_calls]
    advised = 0 if every is None else len(calls) // every * every
    if not advised:
        return AdvisedTurn(start, 0, now=False)
    if advised == len(calls):
        return AdvisedTurn(len(messages), advised, now=True)
    return AdvisedTurn(calls[advised], advised, now=False)


def advice_key(policy: Policy, request: GenerateRequest, turn: AdvisedTurn) -> str:
    """Key of the references that a recipe makes for the request's conversation up to `turn`.

    A recipe's `repr` has its id and every setting, those that the request overrides included. Tools are part of the
    key if proposers have them, and so are the tenant and the request's cache salt. Reasoning is not: clients may drop
    it between two calls.
    """
    tools = request.tools if policy.tools == "vote" else ()
    turns = without_reasoning(request.messages[: turn.messages])
    made_of = f"{policy!r}\n{tools!r}\n{turns!r}\n{request.prefix_salt!r}"
    return hashlib.sha256(made_of.encode(errors="surrogatepass")).hexdigest()


def kept(references: References) -> References:
    """`references` as later requests of the turn read them: advice only, since the calls in them were made or dropped.

    A later request may have another `stop` or `response_format`, so that none was sampled as its answer.
    """
    return tuple(
        replace(one, as_answer=False, draft=None if one.draft is None else Draft(one.draft.text), usage=None)
        for one in references
    )


@dataclass(frozen=True, slots=True)
class Advice:
    """References of a user turn."""

    references: References
    missing: tuple[str, ...] = ()  # reasons for which they are less than the recipe promises


@dataclass
class AdviceCache:
    """Advice by key: the least recently used go first, and none is older than `ttl_s`.

    They go from the tenant that has the most, so that none loses its own because another asks much.
    """

    ttl_s: float = TTL_S
    max_entries: int = MAX_ENTRIES
    _entries: OrderedDict[str, tuple[float, Advice, str]] = field(default_factory=OrderedDict)

    def get(self, key: str) -> Advice | None:
        """The advice of `key`; None if there is none or it has expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, advice, _ = entry
        if asyncio.get_running_loop().time() >= expires:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return advice

    def put(self, key: str, advice: Advice, scope: str = "") -> None:
        """Keep `advice` under `key`; `scope`: of the tenant."""
        self._entries[key] = (asyncio.get_running_loop().time() + self.ttl_s, advice, scope)
        self._entries.move_to_end(key)
        if len(self._entries) > self.max_entries:
            [(largest, _)] = Counter(owner for _, _, owner in self._entries.values()).most_common(1)
            del self._entries[next(name for name, (_, _, owner) in self._entries.items() if owner == largest)]
