"""Proposals of one layer while they are being written, as references that an agent reads chunk by chunk."""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from serving.references import Reference, References
from serving.runtime.prompts import CUT_MARK

# `merged`: each proposal is one reference, which grows. `appended`: what is new is a reference of its own behind those
# before, with the number of its proposal, so that the prompt so far stays a prefix of the next one.
Parts = Literal["merged", "appended"]
CHARACTERS_PER_TOKEN = 4  # estimate, for an engine that does not count while it writes
WORD_CHARACTERS = 32  # longer pieces without a space are those of a language that has none
CONTINUED_MARK = CUT_MARK.strip()  # begins a part that continues another


@dataclass
class _Slot:
    """One proposal."""

    model: str
    text: str = ""
    tokens: int = 0
    ended: bool = False
    whole: bool = False  # it ended, and all of it is usable
    shown: str = ""  # the beginning of `text` that the reader knows
    shown_tokens: int = 0
    parts: list[tuple[int, str]] = field(default_factory=list)  # what was shown when, as the prompt has it
    place: int | None = None  # number in the prompt; None: not shown yet

    def reset(self) -> None:
        """Forget what was shown: another attempt writes another text."""
        self.shown, self.shown_tokens = "", 0
        self.parts.clear()


class GrowingProposals:
    """One layer's proposals by slot, of which each `take` shows what there is."""

    def __init__(self, models: tuple[str, ...], before: References, first_tokens: int, chunk_tokens: int, parts: Parts):
        """Nothing is written yet.

        Args:
            models: of the proposers, by slot.
            before: references from before the layer.
            first_tokens: length of a proposal's first chunk.
            chunk_tokens: length of its later chunks.
            parts: the form of the references.
        """
        self._before, self._parts = before, parts
        self._slots = [_Slot(model) for model in models]
        self._first_tokens, self._chunk_tokens = first_tokens, chunk_tokens
        # Deltas as fine as a quarter of a chunk: the reader waits at most that much longer than it must.
        self.stream_interval = max(1, min(first_tokens, chunk_tokens) // 4)
        self._chunks = 0
        self._places = 0
        self._changed = asyncio.Event()
        self.closed = False  # the layer has ended

    # -- the layer writes ------------------------------------------------------------------------------------

    def wrote(self, slot: int, text: str, tokens: int | None) -> None:
        """Set the unfinished text of `slot` so far, and its length in tokens if the engine counts."""
        known = self._slots[slot]
        known.ended = known.whole = False
        known.text = text
        known.tokens = len(text) // CHARACTERS_PER_TOKEN if tokens is None else tokens
        if not text.startswith(known.shown):
            known.reset()
        self._changed.set()

    def ended(self, slot: int, reference: Reference | None) -> None:
        """Set the whole proposal of `slot`. None: it is not usable, and only what was shown of it stays."""
        known = self._slots[slot]
        text = known.shown if reference is None else reference.text
        if not text.startswith(known.shown):
            known.reset()
        known.text, known.ended, known.whole = text, True, reference is not None
        self._changed.set()

    def close(self) -> None:
        """End the layer: unfinished proposals will not grow any more, and only what was shown of them stays."""
        for known in self._slots:
            if not known.ended:
                known.text, known.ended = known.shown, True
        self.closed = True
        self._changed.set()

    # -- the reader ------------------------------------------------------------------------------------------

    async def chunk(self, needed: int, grace_s: float) -> bool:
        """Wait for the next chunk of all unfinished proposals; False once the layer has ended.

        When `needed` proposals have theirs, the others have `grace_s` seconds more.
        """
        loop = asyncio.get_running_loop()
        grace_ends: float | None = None
        while not self.closed:
            unfinished = [slot for slot in self._slots if not slot.ended]
            ready = [slot for slot in unfinished if self._has_chunk(slot)]
            if ready and len(ready) == len(unfinished):
                return True
            whole = sum(slot.ended and bool(slot.text.strip()) for slot in self._slots)
            if ready and len(ready) + whole >= needed and grace_ends is None:
                grace_ends = loop.time() + grace_s
            self._changed.clear()
            try:
                async with asyncio.timeout_at(grace_ends):
                    await self._changed.wait()
            except TimeoutError:
                return True
        return False

    def take(self) -> tuple[References, tuple[int, ...]]:
        """References of all text so far, which is shown from now on, and their numbers in the prompt.

        A proposal that is still being written is shown up to its last word and ends with a mark.
        """
        self._chunks += 1
        for slot in self._slots:
            slot.shown_tokens = slot.tokens
            text = slot.text if slot.ended else _words(slot.text)
            new = text[len(slot.shown) :] if len(text) > len(slot.shown) else ""
            if not new.strip():
                continue
            if slot.place is None:
                self._places += 1
                slot.place = self._places
            part = f"{CONTINUED_MARK} {new.strip()}" if slot.parts else new
            slot.parts.append((self._chunks, part + ("" if slot.whole else CUT_MARK)))
            slot.shown += new
        return self._merged() if self._parts == "merged" else self._appended()

    def _merged(self) -> tuple[References, tuple[int, ...]]:
        found = [
            Reference(slot.model, slot.shown + ("" if slot.whole else CUT_MARK))
            for slot in sorted(self._slots, key=lambda slot: slot.place or 0)
            if slot.shown.strip()
        ]
        return (*self._before, *found), ()

    def _appended(self) -> tuple[References, tuple[int, ...]]:
        before = len(self._before)
        placed = [
            (chunk, before + (slot.place or 0), Reference(slot.model, text))
            for slot in self._slots
            for chunk, text in slot.parts
        ]
        placed.sort(key=lambda part: part[:2])
        references = tuple(reference for _, _, reference in placed)
        return (*self._before, *references), (*range(1, before + 1), *(number for _, number, _ in placed))

    def _has_chunk(self, slot: _Slot) -> bool:
        wanted = self._chunk_tokens if slot.shown else self._first_tokens
        return slot.tokens - slot.shown_tokens >= wanted and len(slot.text) > len(slot.shown)


def _words(text: str) -> str:
    """`text` without its last word, which may go on; all of it if what is behind the last space is no word."""
    if text[-1:].isspace():
        return text.rstrip()
    cut = max(text.rfind(" "), text.rfind("\n"))
    return text[:cut] if cut > 0 and len(text) - cut <= WORD_CHARACTERS else text
