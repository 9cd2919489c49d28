"""In which order a layer's proposals become references, also while some are still being written."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.runtime.policy import ReferenceOrder
from serving.runtime.prompts import Reference, References
from serving.types import FinishReason


@dataclass
class Proposals:
    """One layer's proposals by slot (the agents' declared positions).

    `declared`: references stand in slot order, the same whatever the timing. `arrival`: as they finished, so that
    all that is finished can be prefilled; a slot whose unfinished text was prefilled keeps the place it got.
    """

    models: Sequence[str]
    order: ReferenceOrder
    _final: dict[int, str | None] = field(default_factory=dict)  # None: no usable text
    _partial: dict[int, str] = field(default_factory=dict)
    _arrived: list[int] = field(default_factory=list)
    _reasons: dict[int, FinishReason] = field(default_factory=dict)

    def write(self, slot: int, text: str) -> None:
        """`text` is what `slot` has said so far and goes on from."""
        self._partial[slot] = text

    def finish(self, slot: int, text: str | None, reason: FinishReason = "stop") -> None:
        self._reasons[slot] = reason
        self._final[slot] = text if text and text.strip() else None
        if slot not in self._arrived:
            self._arrived.append(slot)

    @property
    def usable(self) -> int:
        return sum(text is not None for text in self._final.values())

    def references(self) -> References:
        """All usable proposals, in order."""
        return tuple(
            Reference(self.models[slot], text, self._reasons[slot])
            for slot in self._slots()
            if (text := self._final.get(slot)) is not None
        )

    def known(self, marker: str) -> tuple[References, int]:
        """What is certain of the references' text, then `marker`; and how many characters that is."""
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
        """The text of the unfinished slot that got a place by arrival; the longest takes the next place."""
        placed = next((slot for slot in self._arrived if slot not in self._final), None)
        if placed is None:
            open_slots = [slot for slot in self._partial if slot not in self._final]
            placed = max(open_slots, key=lambda slot: len(self._partial[slot]), default=None)
            if placed is None:
                return ""
            self._arrived.append(placed)
        return self._partial[placed]
