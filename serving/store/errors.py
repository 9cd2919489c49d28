"""Errors of the store."""

from serving.errors import InvalidRequest


class StoreUnavailable(Exception):
    """The database or Redis cannot be reached, or failed. The text is for the log: it never reaches a caller."""


class UnstorableText(InvalidRequest):
    """A text of the request has NUL or a lone surrogate, which PostgreSQL cannot store."""

    def __init__(self) -> None:
        super().__init__(
            "Remove NUL characters and lone surrogates: the request has a text with one, which cannot be stored."
        )
        self.args = ()
