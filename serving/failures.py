"""Exceptions of libraries and defects: their translation at the boundary of an engine, and their log entries.

The text of such an exception never reaches a caller: it may hold keys, paths, addresses or another caller's data.
"""

import asyncio
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from serving.errors import EngineFailed, MoaError, RecipeFailed
from serving.redaction import redacted

MAX_SAID_CHARS = 500
logger = logging.getLogger(__name__)


def log_exception(
    to: logging.Logger, error: BaseException, message: str, *values: object, level: int = logging.ERROR
) -> None:
    """Log `message % values`, then the traceback of `error` without secrets."""
    if to.isEnabledFor(level):
        to.log(level, f"{message}\n%s", *values, traceback_of(error), stacklevel=2)


def traceback_of(error: BaseException) -> str:
    """Traceback of `error` for a log, without secrets."""
    return redacted("".join(traceback.format_exception(error)).rstrip())


def said(error: BaseException | str, without: re.Pattern[str] | None = None) -> str:
    """Text that a library, a template or an endpoint wrote for its caller: one line without secrets or a full stop.

    Only for exceptions that say what is wrong with the caller's or the operator's input. The type of all others is all
    that a message may have of them. `without`: parts that are left out.
    """
    text = error if isinstance(error, str) else str(_message(error))
    line = " ".join(redacted(text if without is None else without.sub("", text)).split())
    return (line if len(line) <= MAX_SAID_CHARS else line[:MAX_SAID_CHARS] + "…").rstrip(".")


def _message(error: BaseException) -> object:
    """The only argument of an exception, if it is a text: `str` of some, as vLLM's, adds the values of the request."""
    return error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else error


def engine_failure(model: str, error: BaseException, kind: type[EngineFailed] = EngineFailed) -> MoaError:
    """`error` if it is one of ours; else it is logged with its traceback and counts as a failure of `model`."""
    if isinstance(error, MoaError):
        return error
    log_exception(logger, error, "the %s '%s' failed", "recipe" if kind is RecipeFailed else "engine of", model)
    return kind(model, f"unexpected {type(error).__name__}; the server's log has the details")


@contextmanager
def engine_failures(model: str, kind: type[EngineFailed] = EngineFailed) -> Iterator[None]:
    """Boundary of an engine: whatever is raised inside is a `MoaError`. Cancellation and `GeneratorExit` pass.

    A `CancelledError` is the engine's failure, too, if nobody cancelled the task: work of its own was cancelled.

    Args:
        model: id of the model or the recipe.
        kind: `RecipeFailed` for the code of a recipe.

    Raises:
        EngineFailed: or `kind`: an exception that is none of ours; see `engine_failure`.
    """
    try:
        yield
    except MoaError:
        raise
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        raise engine_failure(model, error, kind) from None
    except Exception as error:
        raise engine_failure(model, error, kind) from None
