"""The tools of one item: their specifications, sent to the server, and the backends that run the calls."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.rows import CallRow, Fault
from evaluation.tools.backends import Backend
from evaluation.tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of an answer; `arguments` is the text that the model wrote."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Tools that an arm may call while it answers an item.

    `first_call` has the tools of which the first call should be one. It is empty if the question needs no call, and
    `None` if that is not known.
    """

    specs: tuple[Mapping[str, Any], ...]  # OpenAI's objects, as the dataset has them
    backends: Mapping[str, Backend]  # by the name of the tool; calls of a tool without one fail
    first_call: frozenset[str] | None = None

    async def run(self, call: Call) -> CallRow:
        """Run a call. The result of a call that is invalid, or whose tool has no result, begins with "error: "."""
        fault, reason = self._fault(call)
        if fault is None:
            try:
                return CallRow(name=call.name, arguments=call.arguments, result=await self._result(call))
            except ToolError as error:
                reason = str(error)
        return CallRow(name=call.name, arguments=call.arguments, fault=fault, result=f"error: {reason}")

    def _fault(self, call: Call) -> tuple[Fault | None, str]:
        """Return what makes a call invalid, and a sentence for the model."""
        functions = {spec["function"]["name"]: spec["function"] for spec in self.specs}
        if (arguments := _arguments(call.arguments)) is None:
            return "json", "the arguments are not a JSON object"
        if call.name not in functions:
            return "tool", f"there is no tool '{call.name}'; the tools are: {', '.join(functions)}"
        backend = self.backends.get(call.name)
        required = (functions[call.name].get("parameters") or {}).get("required", ())
        if missing := [name for name in (*required, *(backend.required if backend else ())) if name not in arguments]:
            return "parameter", f"the parameter '{missing[0]}' is missing"
        return None, ""

    async def _result(self, call: Call) -> str:
        if (backend := self.backends.get(call.name)) is None:
            raise ToolError(f"'{call.name}' is not available")
        return await backend.run(_arguments(call.arguments) or {})


def _arguments(text: str) -> dict[str, Any] | None:
    """Parse a call's arguments; an empty text is a call without arguments."""
    try:
        parsed = json.loads(text or "{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python's parser accepts."""
    raise ValueError(f"JSON has no {name}")
