"""OpenAI's chat format from the client's side: the body of a request and the chunks of its answer."""

import asyncio
import base64
import json
import secrets
from typing import Any

from serving import sse
from serving.conversation import FinishReason, Image, Message, Tool, ToolCallDelta
from serving.decoding import plain_seed
from serving.engines.openai_errors import error_of_stream
from serving.errors import EngineFailed, IncompleteGeneration, UnsupportedField
from serving.images import parts
from serving.types import Delta, GenerateRequest, Sampling, Timing, TokenLogprob
from serving.usage import UNKNOWN_USAGE, TokenUsage

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
}
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


class StreamReader:
    """Converts chunks to deltas. Finish reasons are kept back until the end, when the usage is known.

    Attributes:
        complete: True after `[DONE]`.
    """

    def __init__(self, model: str, began_s: float) -> None:
        """Read an answer of `model`, asked for at loop time `began_s`."""
        self.model, self.began_s = model, began_s
        self.first_s: float | None = None
        self.reasons: dict[int, FinishReason | None] = {}
        self._calls: dict[int, _ToolCalls] = {}  # of each choice that has some
        self.usage = UNKNOWN_USAGE
        self.complete = False

    def read(self, data: bytes) -> list[Delta]:
        """Deltas of one event. Raises `EngineFailed`, or the `MoaError` for an error object in the stream."""
        if data.strip() == sse.DONE_DATA:
            self.complete = True
        if self.complete:
            return []
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            raise EngineFailed(self.model, "its endpoint sent a chunk that is not an object")
        if chunk.get("error"):
            raise error_of_stream(self.model, chunk["error"])
        if isinstance(chunk.get("usage"), dict):
            self.usage = _usage(chunk["usage"])
        try:
            return [delta for choice in chunk.get("choices") or [] if (delta := self._choice(choice)) is not None]
        except (AttributeError, KeyError, TypeError) as error:
            raise EngineFailed(self.model, f"its endpoint sent an invalid chunk ({error!r:.100})") from None

    def _index(self, choice: dict[str, Any]) -> int:
        """Index of a choice, whose finish reason is kept. Raises `EngineFailed` for an unknown reason."""
        index: int = choice.get("index", 0)
        self.reasons.setdefault(index, None)
        if (reason := choice.get("finish_reason")) is not None:
            if reason not in FINISH_REASONS:
                raise EngineFailed(self.model, f"its endpoint sent the unknown finish reason '{reason!s:.40}'")
            self.reasons[index] = FINISH_REASONS[reason]
        return index

    def _choice(self, choice: dict[str, Any]) -> Delta | None:
        index = self._index(choice)
        delta = choice.get("delta") or {}
        text = delta.get("content") or delta.get("refusal") or ""
        if not isinstance(text, str):
            raise TypeError("content is not a string")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
        if not isinstance(reasoning, str):
            raise TypeError("reasoning is not a string")
        calls = delta.get("tool_calls") or ()
        logprobs = (choice.get("logprobs") or {}).get("content")
        if not (text or reasoning or calls or logprobs):
            return None
        if self.first_s is None:
            self.first_s = asyncio.get_running_loop().time()
        return Delta(
            text,
            index,
            tuple(map(_logprob, logprobs)) if logprobs else None,
            reasoning=reasoning,
            tool_calls=tuple(map(self._calls.setdefault(index, _ToolCalls()).piece, calls)) if calls else (),
        )

    def ending(self, now_s: float) -> list[Delta]:
        """Final delta of each choice; the last one has the usage.

        Raises:
            IncompleteGeneration: the stream was cut, or a choice has no finish reason.
            EngineFailed: a choice ended for tool calls without any.
        """
        if not self.complete or not self.reasons or None in self.reasons.values():
            raise IncompleteGeneration(self.model)
        for index, reason in self.reasons.items():
            if index in self._calls and reason == "stop":  # OpenAI's reason if `tool_choice` names a function
                self.reasons[index] = "tool_calls"
            elif index not in self._calls and reason == "tool_calls":
                raise EngineFailed(self.model, "its endpoint ended an answer for tool calls, but sent none")
        ttft_s = None if self.first_s is None else self.first_s - self.began_s
        timing = Timing(None, ttft_s, now_s - self.began_s)
        *others, last = sorted(self.reasons)
        return [
            *(Delta(index=index, finish_reason=self.reasons[index]) for index in others),
            Delta(index=last, finish_reason=self.reasons[last], usage=self.usage, timing=timing),
        ]


class _ToolCalls:
    """Tool calls of one choice. Some endpoints leave out indexes or ids, repeat names, or number every call 0."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.positions: dict[int | None, int] = {}  # of the latest call by the endpoint's index

    def piece(self, raw: dict[str, Any]) -> ToolCallDelta:
        """Piece of a call; the first one has an id and a name. Raises `AttributeError` or `TypeError`."""
        function = raw.get("function") or {}
        name, given_id, index = function.get("name"), raw.get("id"), raw.get("index")
        arguments = "" if function.get("arguments") is None else function["arguments"]
        if not isinstance(arguments, str):
            raise TypeError("arguments are not a string")
        position = self.positions.get(index)
        if position is not None:
            another = given_id != self.ids[position] if given_id else index is None
            if not (name and another):
                return ToolCallDelta(position, arguments=arguments)
        if not isinstance(name, str) or not name:
            raise TypeError("a tool call has no name")
        position = self.positions[index] = len(self.ids)
        self.ids.append(str(given_id or f"call_{secrets.token_hex(12)}"))
        return ToolCallDelta(position, self.ids[position], name, arguments)


def _usage(raw: dict[str, Any]) -> TokenUsage:
    return TokenUsage(
        _count(raw, "prompt_tokens"),
        _count(raw, "completion_tokens"),
        _count(raw.get("prompt_tokens_details"), "cached_tokens"),
        _count(raw.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(raw: object, name: str) -> int | None:
    count = raw.get(name) if isinstance(raw, dict) else None
    return count if isinstance(count, int) else None


def _logprob(raw: dict[str, Any]) -> TokenLogprob:
    top = tuple(_logprob(other) for other in raw.get("top_logprobs") or ())
    return TokenLogprob(raw["token"], raw["logprob"], bytes(raw.get("bytes") or ()), top)
