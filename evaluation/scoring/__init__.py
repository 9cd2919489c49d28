"""Scorers: each extracts an answer from a text and compares it with the reference."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Protocol, runtime_checkable

from evaluation.errors import EvaluationError
from evaluation.imports import imported
from evaluation.sandbox import Sandbox
from evaluation.scoring import boxed, choice, code, contains, exact, f1, literal, number
from serving.failures import said


@runtime_checkable
class Scorer(Protocol):
    """Interface of the scorer modules, and of the classes named as `module:Class`."""

    def extract(self, text: str) -> str | None:
        """Return the answer in `text`; `None` if there is none."""

    def same(self, extracted: str, reference: str) -> float:
        """Return the degree to which the extracted answer is right, from 0 to 1; True is 1."""


SCORERS: dict[str, Scorer] = {
    "exact": exact,
    "contains": contains,
    "f1": f1,
    "number": number,
    "boxed": boxed,
    "choice": choice,
    "literal": literal,
    "code": code,
}
RIGHT = 0.5  # smallest score of a right answer, where an answer is either right or wrong
CODE = "code"  # runs programs: only `score_program` may


@dataclass(frozen=True, slots=True)
class Scored:
    """A score and the answer that it was given for."""

    score: float  # from 0.0, wrong, to 1.0, right
    extracted: str | None  # the compared answer; None: not found in the text


def score(scorer: str, text: str, reference: str, accepted: Iterable[str] = ()) -> Scored:
    """Score `text` with a scorer of `SCORERS` or one named as `module:Class`.

    Args:
        scorer: Name of the scorer.
        text: A model's answer.
        reference: The right answer.
        accepted: Further right answers; the best score counts.

    Raises:
        EvaluationError: There is no such scorer, it is `CODE`, or its score is not from 0 to 1.
    """
    found = scorer_named(scorer)
    extracted = found.extract(text)
    if extracted is None:
        return Scored(0.0, None)
    best = max(float(found.same(extracted, right)) for right in (reference, *accepted))
    if math.isnan(best) or not 0 <= best <= 1:
        raise EvaluationError(f"The scorer '{scorer}' gave {best:g}; a score is a number from 0 to 1.")
    return Scored(best, extracted)


async def score_program(text: str, reference: str, sandbox: Sandbox) -> Scored:
    """Run the program of an answer with its tests, `reference`, in `sandbox`; 1 if it ends without an exception."""
    extracted = code.extract(text)
    if extracted is None:
        return Scored(0.0, None)
    return Scored(float(await sandbox.passes(code.program_of(extracted, reference))), extracted)


def scorer_named(name: str) -> Scorer:
    """Return the scorer of this name: one of `SCORERS`, or an instance of the class `module:Class`.

    Raises:
        EvaluationError: There is none, it cannot be imported, or the class lacks the methods of `Scorer`.
    """
    if ":" not in name:
        if name not in SCORERS:
            known = ", ".join(SCORERS)
            raise EvaluationError(f"There is no scorer '{name}'; choose one of {known}, or write 'module:Class'.")
        return SCORERS[name]
    return _own(name)


@cache
def _own(name: str) -> Scorer:
    """Return an instance of the class `module:Class`, one per class."""
    try:
        found = imported(name)()
    except ImportError as error:
        raise EvaluationError(f"The scorer '{name}' cannot be imported: {error}.") from error
    except (Exception, SystemExit) as error:  # whatever the class raises
        raise EvaluationError(f"The scorer '{name}' cannot be made: {type(error).__name__}: {said(error)}.") from error
    if not isinstance(found, Scorer):
        raise EvaluationError(f"The scorer '{name}' lacks a method: it needs 'extract' and 'same'.")
    return found


def checked_scorer(name: str) -> str:
    """Return `name`. Raises `ValueError` if there is no such scorer."""
    try:
        scorer_named(name)
    except EvaluationError as error:
        reason = str(error)
        raise ValueError(reason[0].lower() + reason[1:]) from error
    return name
