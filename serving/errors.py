"""Every error that a request can end with.

    MoaError                        500  internal_error
    ├── InvalidRequest              400  invalid_request        the caller can fix it; `param` names the field
    │   ├── UnsupportedField        400  unsupported_field      known to OpenAI's API, not supported here
    │   ├── ContextTooLong          400  context_length_exceeded
    │   ├── InputTooLong            400  input_too_long         an input of an embedding or rerank request
    │   └── LimitExceeded           400  limit_exceeded         more calls or tokens than the operator allows
    ├── Unauthorized                401  invalid_api_key
    ├── AdminKeyRequired            403  admin_key_required     the key may not manage keys
    ├── UnknownModel                404  model_not_found
    ├── UnknownKey                  404  key_not_found          an API key that an administrator asks for
    ├── UnknownAnswer               404  answer_not_found       an answer that feedback is about
    ├── UnknownObject               404  object_not_found       a file or a batch that is not the caller's
    ├── UnknownPath                 404  not_found
    ├── WrongMethod                 405  method_not_allowed
    ├── SlowBody                    408  body_timeout           the request body did not arrive in time
    ├── BodyTooLarge                413  body_too_large
    ├── WrongContentType            415  unsupported_media_type
    ├── Overloaded                  429  overloaded             more than the engines can hold; retry later
    ├── RateLimitExceeded           429  rate_limit_exceeded    more than the key's limits allow; retry later
    ├── BudgetExceeded              429  insufficient_quota     the key's budget of the day or month is used up
    ├── EngineFailed                502  engine_failed          an engine raised, or returned an invalid stream
    │   ├── RecipeFailed            500  recipe_failed          the code of a recipe raised, or returned no stream
    │   ├── IncompleteGeneration    502  incomplete_generation  a stream ended without its terminal delta
    │   └── QuorumNotReached        503  quorum_not_reached     fewer proposals than `min_proposals`; retry later
    ├── EngineUnavailable           503  engine_unavailable     no replica is ready, or it was lost
    ├── StoreRequired               503  store_unavailable      the store cannot be reached, and the request needs it
    ├── DeadlineExceeded            504  deadline_exceeded
    └── ConfigError                 500  config_error           a profile or recipe that cannot work; found at start

An error crosses process boundaries by pickle: `args` are the constructor's positional arguments, and everything else
reads the named attributes.
"""

from typing import ClassVar

from serving.suggestions import did_you_mean


class MoaError(Exception):
    """The server failed unexpectedly; its log has the details.

    Base class of all errors. `str(error)` is one sentence that may be shown to the caller.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "server_error"  # OpenAI's error type: whose fault it is

    param: str | None = None
    retry_after_s: float | None = None


class InvalidRequest(MoaError):
    """The request cannot be answered as it is; the message says what to change and `param` names the field."""

    status, code, type = 400, "invalid_request", "invalid_request_error"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, param)
        self.message, self.param = message, param

    def __str__(self) -> str:
        return self.message


class UnsupportedField(InvalidRequest):
    """A field, or a value of it, that this server does not support. It is refused, never ignored."""

    code = "unsupported_field"

    def __init__(self, field: str, why: str = "it is not supported by this server") -> None:
        super().__init__(f"Remove '{field}': {why}.", field)
        self.args = (field, why)
        self.field, self.why = field, why


class ContextTooLong(InvalidRequest):
    """The prompt and the requested answer do not fit into the model's context; the message gives both numbers."""

    code = "context_length_exceeded"

    def __init__(
        self,
        model: str,
        prompt_tokens: int,
        context_tokens: int,
        max_tokens: int = 0,
        field: str = "messages",
        limit: str = "max_tokens",
        at_least: bool = False,
    ) -> None:
        """`field` holds the prompt, and `limit` the length of the answer, by their names in the request."""
        wanted = f" and {limit} asks for {max_tokens} more" if max_tokens else ""
        shorten = "shorten the messages" if field == "messages" else f"shorten '{field}'"
        remedy = f"{shorten} or lower {limit}" if max_tokens else shorten
        super().__init__(
            f"The prompt has {_counted(prompt_tokens, at_least)}{wanted}, but the context of '{model}' holds"
            f" {context_tokens} tokens; {remedy}.",
            field,
        )
        self.args = (model, prompt_tokens, context_tokens, max_tokens, field, limit, at_least)
        self.model, self.prompt_tokens, self.context_tokens = model, prompt_tokens, context_tokens
        self.max_tokens, self.limit = max_tokens, limit
        self.at_least = at_least  # the prompt was not counted to its end


class InputTooLong(InvalidRequest):
    """An input to embed or to rank does not fit into the model's context; the message gives both numbers."""

    code = "input_too_long"

    def __init__(self, model: str, field: str, tokens: int, context_tokens: int, at_least: bool = False) -> None:
        super().__init__(
            f"Shorten '{field}': it has {_counted(tokens, at_least)}, but the context of '{model}' holds"
            f" {context_tokens}; or set 'truncate_prompt_tokens' to -1 to cut it.",
            field,
        )
        self.args = (model, field, tokens, context_tokens, at_least)
        self.model, self.field, self.tokens, self.context_tokens = model, field, tokens, context_tokens
        self.at_least = at_least


def _counted(tokens: int, at_least: bool) -> str:
    """Length of a text, or what is known of it if it was not counted to its end."""
    return f"{'at least ' if at_least else ''}{tokens} tokens"


class LimitExceeded(InvalidRequest):
    """The recipe needs more calls or tokens than the operator allows for one request."""

    code = "limit_exceeded"

    def __init__(self, resource: str, needed: int, allowed: int, field: str = "moa") -> None:
        """`field` is the one that asks for so much."""
        less = "ask for less" if field == "moa" else f"lower '{field}'"
        super().__init__(
            f"The request needs up to {needed} {resource}, but the operator allows {allowed}; {less}.", field
        )
        self.args = (resource, needed, allowed, field)
        self.resource, self.needed, self.allowed = resource, needed, allowed


class Unauthorized(MoaError):
    """The request has no API key, or one that the server does not know."""

    status, code, type = 401, "invalid_api_key", "authentication_error"

    def __init__(
        self, message: str = "Send the server's API key as 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
    ) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class UnknownModel(MoaError):
    """No model or recipe has that name; the message lists the names that exist."""

    status, code, type = 404, "model_not_found", "invalid_request_error"
    param = "model"

    def __init__(self, model: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(model, known)
        self.model, self.known = model, known

    def __str__(self) -> str:
        similar = did_you_mean(self.model, self.known)
        return f"There is no model '{self.model}'; {similar}choose one of: {', '.join(self.known)}."


class AdminKeyRequired(MoaError):
    """The request needs a key that may manage keys; the one that it has may not."""

    status, code, type = 403, "admin_key_required", "permission_error"

    def __str__(self) -> str:
        return "Send a key that may manage keys: the server's admin key, or one whose setting 'admin' is true."


class UnknownKey(MoaError):
    """No valid API key of the store has that name."""

    status, code, type = 404, "key_not_found", "invalid_request_error"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"There is no valid key '{self.name}' in the store; list them to see their names."


class UnknownAnswer(MoaError):
    """The key got no answer with that id, or its record has been deleted."""

    status, code, type = 404, "answer_not_found", "invalid_request_error"
    param = "id"

    def __init__(self, answer_id: str) -> None:
        super().__init__(answer_id)
        self.answer_id = answer_id

    def __str__(self) -> str:
        return (
            f"Set 'id' to the id of an answer that this key got, such as 'chatcmpl-...': there is none with the id"
            f" '{self.answer_id}'."
        )


class UnknownObject(MoaError):
    """The caller has no file or batch with that id, or it has expired."""

    status, code, type = 404, "object_not_found", "invalid_request_error"

    def __init__(self, kind: str, given: str, param: str | None = None) -> None:
        """`kind`: "file" or "batch". `param`: the field with the id, if it is not in the path."""
        super().__init__(kind, given, param)
        self.kind, self.given, self.param = kind, given, param

    def __str__(self) -> str:
        return f"There is no {self.kind} '{self.given}'; list yours with GET /v1/{self.kind}{self._plural}."

    @property
    def _plural(self) -> str:
        return "es" if self.kind.endswith("ch") else "s"


class UnknownPath(MoaError):
    """The path does not exist."""

    status, code, type = 404, "not_found", "invalid_request_error"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"The path '{self.path}' does not exist; the API is under /v1 (POST /v1/chat/completions), the console is"
            " /console, and /docs shows all endpoints."
        )


class WrongMethod(MoaError):
    """The path exists, but not for this method; the `allow` header names the right one."""

    status, code, type = 405, "method_not_allowed", "invalid_request_error"

    def __init__(self, path: str, allowed: str) -> None:
        super().__init__(path, allowed)
        self.path, self.allowed = path, allowed

    def __str__(self) -> str:
        return f"Use {self.allowed} for '{self.path}'."


class SlowBody(MoaError):
    """The request body did not arrive in time."""

    status, code, type = 408, "body_timeout", "invalid_request_error"

    def __init__(self, limit_s: float) -> None:
        super().__init__(limit_s)
        self.limit_s = limit_s

    def __str__(self) -> str:
        return f"The request body did not arrive within {self.limit_s:g} s; send it faster."


class BodyTooLarge(MoaError):
    """The request body is larger than the server accepts."""

    status, code, type = 413, "body_too_large", "invalid_request_error"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return f"The request body is larger than {self.limit_bytes} bytes; send a shorter one."


class WrongContentType(MoaError):
    """The request body is not declared as plain JSON."""

    status, code, type = 415, "unsupported_media_type", "invalid_request_error"

    def __init__(self, header: str, value: str, wanted: str) -> None:
        super().__init__(header, value, wanted)
        self.header, self.value, self.wanted = header, value, wanted

    def __str__(self) -> str:
        return f"Send the body with '{self.header}: {self.wanted}', not '{self.value}'."


class Overloaded(MoaError):
    """The server or an engine holds as many requests as it can; the `retry-after` header says when to retry."""

    status, code, type = 429, "overloaded", "rate_limit_error"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s)
        self.message, self.retry_after_s = message, retry_after_s

    def __str__(self) -> str:
        return self.message


class RateLimitExceeded(MoaError):
    """The caller's limit of a minute, or of requests in progress, is reached; `retry-after` says when to retry."""

    status, code, type = 429, "rate_limit_exceeded", "rate_limit_error"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s)
        self.message, self.retry_after_s = message, retry_after_s

    def __str__(self) -> str:
        return self.message


class BudgetExceeded(MoaError):
    """The caller's budget of the day or month is used up; `retry-after` says when the next one begins."""

    status, code, type = 429, "insufficient_quota", "insufficient_quota"

    def __init__(self, lack: str, window: str, retry_after_s: float = 1.0) -> None:
        """`lack`: sentence about the key and its budget, without a full stop. `window`: "day" or "month"."""
        super().__init__(lack, window, retry_after_s)
        self.lack, self.window, self.retry_after_s = lack, window, retry_after_s

    def __str__(self) -> str:
        return f"{self.lack}; the next {self.window} begins in {self.retry_after_s:.0f} s."


class EngineFailed(MoaError):
    """An engine raised an error or returned an invalid stream."""

    status, code = 502, "engine_failed"

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(model, reason)
        self.model, self.reason = model, reason

    def __str__(self) -> str:
        return f"The engine of '{self.model}' failed: {self.reason}."


class IncompleteGeneration(EngineFailed):
    """An engine's stream ended before its answer was complete."""

    code = "incomplete_generation"

    def __init__(self, model: str, reason: str = "its stream ended before the answer was complete") -> None:
        super().__init__(model, reason)


class RecipeFailed(EngineFailed):
    """The code of a recipe raised an error of another kind, or returned no stream; the server's log has the details."""

    status, code = 500, "recipe_failed"

    def __str__(self) -> str:
        return f"The recipe '{self.model}' failed: {self.reason}."


class QuorumNotReached(EngineFailed):
    """A layer returned fewer usable proposals than its recipe needs (`min_proposals`); retry later."""

    status, code = 503, "quorum_not_reached"
    retry_after_s = 5.0

    def __init__(self, layer: int, usable: int, needed: int, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(f"layer {layer}", "")
        self.args = (layer, usable, needed, reasons)
        self.layer, self.usable, self.needed, self.reasons = layer, usable, needed, reasons

    def __str__(self) -> str:
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"Layer {self.layer} returned {self.usable} usable proposals of {self.needed} needed{why}."


class EngineUnavailable(MoaError):
    """No replica of the model is ready, or the one that answered was lost; retry later."""

    status, code = 503, "engine_unavailable"
    retry_after_s = 5.0

    def __init__(
        self,
        model: str,
        reason: str = "no replica is ready",
        retry_after_s: float | None = None,
        retriable: bool = True,
    ) -> None:
        super().__init__(model, reason, retry_after_s, retriable)
        self.model, self.reason = model, reason
        self.retriable = retriable  # False: another attempt at once would fail, too
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"'{self.model}' is not available: {self.reason}."


class StoreRequired(MoaError):
    """The store cannot be reached, and the request cannot be answered without it; retry later."""

    status, code = 503, "store_unavailable"
    retry_after_s = 5.0

    def __init__(self, subject: str) -> None:
        super().__init__(subject)
        self.subject = subject

    def __str__(self) -> str:
        return f"{self.subject} at the moment: the server's store cannot be reached. Try again later."


class DeadlineExceeded(MoaError):
    """The answer did not finish within the deadline of the server, the recipe or an agent."""

    status, code = 504, "deadline_exceeded"

    def __init__(self, subject: str, deadline_s: float) -> None:
        super().__init__(subject, deadline_s)
        self.subject, self.deadline_s = subject, deadline_s

    def __str__(self) -> str:
        return f"{self.subject} did not finish within its deadline of {self.deadline_s:g} s."


class ConfigError(MoaError):
    """A profile or a recipe cannot work; found at start, before any request."""

    code = "config_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message
