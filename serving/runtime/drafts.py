"""Drafts of proposers that have the request's tools (`tools: vote`), and the vote on the calls in them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.conversation import Tool, ToolCall
from serving.references import Draft, Reference
from serving.runtime.advice_prompt import as_reference
from serving.runtime.emptiness import is_proposal
from serving.runtime.reasons import AGREED, NOT_AGREED
from serving.types import Choice, GenerateRequest

EXACT_INTEGERS = 2.0**53  # floats below it that are whole numbers equal an integer


def draft_of(model: str, request: GenerateRequest, choice: Choice) -> Reference | None:
    """Reference of one choice of an agent that had the request's tools; None without text and calls.

    Calls that the token limit may have cut off have no vote.
    """
    if not is_proposal(choice, request):
        return None
    voted = None if choice.finish_reason == "length" else ballot(choice.tool_calls, request.tools)
    draft = Draft(choice.text, choice.tool_calls, voted)
    return Reference(model, as_reference(draft), choice.finish_reason, as_answer=True, draft=draft)


def ballot(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> str | None:
    """Canonical JSON of calls: equal for the same names and arguments, whatever the order of calls and of keys.

    None if the calls cannot be voted for: there are none, a tool is unknown, or arguments are not a JSON object.
    """
    names = {tool.name for tool in tools}
    if not calls or any(call.name not in names for call in calls):
        return None
    try:
        canonical = [json.dumps([call.name, _arguments(call)], sort_keys=True) for call in calls]
    except (ValueError, RecursionError):  # no JSON, or too deep
        return None
    return f"[{', '.join(sorted(canonical))}]"


def _arguments(call: ToolCall) -> dict[str, Any]:
    """Parsed arguments; without any, an empty object. Raises `ValueError` if they are not a JSON object."""
    if not call.arguments.strip():
        return {}
    found = json.loads(call.arguments, parse_float=_number, parse_constant=_refused)
    if not isinstance(found, dict):
        raise ValueError("arguments are not an object")
    return found


def _number(text: str) -> float | int:
    """Number of JSON text with a fraction or an exponent; 1.0 equals 1."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < EXACT_INTEGERS else value


def _refused(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@dataclass
class Votes:
    """Votes of one layer on tool calls: each voter's draft by slot."""

    layer: int
    voters: int  # proposers whose engines support tools
    needed: int  # equal drafts that decide
    _drafts: dict[int, Reference] = field(default_factory=dict)

    def add(self, slot: int, reference: Reference | None) -> None:
        """Count the proposal of `slot`, if it is a draft that can be voted for."""
        if reference is not None and reference.draft is not None and reference.draft.ballot is not None:
            self._drafts[slot] = reference

    @property
    def winner(self) -> Reference | None:
        """The first draft, by slot, of the calls that enough voters drafted; None if there is none (yet)."""
        most = self._most()
        return most[0] if len(most) >= self.needed else None

    @property
    def held(self) -> bool:
        """True if there is a vote: at least one draft has calls that can be voted for."""
        return bool(self._drafts)

    @property
    def outcome(self) -> str:
        """One sentence for the caller."""
        known = {"equal": len(self._most()), "voters": self.voters, "place": f" of layer {self.layer}"}
        return AGREED(**known) if self.winner else NOT_AGREED(**known, needed=self.needed)

    def _most(self) -> list[Reference]:
        equal: dict[str, list[Reference]] = {}
        for _, reference in sorted(self._drafts.items(), key=lambda drafted: drafted[0]):
            if reference.draft is not None and reference.draft.ballot is not None:
                equal.setdefault(reference.draft.ballot, []).append(reference)
        return max(equal.values(), key=len, default=[])
