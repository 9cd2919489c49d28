"""Errors of a load run."""


class LoadError(ValueError):
    """Invalid options, SLO, workload or host, or a server that does not work. `str(error)` says how to fix it."""
