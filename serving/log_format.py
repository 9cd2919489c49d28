"""Format of the server's own logs: text, or one JSON object a line with the ids of its request and trace."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from serving.failures import traceback_of
from serving.log_context import CURRENT
from serving.surrogates import well_formed

LogFormat = Literal["text", "json"]
LOGGERS = ("serving", "deployments")  # the server's own; those of libraries keep their format
VARIABLE = "MOA_LOG_FORMAT"  # tells the model replicas


class JsonFormatter(logging.Formatter):
    """Writes a record as a JSON object: time (UTC), level, logger, message, and the ids of its request.

    A record with `fields` (the request log) has those in place of a message.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        if not isinstance(fields, Mapping):
            line["message"] = well_formed(record.getMessage())
        if (current := CURRENT.get()) is not None:
            line["request_id"] = current.request_id
            if current.trace is not None:
                line |= {"trace_id": current.trace.trace, "span_id": current.trace.span}
        if isinstance(fields, Mapping):
            line |= fields
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = well_formed(traceback_of(record.exc_info[1]))
        return orjson.dumps(line, default=str).decode()


def set_log_format(log_format: LogFormat) -> None:
    """Write the server's own logs in this format, to stderr. `text` leaves what the process has configured."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        ours = [one for one in logger.handlers if isinstance(one.formatter, JsonFormatter)]
        if log_format == "json" and not ours:
            written = logging.StreamHandler()
            written.setFormatter(JsonFormatter())
            logger.addHandler(written)
            logger.propagate = False  # or the process's own handlers would write it again, as text
        elif log_format == "text" and ours:
            for handler in ours:
                logger.removeHandler(handler)
            logger.propagate = True
