"""The error of the evaluation commands."""


class EvaluationError(Exception):
    """Ends a command with exit code 2. `str(error)` is the message: the problem and what to change."""
