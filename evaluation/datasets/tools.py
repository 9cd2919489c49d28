"""Questions with tools: rows of question, answer, tools (OpenAI's objects) and backends (by the tools' names).

`models/tiny/heldout_tools.jsonl` is such a file. The arm's calls are run by the backends (`evaluation.tools.backends`)
and their results sent back, until it answers with a text. A tool without a backend is offered to no use: its calls have
an error as their result. Optional fields: id, skill, scorer (default: `exact`), and
first_call, the name of the tool that a right loop calls first, or null for none. Without first_call, the skills
`calculate`, `lookup` and `none` tell the kind of that tool.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from evaluation.items import Item
from evaluation.scoring import SCORERS
from evaluation.tools.backends import Backend
from evaluation.tools.toolbox import Toolbox
from serving.config import Frozen
from serving.validation import first_issue

FIELDS = frozenset({"question", "answer", "tools", "backends"})
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


Id = Annotated[str, Field(coerce_numbers_to_str=True)]


class _ToolRow(Frozen):
    id: Id | None = None
    skill: str = ""
    question: str = Field(min_length=1)
    answer: Id
    tools: tuple[_Tool, ...] = Field(min_length=1)
    backends: dict[str, Backend]
    scorer: str = "exact"
    first_call: str | None = None

    @field_validator("scorer")
    @classmethod
    def _known(cls, scorer: str) -> str:
        if scorer not in SCORERS:
            raise ValueError(f"there is no scorer '{scorer}'; the scorers are: {', '.join(SCORERS)}")
        return scorer

    @model_validator(mode="after")
    def _names_agree(self) -> "_ToolRow":
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


def parse(row: Mapping[str, Any], index: int) -> Item:
    """Parse a row; `index` is the id of a row without one.

    Raises:
        ValueError: A field is missing, unknown or wrong; the message is one sentence with the field.
    """
    try:
        parsed = _ToolRow.model_validate(row)
    except ValidationError as error:
        raise ValueError(first_issue(error, whole="the row").sentence.rstrip(".")) from error
    return Item(
        "tools",
        parsed.id or str(index),
        parsed.skill,
        (parsed.question,),
        parsed.answer,
        parsed.scorer,
        tools=Toolbox(tuple(row["tools"]), parsed.backends, parsed.first_calls),
    )
