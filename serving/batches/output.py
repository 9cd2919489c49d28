"""Lines of output and error files, and the tokens of an answer."""

import uuid
from typing import Any

import orjson

from serving.store.batch_results import LineResult, LineUsage

NAMESPACE = uuid.UUID("6f1d0c1e-6b53-4c8f-9c53-9f4a8ef6f3a5")  # of ids that follow from the batch and the line


def request_id(batch_id: str, line: int) -> str:
    """Id of a line's request, the same whenever it is answered."""
    return f"batch_req_{uuid.uuid5(NAMESPACE, f'{batch_id} {line}').hex}"


def result(batch_id: str, line: int, custom_id: str, status: int, body: bytes) -> LineResult:
    """Result of a line whose answer has this status and this JSON."""
    own_id = request_id(batch_id, line)
    response = {"status_code": status, "request_id": own_id, "body": orjson.Fragment(body)}
    content = orjson.dumps({"id": own_id, "custom_id": custom_id, "response": response, "error": None})
    ok = status == 200
    return LineResult(line, ok, content, usage_of(body) if ok else LineUsage())


def unanswered(batch_id: str, line: int, custom_id: str, code: str, message: str) -> bytes:
    """Line of the error file for a request that was not answered, with a line feed."""
    error = {"code": code, "message": message}
    row = {"id": request_id(batch_id, line), "custom_id": custom_id, "response": None, "error": error}
    return orjson.dumps(row) + b"\n"


def usage_of(body: bytes) -> LineUsage:
    """Tokens of an answer, whatever its dialect."""
    usage = orjson.loads(body).get("usage")
    if not isinstance(usage, dict):
        return LineUsage()

    def number(*names: str) -> int | None:
        found = (usage.get(name) for name in names)
        return next((value for value in found if isinstance(value, int)), None)

    def detail(field: str, *groups: str) -> int | None:
        found = (group.get(field) for name in groups if isinstance(group := usage.get(name), dict))
        return next((value for value in found if isinstance(value, int)), None)

    cached = detail("cached_tokens", "prompt_tokens_details", "input_tokens_details")
    return LineUsage(
        number("input_tokens", "prompt_tokens"),
        number("cache_read_input_tokens") if cached is None else cached,
        number("output_tokens", "completion_tokens"),
        detail("reasoning_tokens", "completion_tokens_details", "output_tokens_details"),
    )


def usage_json(usage: LineUsage) -> dict[str, Any]:
    """A batch's `usage`. Tokens that are not known count as none."""
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": read + written,
    }
