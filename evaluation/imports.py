"""Import of the user's own classes and functions, named as `module:name`."""

from importlib import import_module
from typing import Any

from serving.failures import said


def imported(path: str) -> Any:
    """Return the object that `path`, such as `my_kinds:Riddle`, names.

    Raises:
        ImportError: It cannot be imported; the text has the type and the message of the cause.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # whatever the module raises while it is imported
        raise ImportError(f"{type(error).__name__}: {said(error)}") from error
