"""Parsing of Messages requests: JSON to `MessagesBody`, and the body to the engine's `GenerateRequest`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from serving.api.dialects.chat_decoding import check_continued
from serving.api.dialects.chat_requests import NO_HEADERS, moa_options, session_key
from serving.api.dialects.image_parts import joined, part_of
from serving.api.dialects.preview import without_preview
from serving.api.dialects.sealed import unseal
from serving.api.dialects.tool_checks import Mode, check_results, tool_choice, tools_by_name
from serving.api.dialects.unions import check_max_tokens, member, parsed_parts, validated
from serving.api.dialects.unsupported_tools import parsed_tools
from serving.api.image_reader import NO_IMAGES, Images
from serving.api.schemas.messages import (
    AdaptiveThinking,
    AssistantBlock,
    AssistantTurn,
    Base64Source,
    ChosenTool,
    CountTokensBody,
    CustomTool,
    DisabledThinking,
    EnabledThinking,
    ImageBlock,
    JsonFormat,
    MessagesBody,
    MetadataParam,
    OutputConfig,
    RedactedThinkingBlock,
    SystemTurn,
    TextBlock,
    ThinkingBlock,
    ToolMode,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
    UserBlock,
    UserTurn,
)
from serving.api.schemas.unsupported_tools import OF_MESSAGES
from serving.api.schemas.wire import Wire, check_length, json_object
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Image, Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engine import EngineInfo
from serving.errors import InvalidRequest
from serving.grammars.check import checked
from serving.images import shifted
from serving.types import GenerateRequest, PromptEnd, ResponseFormat, Sampling
from serving.validation import kind_of, shown

Body = TypeVar("Body", bound=CountTokensBody)
TEXT: dict[str, type[Wire]] = {"text": TextBlock}
CONTENT: dict[str, type[Wire]] = {**TEXT, "image": ImageBlock}
SOURCES: dict[str, type[Wire]] = {"base64": Base64Source, "url": UrlSource}
TURNS: dict[str, tuple[type[Wire], dict[str, type[Wire]]]] = {  # by role: the turn, and its blocks
    "user": (UserTurn, {**CONTENT, "tool_result": ToolResultBlock}),
    "assistant": (
        AssistantTurn,
        {
            **TEXT,
            "thinking": ThinkingBlock,
            "redacted_thinking": RedactedThinkingBlock,
            "tool_use": ToolUseBlock,
        },
    ),
    "system": (SystemTurn, TEXT),
}
TOOLS: dict[str, type[Wire]] = {"custom": CustomTool}
FORMATS: dict[str, type[Wire]] = {"json_schema": JsonFormat}
OBJECTS: dict[str, tuple[str, dict[str, type[Wire]]]] = {  # by field: what its values are called, and their types
    "tool_choice": ("choices", {**dict.fromkeys(("auto", "any", "none"), ToolMode), "tool": ChosenTool}),
    "thinking": (
        "settings",
        {"enabled": EnabledThinking, "adaptive": AdaptiveThinking, "disabled": DisabledThinking},
    ),
}
ERROR = "Error: "  # before the result of a call that failed
# The first block of Claude Code's system message. It differs in each request, which no cached prompt would survive.
BILLING = "x-anthropic-billing-header:"
MODES: dict[str, Mode] = {"auto": "auto", "any": "required", "none": "none"}


def parse_messages(body: bytes, settings: ApiSettings) -> MessagesBody:
    """Parse and validate the JSON of a request.

    Raises:
        InvalidRequest: the body is not JSON, a value has the wrong type or is out of range, or a list is longer than
            `settings` allow.
        UnsupportedField: a field or a type is unknown, or part of Anthropic's API but not supported here.
    """
    return _parsed(body, MessagesBody, settings)


def parse_count(body: bytes, settings: ApiSettings) -> CountTokensBody:
    """Parse and validate the JSON of a request for a number of tokens. Raises as `parse_messages`."""
    return _parsed(body, CountTokensBody, settings)


def _parsed(body: bytes, model: type[Body], settings: ApiSettings) -> Body:
    given: dict[str, Any] = {name: value for name, value in json_object(body, settings).items() if value is not None}
    check_length(given, {"messages": settings.max_messages, "tools": settings.max_tools})
    if isinstance(messages := given.get("messages"), list):
        given["messages"] = [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]
    if "system" in given:
        given["system"] = parsed_parts(given["system"], TEXT, "system", "blocks")
    omitted: tuple[str, ...] = ()
    if "tools" in given:
        given["tools"], omitted = parsed_tools(given["tools"], TOOLS, OF_MESSAGES, settings, "custom")
    for name, (things, models) in OBJECTS.items():
        if name in given:
            kind, fields = member(given[name], models, name, things)
            given[name] = validated(fields, kind, name)
    if isinstance(metadata := given.get("metadata"), dict) and "metadata" in model.model_fields:
        given["metadata"] = validated(metadata, MetadataParam, "metadata")
    if isinstance(config := given.get("output_config"), dict):
        if config.get("format") is not None:
            kind, fields = member(config["format"], FORMATS, "output_config.format", "formats")
            config = {**config, "format": validated(fields, kind, "output_config.format")}
        given["output_config"] = validated(config, OutputConfig, "output_config")
    return validated(given, model).omitting(omitted)


def _message(raw: object, path: str) -> Wire:
    if not isinstance(raw, dict):
        raise InvalidRequest(f"Set '{path}' to an object, not {kind_of(raw)}.", path)
    role = raw.get("role")
    if role is None:
        raise InvalidRequest(f"Set '{path}.role': it is required.", f"{path}.role")
    if not isinstance(role, str) or role not in TURNS:
        raise InvalidRequest(
            f"Set '{path}.role' to 'user', 'assistant' or 'system', not {shown(role)}.", f"{path}.role"
        )
    model, blocks = TURNS[role]
    content = raw.get("content")
    if role == "user" and isinstance(content, list):
        content = [_with_inner_parts(block, f"{path}.content[{index}]") for index, block in enumerate(content)]
    content = parsed_parts(content, blocks, f"{path}.content", f"blocks of the role '{role}' and")
    return validated({**raw, "content": content}, model, path)


def _with_inner_parts(block: object, path: str) -> object:
    """A `tool_result` with its content as blocks, an `image` with its source; any other block as it is."""
    if not isinstance(block, dict):
        return block
    if block.get("type") == "image" and block.get("source") is not None:
        model, fields = member(block["source"], SOURCES, f"{path}.source", "sources")
        return {**block, "source": validated(fields, model, f"{path}.source")}
    if block.get("type") != "tool_result":
        return block
    content = block.get("content")
    if isinstance(content, list):
        content = [_with_inner_parts(inner, f"{path}.content[{index}]") for index, inner in enumerate(content)]
    return {**block, "content": parsed_parts(content, CONTENT, f"{path}.content", "blocks of results")}


def messages_request(
    body: MessagesBody,
    card: ModelCard,
    info: EngineInfo,
    settings: ApiSettings,
    request_id: str,
    headers: Mapping[bytes, bytes] = NO_HEADERS,
    images: Images = NO_IMAGES,
) -> GenerateRequest:
    """Request to the engine of `card`, which has the properties `info`. `images`: those of `messages_images`.

    Raises:
        InvalidRequest: fields contradict each other, or a value exceeds the limits in `settings`.
        UnsupportedField: tools that the engine does not support, or recipe options in a request to a single model.
    """
    check_max_tokens("max_tokens", body.max_tokens, settings)
    sampling = Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences),
        response_format=_response_format(body),
        top_k=body.top_k,
    )
    messages, tools, choice = _prompt(body, info, images)
    parallel = body.tool_choice is None or not body.tool_choice.disable_parallel_tool_use
    request = GenerateRequest(
        request_id=request_id,
        messages=messages,
        sampling=sampling,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel or not tools,
        thinking=_thinking(body, info),
        priority=body.priority,
        deadline_s=settings.deadline_s,
        stream_interval=1 if body.stream else None,
        user=None if body.metadata is None else body.metadata.user_id,
        session=session_key(None, headers, messages, tools=bool(tools)),
        moa=moa_options(body.moa, card, live=False),
        prompt_end=_prompt_end(body, messages, tools),
    )
    return checked(request, settings.schemas) if request.has_rules else request


def _prompt_end(body: CountTokensBody, messages: Sequence[Message], tools: Sequence[Tool]) -> PromptEnd:
    """Place at which the prompt ends: within an assistant's message at the end of the conversation."""
    if body.messages[-1].role != "assistant":
        return "answer"
    last = len(body.messages) - 1
    check_continued(messages, "an answer's beginning", f"messages[{last}]", tools=bool(tools))
    return "continued"


def count_request(
    body: CountTokensBody, info: EngineInfo, settings: ApiSettings, request_id: str, images: Images = NO_IMAGES
) -> GenerateRequest:
    """Request whose prompt is to be counted. Raises as `messages_request`."""
    messages, tools, choice = _prompt(body, info, images)
    request = GenerateRequest(
        request_id=request_id,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        thinking=_thinking(body, info),
        deadline_s=settings.deadline_s,
        prompt_end=_prompt_end(body, messages, tools),
    )
    return checked(request, settings.schemas) if request.has_rules else request


def _prompt(
    body: CountTokensBody, info: EngineInfo, images: Images
) -> tuple[tuple[Message, ...], tuple[Tool, ...], ToolChoice]:
    """Messages, tools and the choice among them, of which the prompt is made."""
    messages = _conversation(body, info, images)
    given = [(f"tools[{index}]", tool, tool.input_schema) for index, tool in enumerate(body.tools)]
    offered = tools_by_name(body.model, info, given, "input_schema")
    wanted = body.tool_choice
    if wanted is None:
        return messages, tuple(offered.values()), ToolChoice()
    if isinstance(wanted, ChosenTool):
        choice = tool_choice("named", wanted.name, offered, "tool_choice.name")
    else:
        choice = tool_choice(MODES[wanted.type], None, offered, "tool_choice")
    return messages, tuple(offered.values()), choice


def _response_format(body: CountTokensBody) -> ResponseFormat | None:
    wanted = None if body.output_config is None else body.output_config.format
    if wanted is None:
        return None
    return ResponseFormat("json_schema", "", wanted.json_schema, path="output_config.format.schema")


def _thinking(body: CountTokensBody, info: EngineInfo) -> Thinking:
    """Thinking that the request asks for. Budgets are upper bounds, and efforts hints: all models keep to them."""
    wanted = body.thinking
    if not info.thinking:
        return Thinking()
    if isinstance(wanted, DisabledThinking):
        return Thinking(enabled=False)
    effort = None if body.output_config is None else body.output_config.effort
    return Thinking(
        None if wanted is None else True,
        "xhigh" if effort == "max" else effort,
        wanted.budget_tokens if isinstance(wanted, EnabledThinking) else None,
    )


def _conversation(body: CountTokensBody, info: EngineInfo, images: Images) -> tuple[Message, ...]:
    messages: list[Message] = []
    results: list[tuple[str, Message]] = []
    if system := [block.text for block in body.system if not block.text.startswith(BILLING)]:
        messages.append(Message("system", "\n".join(system)))
    for index, message in enumerate(body.messages):
        if message.role == "assistant":
            messages.append(_answer(message.content))
            continue
        count = len(results)
        path = f"messages[{index}].content"
        for place, block in enumerate(message.content):
            if isinstance(block, ToolResultBlock):
                messages.append(_result(block, f"{path}[{place}].content", images))
                results.append((f"{path}[{place}].tool_use_id", messages[-1]))
        if len(results) == count or len(results) - count < len(message.content):
            text, placed = _content(message.content, path, images)
            messages.append(Message(message.role, text, images=placed))
    check_results(body.model, info, messages, results)
    return tuple(messages)


def _answer(blocks: Sequence[AssistantBlock]) -> Message:
    """Message of the assistant: thinking, text and calls of all `blocks`."""
    thoughts = [
        thought
        for block in blocks
        if isinstance(block, ThinkingBlock) and (thought := without_preview(block.thinking or unseal(block.signature)))
    ]
    calls = tuple(
        ToolCall(block.id, block.name, json.dumps(block.input, ensure_ascii=False))
        for block in blocks
        if isinstance(block, ToolUseBlock)
    )
    return Message("assistant", _text(blocks), reasoning="\n".join(thoughts) or None, tool_calls=calls)


def _result(block: ToolResultBlock, path: str, images: Images) -> Message:
    text, placed = _content(block.content, path, images)
    if block.is_error:
        text, placed = f"{ERROR}{text}", shifted(placed, len(ERROR))
    return Message("tool", text, tool_call_id=block.tool_use_id, images=placed)


def _text(blocks: Sequence[UserBlock | AssistantBlock]) -> str:
    return _content(blocks, "", NO_IMAGES)[0]


def _content(blocks: Sequence[UserBlock | AssistantBlock], path: str, images: Images) -> tuple[str, tuple[Image, ...]]:
    """Text and images of those of `blocks` that are either."""
    return joined(
        [
            part_of(block, f"{path}[{place}]", images)
            for place, block in enumerate(blocks)
            if isinstance(block, TextBlock | ImageBlock)
        ],
        "\n",
    )
