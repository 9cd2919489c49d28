"""Scorers: each is a module that extracts an answer from a text and compares it with the reference."""

from dataclasses import dataclass
from typing import Protocol

from evaluation.scoring import boxed, choice, exact, literal, number


class Scorer(Protocol):
    """Interface of the scorer modules."""

    def extract(self, text: str) -> str | None:
        """Return the answer in `text`; `None` if there is none."""

    def same(self, extracted: str, reference: str) -> bool:
        """Return True if the extracted answer is right."""


SCORERS: dict[str, Scorer] = {"exact": exact, "number": number, "boxed": boxed, "choice": choice, "literal": literal}


@dataclass(frozen=True, slots=True)
class Scored:
    """A score and the answer that it was given for."""

    score: float  # 1.0 right, 0.0 wrong
    extracted: str | None  # the compared answer; None: not found in the text


def score(scorer: str, text: str, reference: str) -> Scored:
    """Score `text` with the scorer of this name in `SCORERS`."""
    module = SCORERS[scorer]
    extracted = module.extract(text)
    return Scored(float(extracted is not None and module.same(extracted, reference)), extracted)
