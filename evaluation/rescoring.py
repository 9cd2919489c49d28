"""Scores of stored answers by another scorer, without asking again."""

from collections.abc import Sequence

from evaluation import scoring
from evaluation.errors import EvaluationError
from evaluation.failures import reason_of
from evaluation.rows import NOT_SCORED, Row


def rescored(rows: Sequence[Row], scorer: str) -> list[Row]:
    """Return the rows with their scores by `scorer`, in place of the run's.

    Rows without a right answer are unchanged, and so are those that were scored by running a program: their right
    answer is a program, with which no other scorer could compare a text. An exception of the scorer is that row's
    error.

    Raises:
        EvaluationError: There is no such scorer, it runs programs, or no row has a right answer that it could compare.
    """
    scoring.scorer_named(scorer)
    if scorer == scoring.CODE:
        raise EvaluationError("The scorer 'code' runs programs: choose it for the run, with '--scorer code'.")
    if not any(row.reference is not None for row in rows):
        raise EvaluationError(f"No answer can be scored by '{scorer}': the questions have no right answers.")
    if all(row.reference is None or row.scorer == scoring.CODE for row in rows):
        raise EvaluationError(f"No answer can be scored by '{scorer}': their programs were run; leave out --scorer.")
    return [_rescored(row, scorer) for row in rows]


def _rescored(row: Row, scorer: str) -> Row:
    if row.reference is None or row.scorer == scoring.CODE:
        return row
    updates: dict[str, object] = {"scorer": scorer}
    if row.error is None or row.error.startswith(NOT_SCORED):
        try:
            scored = scoring.score(scorer, row.text, row.reference, row.accepted)
            updates |= {"score": scored.score, "extracted": scored.extracted, "error": None}
        except (Exception, SystemExit) as error:  # of a scorer of the user's own
            updates |= {"score": None, "error": f"{NOT_SCORED}{reason_of(error)}"}
    return row.model_copy(update=updates)
