"""Errors of vLLM's engine as errors of this server."""

import logging
import re

from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.v1.engine.exceptions import EngineDeadError

from serving.errors import EngineFailed, EngineUnavailable, InvalidRequest, MoaError, Overloaded
from serving.failures import log_exception, said

XGRAMMAR_PLACE = re.compile(r"\[[\d:]+\] \S+:\d+: ")  # time and source line in errors of xgrammar
ENGINE_DIED = "its engine process died; a new one is being started"

logger = logging.getLogger(__name__)


def reason_of(error: Exception | str) -> str:
    """Text of an error of vLLM or xgrammar, in one line, without its place in their sources and a full stop."""
    return said(error, without=XGRAMMAR_PLACE)


def translated(model: str, request_id: str, error: Exception, *, dead: bool) -> MoaError:
    """Error for one of vLLM's; `dead`: the engine process has ended."""
    if isinstance(error, VLLMClientError):
        return InvalidRequest(f"'{model}' refused the request: {reason_of(error)}.", getattr(error, "parameter", None))
    if isinstance(error, GracefulHTTPError):
        return Overloaded(f"'{model}' has too many requests waiting; retry later.")
    if dead or isinstance(error, EngineDeadError):
        return EngineUnavailable(model, ENGINE_DIED)
    # Callers get the error's type only: its text may hold paths, addresses or another caller's data.
    log_exception(logger, error, "Request %s of '%s' failed in the engine", request_id, model)
    cause = error.__cause__ or error
    return EngineFailed(model, f"{type(cause).__name__}; the replica's log has the details")
