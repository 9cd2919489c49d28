"""Parts of Responses answers as JSON: the fields that repeat the request, usage, log probabilities and errors."""

import math
from collections.abc import Sequence

from serving.api.dialects.chat_answers import MIN_LOGPROB
from serving.api.dialects.field_names import OF_RESPONSES, renamed
from serving.api.dialects.openai_json import Json
from serving.api.errors import encodable, error_json
from serving.api.schemas.responses import FunctionTool, NamespaceTool, ResponsesBody
from serving.errors import ContextTooLong, MoaError
from serving.types import TokenLogprob
from serving.usage import TokenUsage


def head_json(body: ResponsesBody, created_at: int) -> Json:
    """Fields of a response that the request decides. `created_at` is in seconds."""
    reasoning, text = body.reasoning, body.text
    chosen = "auto" if body.tool_choice is None else body.tool_choice
    form = None if text is None else text.format
    return {
        "created_at": created_at,
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": body.metadata,
        "model": body.model,
        "parallel_tool_calls": body.parallel_tool_calls,
        "previous_response_id": None,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {
            "effort": None if reasoning is None else reasoning.effort,
            "summary": None if reasoning is None else reasoning.summary,
        },
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "store": False,
        "temperature": body.temperature,
        "text": {
            "format": {"type": "text"} if form is None else form.model_dump(by_alias=True, exclude_none=True),
            "verbosity": "medium" if text is None or text.verbosity is None else text.verbosity,
        },
        "tool_choice": chosen if isinstance(chosen, str) else chosen.model_dump(),
        "tools": [_tool(tool) for tool in body.tools],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": "disabled",
        "user": body.user,
    }


def _tool(tool: FunctionTool | NamespaceTool) -> Json:
    if isinstance(tool, NamespaceTool):
        functions = [_tool(function) for function in tool.tools]
        return {"type": "namespace", "name": tool.name, "description": tool.description or "", "tools": functions}
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }


def usage_json(usage: TokenUsage) -> Json | None:
    """The usage object; None if a total is unknown. Clients know no null here: an unknown part of a total is 0."""
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def logprobs_json(tokens: Sequence[TokenLogprob], *, with_bytes: bool) -> list[Json]:
    """Log probabilities of tokens; events leave out the bytes, content parts have them."""
    return [
        {**_logprob(token, with_bytes), "top_logprobs": [_logprob(other, with_bytes) for other in token.top]}
        for token in tokens
    ]


def _logprob(token: TokenLogprob, with_bytes: bool) -> Json:
    logprob = MIN_LOGPROB if math.isnan(token.logprob) else max(token.logprob, MIN_LOGPROB)
    fields: Json = {"token": encodable(token.token), "logprob": logprob}
    if with_bytes:
        fields["bytes"] = list(token.token_bytes)
    return fields


def error_of(error: Exception) -> Json:
    """The error object of a response that has failed."""
    message = error_json(renamed(error, OF_RESPONSES))["error"]["message"]
    if isinstance(error, ContextTooLong):
        return {"code": error.code, "message": message}  # clients shorten the conversation when they see it
    status = error.status if isinstance(error, MoaError) else MoaError.status
    codes = {429: "rate_limit_exceeded"} | dict.fromkeys(range(400, 429), "invalid_prompt")
    return {"code": codes.get(status, "server_error"), "message": message}
