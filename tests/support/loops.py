"""A question with tools as a dataset has it, and a scripted engine that calls them and reads the results."""

from typing import Any

from serving.conversation import ToolCall
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.types import GenerateRequest

THOUGHT = "This needs a calculator."


def function(name: str, *parameters: str) -> dict[str, Any]:
    """OpenAI's object of a tool whose parameters are texts, all required."""
    properties = {parameter: {"type": "string"} for parameter in parameters}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": f"Tool {name}.", "parameters": schema}}


TOOL_ROW: dict[str, Any] = {
    "id": "t-1",
    "skill": "calculate",
    "question": "What is 3817 * 246?",
    "answer": "938982",
    "tools": [function("compute", "expression"), function("find", "topic"), function("play", "song")],
    "backends": {
        "compute": {"kind": "calculator", "parameter": "expression"},
        "find": {"kind": "lookup", "parameter": "topic", "entries": {"river of Loso": "Polco"}},
    },
}


def compute_then_read(request: GenerateRequest) -> ScriptedAnswer:
    """Call the tool that computes, else the first, with the question's expression; then answer with the last result."""
    results = [message.content for message in request.messages if message.role == "tool"]
    if results:
        return ScriptedAnswer(results[-1], "The tool has answered.")
    question = next(message.content for message in reversed(request.messages) if message.role == "user")
    expression = question.partition("What is ")[2].partition("?")[0]
    names = [tool.name for tool in request.tools]
    name = next((name for name in names if name.endswith("compute")), names[0] if names else "")
    call = ToolCall("call_1", name, f'{{"expression": "{expression}"}}')
    return ScriptedAnswer("" if request.may_call_tools else "I would use a calculator.", THOUGHT, (call,))


def caller(model: str) -> ScriptedEngine:
    """A model that thinks and calls tools as `compute_then_read` does."""
    return ScriptedEngine(model, compute_then_read, tools=True, thinking=True)
