"""Failed answers or verdicts of one command: their reasons, and the end of the command after many in a row."""

from collections import Counter

from evaluation.errors import EvaluationError

SHOWN_REASONS = 10
REASON_CHARS = 300


class Failures:
    """Counts failures by reason, and consecutive ones of the server.

    Args:
        noun: "answers" or "verdicts".
        limit: Consecutive failures of the server that end the command.
    """

    def __init__(self, noun: str, limit: int) -> None:
        self._noun, self._limit, self._in_a_row = noun, limit, 0
        self.reasons: Counter[str] = Counter()

    def note(self, error: str | None, whose: str, *, of_server: bool) -> None:
        """Note one outcome.

        Args:
            error: The reason of a failure; `None` for a success.
            whose: Description of the answer or verdict for the message, such as "arm 'moa-lite'".
            of_server: True if the server failed or refused. Other failures are of one row and end nothing.

        Raises:
            EvaluationError: `limit` consecutive requests failed.
        """
        if error is None:
            self._in_a_row = 0
            return
        self.reasons[error] += 1
        self._in_a_row += of_server
        if of_server and self._in_a_row >= self._limit:
            raise EvaluationError(
                f"{self._in_a_row} consecutive {self._noun} failed, the last of {whose} with '{error}'."
                " Run the same command again once the server has recovered."
            )


def reason_of(error: BaseException) -> str:
    """Return an exception of one row as its reason, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:REASON_CHARS] if text else type(error).__name__


def summary(reasons: Counter[str]) -> str:
    """Return the distinct reasons, one per line, the most frequent first; "" without failures."""
    if not reasons:
        return ""
    shown = [f"  {count} × {reason}" for reason, count in reasons.most_common(SHOWN_REASONS)]
    more = len(reasons) - len(shown)
    return "\n".join(["reasons:", *shown, *([f"  and {more} other reasons"] if more > 0 else [])])
