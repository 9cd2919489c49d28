"""Parsing of Responses requests: JSON to `ResponsesBody`, and `ResponsesBody` to the engine's `GenerateRequest`."""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.api.dialects import namespaces
from serving.api.dialects.chat_requests import NO_HEADERS, moa_options, session_key
from serving.api.dialects.image_parts import joined, part_of
from serving.api.dialects.openai_json import Json
from serving.api.dialects.preview import without_preview
from serving.api.dialects.sealed import unseal
from serving.api.dialects.tool_checks import check_results, check_thinking, tool_choice, tools_by_name
from serving.api.dialects.unions import check_max_tokens, member, parsed_parts, validated
from serving.api.dialects.unsupported_tools import parsed_tools
from serving.api.image_reader import NO_IMAGES, Images
from serving.api.schemas.responses import (
    AllowedTools,
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamespaceTool,
    ReasoningOptions,
    ResponsesBody,
    TextFormat,
    TextOptions,
    ToolReference,
)
from serving.api.schemas.responses_items import (
    FunctionCallItem,
    FunctionCallOutputItem,
    ImageContent,
    MessageItem,
    ReasoningContent,
    ReasoningItem,
    RefusalContent,
    TextContent,
)
from serving.api.schemas.unsupported_tools import OF_RESPONSES
from serving.api.schemas.wire import Wire, check_length, json_object
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Image, Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engine import EngineInfo
from serving.errors import InvalidRequest
from serving.grammars.check import checked
from serving.types import GenerateRequest, ResponseFormat, Sampling
from serving.validation import kind_of, shown

ITEMS: dict[str, type[Wire]] = {
    "message": MessageItem,
    "reasoning": ReasoningItem,
    "function_call": FunctionCallItem,
    "function_call_output": FunctionCallOutputItem,
}
TEXT_PARTS: dict[str, type[Wire]] = dict.fromkeys(("input_text", "output_text", "text"), TextContent)
RESULT_PARTS: dict[str, type[Wire]] = {**TEXT_PARTS, "input_image": ImageContent}
PARTS: dict[str, type[Wire]] = {**TEXT_PARTS, "refusal": RefusalContent}
USER_PARTS: dict[str, type[Wire]] = {**PARTS, "input_image": ImageContent}
REASONING_PARTS: dict[str, type[Wire]] = dict.fromkeys(("reasoning_text", "text"), ReasoningContent)
TOOLS: dict[str, type[Wire]] = {"function": FunctionTool, "namespace": NamespaceTool}
CHOICES: dict[str, type[Wire]] = {"function": ToolReference, "allowed_tools": AllowedTools}
REFERENCES: dict[str, type[Wire]] = {"function": ToolReference}
FORMATS: dict[str, type[Wire]] = {
    "text": TextFormat,
    "json_object": JsonObjectFormat,
    "json_schema": JsonSchemaFormat,
}
MODES = ("none", "auto", "required")


def parse_responses(body: bytes, settings: ApiSettings) -> ResponsesBody:
    """Parse and validate the JSON of a request.

    Raises:
        InvalidRequest: the body is not JSON, a value has the wrong type or is out of range, or a list is longer than
            `settings` allow.
        UnsupportedField: a field or a type is unknown, or part of OpenAI's API but not supported here.
    """
    given: dict[str, Any] = {name: value for name, value in json_object(body, settings).items() if value is not None}
    check_length(given, {"input": settings.max_messages, "tools": settings.max_tools})
    if "input" in given:
        given["input"] = _items(given["input"])
    omitted: tuple[str, ...] = ()
    if "tools" in given:
        given["tools"], omitted = parsed_tools(given["tools"], TOOLS, OF_RESPONSES, settings, None, _tool)
    if "tool_choice" in given:
        given["tool_choice"] = _choice(given["tool_choice"])
    if isinstance(text := given.get("text"), dict):
        if text.get("format") is not None:
            model, fields = member(text["format"], FORMATS, "text.format", "formats")
            text = {**text, "format": validated(fields, model, "text.format")}
        given["text"] = validated(text, TextOptions, "text")
    if isinstance(options := given.get("reasoning"), dict):
        given["reasoning"] = validated(options, ReasoningOptions, "reasoning")
    return validated(given, ResponsesBody).omitting(omitted)


def _tool(fields: Json, model: type[Wire], path: str) -> Wire:
    return namespaces.parsed_namespace(fields, path) if model is NamespaceTool else validated(fields, model, path)


def _items(raw: object) -> object:
    if isinstance(raw, str):
        return raw
    if not isinstance(raw, list):
        raise InvalidRequest(f"Set 'input' to a string or a list of items, not {kind_of(raw)}.", "input")
    if not raw:
        raise InvalidRequest("Give 'input' at least 1 entry.", "input")
    return [_item(item, f"input[{index}]") for index, item in enumerate(raw)]


def _item(raw: object, path: str) -> Wire:
    model, fields = member(raw, ITEMS, path, "items", default="message")
    if model is MessageItem:
        role = fields.get("role")
        parts = USER_PARTS if role == "user" else PARTS
        things = "content parts" if role == "user" else f"content parts of the role {shown(role)} and"
        fields["content"] = parsed_parts(fields.get("content"), parts, f"{path}.content", things)
    elif model is FunctionCallOutputItem:
        fields["output"] = parsed_parts(fields.get("output"), RESULT_PARTS, f"{path}.output", "content parts")
    elif model is ReasoningItem and "content" in fields:
        fields["content"] = parsed_parts(
            fields["content"], REASONING_PARTS, f"{path}.content", "content parts of reasoning"
        )
    return validated(fields, model, path)


def _choice(raw: object) -> object:
    if isinstance(raw, str):
        if raw not in MODES:
            raise InvalidRequest(
                f"Set 'tool_choice' to 'none', 'auto', 'required' or an object, not {shown(raw)}.", "tool_choice"
            )
        return raw
    model, fields = member(raw, CHOICES, "tool_choice", "choices")
    if model is AllowedTools:
        fields["tools"] = parsed_parts(fields.get("tools"), REFERENCES, "tool_choice.tools", "tools")
    return validated(fields, model, "tool_choice")


def responses_request(
    body: ResponsesBody,
    card: ModelCard,
    info: EngineInfo,
    settings: ApiSettings,
    request_id: str,
    headers: Mapping[bytes, bytes] = NO_HEADERS,
    images: Images = NO_IMAGES,
) -> GenerateRequest:
    """Request to the engine of `card`, which has the properties `info`. `images`: those of `responses_images`.

    Raises:
        InvalidRequest: fields contradict each other, or a value exceeds the limits in `settings`.
        UnsupportedField: tools or thinking that the engine does not support, or recipe options in a request to a
            single model.
    """
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("Remove 'stream_options' or set 'stream' to true.", "stream_options")
    messages = _conversation(body, info, images)
    given = namespaces.functions(body.tools, settings)
    offered, choice = _offer(body, tools_by_name(body.model, info, given, "parameters", names_checked=True))
    request = GenerateRequest(
        request_id=request_id,
        messages=messages,
        sampling=_sampling(body, settings),
        tools=tuple(offered.values()),
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls or not offered,
        thinking=_thinking(body, info),
        priority=body.priority,
        deadline_s=settings.deadline_s,
        stream_interval=1 if body.stream else None,
        user=body.user,
        session=session_key(body.prompt_cache_key, headers, messages, tools=bool(offered)),
        metadata=body.metadata,
        moa=moa_options(body.moa, card, live=False),
    )
    return checked(request, settings.schemas) if request.has_rules else request


def _offer(body: ResponsesBody, offered: Mapping[str, Tool]) -> tuple[Mapping[str, Tool], ToolChoice]:
    """Tools that the model gets, and the choice among them."""
    wanted = body.tool_choice
    if isinstance(wanted, AllowedTools):
        chosen = {}
        for index, reference in enumerate(wanted.tools):
            choice = tool_choice("named", reference.name, offered, f"tool_choice.tools[{index}].name")
            chosen[reference.name] = offered[choice.name or ""]
        return chosen, ToolChoice(wanted.mode)
    if isinstance(wanted, ToolReference):
        return offered, tool_choice("named", wanted.name, offered, "tool_choice.name")
    return offered, tool_choice(wanted or "auto", None, offered, "tool_choice")


def _sampling(body: ResponsesBody, settings: ApiSettings) -> Sampling:
    check_max_tokens("max_output_tokens", body.max_output_tokens, settings)
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_output_tokens,
        logprobs=(body.top_logprobs or 0) if wants_logprobs(body) else None,
        response_format=_response_format(body.text),
    )


def wants_logprobs(body: ResponsesBody) -> bool:
    """True if the answer must have log probabilities."""
    return bool(body.top_logprobs) or "message.output_text.logprobs" in body.include


def _response_format(text: TextOptions | None) -> ResponseFormat | None:
    match None if text is None else text.format:
        case JsonObjectFormat():
            return ResponseFormat("json_object")
        case JsonSchemaFormat(name=name, json_schema=schema):
            return ResponseFormat("json_schema", name, schema, path="text.format.schema")
        case _:
            return None


def _thinking(body: ResponsesBody, info: EngineInfo) -> Thinking:
    effort = None if body.reasoning is None else body.reasoning.effort
    if effort is None:
        return Thinking()
    check_thinking(body.model, info, "reasoning.effort", wanted=effort != "none")
    return Thinking(effort != "none", "xhigh" if effort == "max" else effort) if info.thinking else Thinking()


def _conversation(body: ResponsesBody, info: EngineInfo, images: Images) -> tuple[Message, ...]:
    """Messages of the conversation. Items of one answer in a row are one message of the assistant."""
    messages = [] if body.instructions is None else [Message("system", body.instructions)]
    if isinstance(body.input, str):
        return (*messages, Message("user", body.input))
    answer: list[MessageItem | ReasoningItem | FunctionCallItem] = []
    results: list[tuple[str, Message]] = []
    for index, item in enumerate(body.input):
        match item:
            case FunctionCallOutputItem():
                text, placed = _content(item.output, f"input[{index}].output", images)
                message = Message("tool", text, tool_call_id=item.call_id, images=placed)
                results.append((f"input[{index}].call_id", message))
            case MessageItem(role="user"):
                text, placed = _content(item.content, f"input[{index}].content", images)
                message = Message("user", text, images=placed)
            case MessageItem(role="system" | "developer"):
                message = Message("system", _text(item.content))
            case _:
                answer.append(item)
                continue
        messages += [*_answers(answer), message]
        answer = []
    messages += _answers(answer)
    check_results(body.model, info, messages, results)
    return tuple(messages)


def _answers(items: Sequence[MessageItem | ReasoningItem | FunctionCallItem]) -> list[Message]:
    """Messages of the assistant: `items` in their order. What follows a call in the same answer joins its message."""
    messages: list[Message] = []
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []

    def end() -> None:
        if texts or thoughts or calls:
            reasoning = "\n".join(thoughts) or None
            messages.append(Message("assistant", "\n".join(texts), reasoning=reasoning, tool_calls=tuple(calls)))
        texts.clear()
        thoughts.clear()
        calls.clear()

    for item in items:
        match item:
            case FunctionCallItem():
                calls.append(ToolCall(item.call_id, namespaces.joined(item.namespace, item.name), item.arguments))
            case MessageItem():
                if texts and not calls:
                    end()
                texts.append(_text(item.content))
            case ReasoningItem():
                if texts and not calls:
                    end()
                given = "".join(part.text for part in item.content) or unseal(item.encrypted_content)
                if thought := without_preview(given):
                    thoughts.append(thought)
    end()
    return messages


def _text(parts: Sequence[TextContent | RefusalContent | ImageContent]) -> str:
    return _content(parts, "", NO_IMAGES)[0]


def _content(
    parts: Sequence[TextContent | RefusalContent | ImageContent], path: str, images: Images
) -> tuple[str, tuple[Image, ...]]:
    return joined([part_of(part, f"{path}[{place}]", images) for place, part in enumerate(parts)], "")
