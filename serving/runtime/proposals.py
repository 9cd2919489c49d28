"""Proposals of one layer, in the order in which they become references, also while some are still being written."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.runtime.policy import ReferenceOrder
from serving.types import FinishReason, Reference, References


@dataclass
class Proposals:
    """One layer's proposals by slot (the agents' declared positions).

    `declared`: references follow slot order, whatever the timing. `arrival`: the order in which they finished, so that
    every finished one can be prefilled; a slot whose unfinished text was prefilled keeps its place.
    """

    models: Sequence[str]
    order: ReferenceOrder
    _final: dict[int, str | None] = field(default_factory=dict)  # None: no usable text
    _partial: dict[int, str] = field(default_factory=dict)
    _arrived: list[int] = field(default_factory=list)
    _reasons: dict[int, FinishReason] = field(default_factory=dict)

    def write(self, slot: int, text: str) -> None:
        """Set the unfinished text of `slot` so far."""
        self._partial[slot] = text

    def finish(self, slot: int, text: str | None, reason: FinishReason = "stop") -> None:
        """Set the final text of `slot`; None or blank text is not usable."""
        self._reasons[slot] = reason
        self._final[slot] = text if text and text.strip() else None
        if slot not in self._arrived:
            self._arrived.append(slot)

    @property
    def usable(self) -> int:
        """Number of finished proposals with text."""
        return sum(text is not None for text in self._final.values())

    def references(self) -> References:
        """All usable proposals, in order."""
        return tuple(
            Reference(self.models[slot], text, self._reasons[slot])
            for slot in self._slots()
            if (text := self._final.get(slot)) is not None
        )

    def known(self, marker: str) -> tuple[References, int]:
        """The part of the references' text that is certain, followed by `marker`, and its length in characters."""
        references: list[Reference] = []
        slots = self._slots()
        for slot in slots:
            if slot not in self._final:
                break
            if (text := self._final[slot]) is not None:
                references.append(Reference(self.models[slot], text))
        if len(self._final) < len(self.models):
            if self.order == "declared":
                partial = self._partial.get(next((slot for slot in slots if slot not in self._final), -1), "")
            else:
                partial = self._leading_partial()
            references.append(Reference("", partial + marker))
        return tuple(references), sum(len(reference.text) for reference in references)

    def _slots(self) -> Sequence[int]:
        return range(len(self.models)) if self.order == "declared" else self._arrived

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
