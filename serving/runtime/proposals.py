"""Proposals of one layer, in the order in which they become references, also while some are still being written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from serving.references import Reference, References
from serving.runtime.drafts import draft_of
from serving.runtime.emptiness import is_proposal
from serving.runtime.policy import ReferenceOrder
from serving.runtime.task import Arrived
from serving.types import Choice, GenerateRequest
from serving.usage import TokenUsage


def proposal_of(
    model: str, request: GenerateRequest, choice: Choice, *, as_answer: bool, usage: TokenUsage | None = None
) -> Reference | None:
    """Reference of one choice of the model's answer to `request`; None if it is not usable.

    Tool calls count only if the request has tools: the answer is then a draft. `usage`: of the whole call.
    """
    if request.may_call_tools:
        draft = draft_of(model, request, choice)
        return None if draft is None else replace(draft, usage=usage)
    if not is_proposal(choice, request):
        return None
    return Reference(model, choice.text, choice.finish_reason, as_answer, usage=usage)


@dataclass
class Proposals:
    """One layer's proposals by slot (the agents' declared positions).

    `declared`: references follow slot order, whatever the timing. `arrival`: the order in which they finished, so that
    every finished one can be prefilled; a slot whose unfinished text was prefilled keeps its place.
    """

    size: int
    order: ReferenceOrder
    _final: dict[int, Reference | None] = field(default_factory=dict)  # None: not usable
    _partial: dict[int, str] = field(default_factory=dict)
    _arrived: list[int] = field(default_factory=list)

    def write(self, slot: int, text: str) -> None:
        """Set the unfinished text of `slot` so far."""
        self._partial[slot] = text

    def finish(self, slot: int, reference: Reference | None) -> None:
        """Set the proposal of `slot`; None if it is not usable."""
        self._final[slot] = reference
        if slot not in self._arrived:
            self._arrived.append(slot)

    def arrive(self, slot: int) -> None:
        """Give `slot`, whose answer has ended, its place by arrival, although its call may still be running."""
        if slot not in self._arrived:
            self._arrived.append(slot)

    @property
    def usable(self) -> int:
        """Number of finished proposals that are usable."""
        return sum(reference is not None for reference in self._final.values())

    def references(self) -> References:
        """All usable proposals, in order."""
        return tuple(reference for slot in self._slots() if (reference := self._final.get(slot)) is not None)

    def arrived(self, before: References, ended: Mapping[int, Reference | None]) -> Arrived:
        """The proposals so far, behind those of `before`; `ended`: of calls that still run, by slot."""
        known = {**ended, **self._final}
        references, settled = [*before], None
        for slot in self._slots():
            if slot not in known:
                settled = len(references) if settled is None else settled
            elif (reference := known[slot]) is not None:
                references.append(reference)
        return Arrived(tuple(references), len(references) if settled is None else settled, self.size - len(known))

    def known(self, marker: str) -> tuple[References, int]:
        """The part of the references' text that is certain, followed by `marker`, and its length in characters."""
        references: list[Reference] = []
        slots = self._slots()
        for slot in slots:
            if slot not in self._final:
                break
            if (reference := self._final[slot]) is not None:
                references.append(reference)
        if len(self._final) < self.size:
            if self.order == "declared":
                partial = self._partial.get(next((slot for slot in slots if slot not in self._final), -1), "")
            else:
                partial = self._leading_partial()
            references.append(Reference("", partial + marker))
        return tuple(references), sum(len(reference.text) for reference in references)

    def _slots(self) -> Sequence[int]:
        return range(self.size) if self.order == "declared" else self._arrived

    def _leading_partial(self) -> str:
        """Text of the unfinished slot that got a place by arrival; the longest one takes the next place."""
        placed = next((slot for slot in self._arrived if slot not in self._final), None)
        if placed is None:
            open_slots = [slot for slot in self._partial if slot not in self._final]
            placed = max(open_slots, key=lambda slot: len(self._partial[slot]), default=None)
            if placed is None:
                return ""
            self._arrived.append(placed)
        return self._partial[placed]
