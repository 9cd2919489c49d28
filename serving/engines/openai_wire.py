"""OpenAI's chat format from the client's side: the body of a request."""

import base64
from typing import Any

from serving.conversation import Image, Message, Tool
from serving.decoding import plain_seed
from serving.errors import UnsupportedField
from serving.images import parts
from serving.types import GenerateRequest, Sampling

# Sent unchanged if the request sets them. An endpoint that does not support vLLM's extensions refuses them by name.
SAMPLING_FIELDS = (
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "top_k",
    "min_p",
    "repetition_penalty",
    "ignore_eos",
    "min_tokens",
)
UNSET = Sampling()


def to_payload(request: GenerateRequest, model: str, max_tokens_field: str, thinking: bool = True) -> dict[str, Any]:
    """Body of the HTTP request for `request`; without `thinking`, settings and history of thinking are left out."""
    sampling = request.sampling
    payload: dict[str, Any] = {
        "model": model,
        "messages": [_message(message, thinking) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    # Fields at their defaults are left out: an endpoint may support fewer fields than this server.
    for name in SAMPLING_FIELDS:
        if (value := getattr(sampling, name)) != getattr(UNSET, name):
            payload[name] = value
    if sampling.seed is not None:
        payload["seed"] = plain_seed(sampling.seed)
    max_tokens = request.token_cap if sampling.max_tokens is None else sampling.max_tokens
    if max_tokens is not None:
        payload[max_tokens_field] = max_tokens
    if sampling.stop:
        payload["stop"] = list(sampling.stop)
    if sampling.n != 1:
        payload["n"] = sampling.n
    if sampling.logprobs is not None:
        payload |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    if sampling.decoding.logit_bias:
        payload["logit_bias"] = {str(token): bias for token, bias in sampling.decoding.logit_bias}
    if (wanted := sampling.response_format) is not None:
        payload["response_format"] = {"type": wanted.type}
        if wanted.type == "json_schema":
            payload["response_format"]["json_schema"] = {"name": wanted.name, "schema": wanted.schema}
    if request.tools:
        payload |= _tools(request)
    if thinking:
        asked = request.thinking
        effort = "none" if asked.effort is None and asked.enabled is False else asked.effort
        if effort is not None:
            payload["reasoning_effort"] = effort
        if asked.budget_tokens is not None:
            payload["thinking_token_budget"] = asked.budget_tokens
    if request.template_args:
        payload["chat_template_kwargs"] = dict(request.template_args)
    return payload


def check_fields(request: GenerateRequest, model: str) -> None:
    """Refuse what OpenAI's API has no field for: an endpoint might ignore it. Raises `UnsupportedField`."""
    fields = [name for name in request.sampling.decoding.fields if name != "logit_bias"]
    wanted = request.sampling.response_format
    if wanted is not None and wanted.type not in ("json_object", "json_schema"):
        fields.append(f"structured_outputs.{wanted.type}")
    if request.prompt_end != "answer":
        fields.append("continue_final_message" if request.prompt_end == "continued" else "add_generation_prompt")
    if request.cache_salt is not None:
        fields.append("cache_salt")
    if fields:
        raise UnsupportedField(fields[0], f"'{model}' is behind an external endpoint, which does not have it")


def _message(message: Message, thinking: bool) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        sent["content"] = [_part(part) for part in parts(message)]
    if message.name:
        sent["name"] = message.name
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        sent["content"] = message.content or None
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
        # Models that think between calls need it there; of other turns it is dropped, as their templates do.
        if thinking and message.reasoning:
            sent["reasoning_content"] = message.reasoning
    return sent


def _part(part: str | Image) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    url = f"data:{part.media_type};base64,{base64.b64encode(part.data).decode()}"
    return {"type": "image_url", "image_url": {"url": url, **({} if part.detail is None else {"detail": part.detail})}}


def _tools(request: GenerateRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {"tools": [{"type": "function", "function": _function(tool)} for tool in request.tools]}
    choice = request.tool_choice
    if choice.mode == "named":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.mode != "auto":
        fields["tool_choice"] = choice.mode
    if not request.parallel_tool_calls:
        fields["parallel_tool_calls"] = False
    return fields


def _function(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function
