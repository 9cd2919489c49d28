"""Errors of the store."""


class StoreUnavailable(Exception):
    """The database or Redis cannot be reached, or failed. The text is for the log: it never reaches a caller."""
