"""Errors of the Responses API: OpenAI's error object with the names of its own fields."""

from serving.api.dialects.field_names import OF_RESPONSES, renamed
from serving.api.dialects.openai_json import Json
from serving.api.errors import error_json


def responses_error(error: Exception, request_id: str = "") -> Json:
    """OpenAI's error object; the request's id is in the header only."""
    return error_json(renamed(error, OF_RESPONSES))
