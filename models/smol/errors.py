"""Error of fetching the model."""


class CannotFetch(Exception):
    """The model cannot be fetched; the message says in one sentence what to change."""
