"""Names of a dialect's fields in errors that come from below the dialects, which name those of chat completions."""

from collections.abc import Mapping

from serving.errors import ContextTooLong, InvalidRequest, LimitExceeded, UnsupportedField

OF_RESPONSES: Mapping[str, str] = {
    "logprobs": "top_logprobs",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
}
OF_MESSAGES: Mapping[str, str] = {
    "continue_final_message": "messages[-1]",  # a last message of the assistant asks for it
    "reasoning_effort": "output_config.effort",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
    "thinking_token_budget": "thinking.budget_tokens",
}


def renamed(error: Exception, names: Mapping[str, str]) -> Exception:
    """`error` with the field it names as `names` maps it, and so its message; any other error as it is.

    A field within one of `names` ("response_format.json_schema") is known by its beginning. Fields of the dialect
    itself, which its own checks name, must not be keys of `names`. Errors of parsing must not come here: a field that
    the dialect does not have may be one of chat completions.
    """
    match error:
        case ContextTooLong(model=model, prompt_tokens=prompt, context_tokens=context, max_tokens=asked):
            limit = names.get(error.limit, error.limit)
            return ContextTooLong(model, prompt, context, asked, _name(error.param, names), limit, error.at_least)
        case LimitExceeded():
            return LimitExceeded(error.resource, error.needed, error.allowed, _name(error.param, names))
        case UnsupportedField():
            return UnsupportedField(_name(error.field, names), error.why)
        case InvalidRequest(message=message, param=param) if (field := _name(param, names)) != (param or ""):
            return InvalidRequest(message.replace(f"'{param}'", f"'{field}'"), field)
        case _:
            return error


def _name(path: str | None, names: Mapping[str, str]) -> str:
    path = path or ""
    end = next((place for place, letter in enumerate(path) if letter in ".["), len(path))
    return names.get(path[:end], path[:end]) + path[end:]
