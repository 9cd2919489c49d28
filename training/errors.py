"""The error of the training commands."""


class TrainingError(Exception):
    """Ends a command with exit code 2. `str(error)` is the message: the problem and what to change."""
