"""Values of a conversation: messages with images and tool calls, the tools, and how much a model thinks.

Frozen and slotted, so that the messages of one agent can never be changed through another agent's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
Modality = Literal["text", "image"]
IMAGE = "[image]"  # in a message's text, where an image is: what a model that reads text only sees of it


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """One piece of a streamed tool call; `id` and `name` are set on the first piece only."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that an agent may call."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None  # JSON schema; None: no parameters
    strict: bool | None = None  # calls must satisfy `parameters`; None: as the model's profile says
    path: str = field(default="tools", compare=False)  # field of the request with its parameters, for errors


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Permission or obligation to call tools; `named`: the one called `name`."""

    mode: Literal["none", "auto", "required", "named"] = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """Amount of thinking before an answer. `None` leaves a setting to the model's profile."""

    enabled: bool | None = None
    effort: Effort | None = None
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a message. Its bytes are in no `repr` and no comparison: the digest stands for them."""

    media_type: str  # "image/png", ...
    data: bytes = field(repr=False, compare=False)
    digest: str  # of the bytes: SHA-256, hexadecimal
    offset: int = 0  # of its `IMAGE` in the message's content, in characters
    detail: str | None = None  # the caller's hint for endpoints that know it: "low", "high", ...


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `reasoning` and `tool_calls` are an assistant's, `tool_call_id` a tool's.

    `content` has `IMAGE` where an image is. A text may contain the same characters: the images' offsets tell.
    """

    role: Role
    content: str
    name: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    images: tuple[Image, ...] = ()  # by their offsets
