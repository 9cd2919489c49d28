"""Error of the check of the images."""


class CheckFailed(Exception):
    """The check is impossible or found a fault; the message says in one sentence what."""
