"""Errors of tools."""


class ToolError(Exception):
    """A tool has no result; `str(error)` is the reason, which is sent to the model as the call's result."""
