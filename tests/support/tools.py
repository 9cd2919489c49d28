"""An engine that thinks, calls its first tool, and answers from the tool's results: for tests of tool loops."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from serving.conversation import ToolCallDelta
from serving.engine import Engine, EngineInfo
from serving.types import Delta, GenerateRequest
from serving.usage import TokenUsage

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
THOUGHT = "I need the weather."
CITIES = ("Paris", "Rome")


@dataclass
class ToolEngine(Engine):
    """Calls the first tool once per city of `CITIES`; after the results it says them, without a call.

    `tools` and `thinking` are what its `info` says; `requests` records the calls.
    """

    model: str = "m"
    tools: bool = True
    thinking: bool = True
    requests: list[GenerateRequest] = field(default_factory=list)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(4096, tools=self.tools, thinking=self.thinking)

    async def check_health(self) -> None: ...

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        results = [message.content for message in request.messages if message.role == "tool"]
        if results or not request.tools:
            for text in ("It is ", " and ".join(results), "."):
                yield Delta(text)
            yield Delta(finish_reason="stop", usage=TokenUsage(20, 5, 9))
            return
        yield Delta(reasoning=THOUGHT[:7])
        yield Delta(reasoning=THOUGHT[7:])
        for index, city in enumerate(CITIES):
            begin = ToolCallDelta(index, f"call_{index}", request.tools[0].name)
            arguments = '{"city": "' + city + '"}'
            yield Delta(tool_calls=(begin,))
            for piece in (arguments[:5], arguments[5:]):
                yield Delta(tool_calls=(ToolCallDelta(index, arguments=piece),))
        yield Delta(finish_reason="tool_calls", usage=TokenUsage(10, 12, 0, 4))
