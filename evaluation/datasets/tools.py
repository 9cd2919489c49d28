"""Questions with tools, which the arm may call while it answers.

The arm's calls are run by the backends (`evaluation.tools.backends`) and their results sent back, until it answers with
a text. A tool without a backend is offered to no use: its calls have an error as their result.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from evaluation.datasets.base import DatasetRow, Id, ScorerName, Text, Value
from evaluation.items import Item
from evaluation.tools.backends import Backend
from evaluation.tools.toolbox import Toolbox

KIND_OF_SKILL = {"calculate": "calculator", "lookup": "lookup"}  # kinds of backends
NO_TOOL = "none"  # the skill of questions that need no call


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True)  # a JSON schema may have any other field

    required: tuple[str, ...] = ()


class _Function(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str = Field(min_length=1)
    parameters: _Parameters | None = None


class _Tool(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: Literal["function"]
    function: _Function


class ToolRow(DatasetRow):
    """Questions with tools, as OpenAI's API takes them, and the backends that run the calls.

    Unknown fields are refused. Without `first_call`, the skill decides: `calculate` expects a tool with the backend
    `calculator`, `lookup` one with `lookup`, `none` no call.
    """

    model_config = ConfigDict(extra="forbid")

    kind = "tools"
    scored_by = "exact"
    null_means = frozenset({"first_call"})
    example = {
        "question": "What is 3817 * 246?",
        "answer": "938982",
        "tools": [{"type": "function", "function": {"name": "compute"}}],
        "backends": {"compute": {"kind": "calculator", "parameter": "expression"}},
    }

    id: Id | None = Field(default=None, description="default: the number of the row")
    skill: str = Field(default="", description="part of the dataset, for the tables")
    question: Text = Field(description="the question")
    answer: Value = Field(description="the right answer")
    tools: tuple[_Tool, ...] = Field(min_length=1, description="the tools that are offered")
    backends: dict[str, Backend] = Field(description="the programs that run the calls, by the names of the tools")
    scorer: ScorerName = Field(default="exact", description="a scorer")
    first_call: str | None = Field(default=None, description="the tool that a right loop calls first; null: none")
    _specs: tuple[Mapping[str, Any], ...] = PrivateAttr()

    @model_validator(mode="wrap")
    @classmethod
    def _keeps_tools(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Keep the tools as they are written: a template may show a model their fields in this order."""
        row = handler(given)
        row._specs = tuple(given["tools"])
        return row

    @model_validator(mode="after")
    def _names_agree(self) -> "ToolRow":
        names = [tool.function.name for tool in self.tools]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two tools are named '{duplicates[0]}'")
        if unused := sorted(set(self.backends) - set(names)):
            raise ValueError(f"'backends' has an entry '{unused[0]}', but there is no such tool")
        if self.first_call is not None and self.first_call not in names:
            raise ValueError(f"'first_call' names '{self.first_call}', but there is no such tool")
        return self

    @property
    def first_calls(self) -> frozenset[str] | None:
        """Tools of which the first call should be one; empty: no call; `None`: not known."""
        if "first_call" in self.model_fields_set:
            return frozenset() if self.first_call is None else frozenset({self.first_call})
        if self.skill == NO_TOOL:
            return frozenset()
        kind = KIND_OF_SKILL.get(self.skill)
        return frozenset(name for name, backend in self.backends.items() if backend.kind == kind) or None

    def item(self, number: int) -> Item:
        tools = Toolbox(self._specs, self.backends, self.first_calls)
        name = self.id or str(number)
        return Item(self.kind, name, self.skill, (self.question,), self.answer, self.scorer, tools=tools)
