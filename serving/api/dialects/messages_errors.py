"""Errors as Anthropic's error object."""

from serving.api.dialects.openai_json import Json
from serving.api.errors import encodable, error_json
from serving.errors import ContextTooLong, MoaError, UnsupportedField

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
# With these details, Anthropic's tool runner sends the conversation as a whole instead of asking the server to keep it.
NO_THREADS = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


def messages_error(error: Exception, request_id: str) -> Json:
    """Anthropic's error object, with the server's own code and param beside the message."""
    own = error_json(error)["error"]
    status = error.status if isinstance(error, MoaError) else MoaError.status
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    message = own["message"]
    if isinstance(error, ContextTooLong):
        message = f"{_too_long(error)}. {message}"
    shown: Json = {"type": kind, "message": encodable(message), "code": own["code"], "param": own["param"]}
    if isinstance(error, UnsupportedField) and error.field == "thread":
        shown["details"] = NO_THREADS
    return {"type": "error", "error": shown, "request_id": request_id}


def _too_long(error: ContextTooLong) -> str:
    """Anthropic's words, in which Claude Code looks for the numbers: it then asks for less, or shortens."""
    prompt, context = error.prompt_tokens, error.context_tokens
    if error.max_tokens and prompt < context:
        return f"input length and `max_tokens` exceed context limit: {prompt} + {error.max_tokens} > {context}"
    return f"prompt is too long: {prompt} tokens > {context} maximum"
