"""Schemas that clients send: pydantic's, of many kinds of fields, and zod's. All pass, and hold what they say."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, SecretStr
from xgrammar import Grammar

from serving.errors import UnsupportedField
from serving.grammars.check import check_format
from serving.grammars.forms import for_grammar
from serving.grammars.limits import SchemaLimits
from serving.types import ResponseFormat


class Color(Enum):
    RED, BLUE = "red", "blue"


class Level(IntEnum):
    LOW, HIGH = 1, 2


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = Field(default=9, ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: Annotated[str, Field(min_length=1, max_length=255)]


class Tree(BaseModel):
    """A value that contains others of its kind."""

    label: str
    children: list["Tree"] = []


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid", title="All")

    text: str = Field(description="Words.", examples=["a"])
    optional: str | None = None
    union: int | str | list[float]
    flag: bool = True
    number: float = Field(gt=0, lt=1)
    multiple: int = Field(multiple_of=5)
    code: str = Field(pattern=r"^[A-Z]{2}-\d{4}$")
    color: Color
    level: Level
    literal: Literal["a", 1, None]
    constant: Literal["only"]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    pets: list[Cat | Dog] = Field(min_length=1, max_length=10)
    tree: Tree
    pair: tuple[int, str]
    mapping: dict[str, int]
    anything: Any
    objects: dict[str, Any]
    day: date
    at: datetime
    clock: time
    length: timedelta
    identity: UUID
    url: AnyUrl
    address: IPv4Address
    file: Path
    secret: SecretStr
    data: bytes
    price: Decimal


ZOD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "id": {
            "type": "string",
            "format": "uuid",
            "pattern": "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$",
        },
        "n": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        "nick": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "shape": {
            "oneOf": [
                {"type": "object", "properties": {"t": {"type": "string", "const": kind}}, "required": ["t"]}
                for kind in ("circle", "square")
            ]
        },
        "rest": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "number"}},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
    },
    "required": ["id", "n", "nick", "shape", "rest", "pair"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "schema",
    [*(model.model_json_schema() for model in (Everything, Tree, Cat, Dog)), ZOD],
    ids=["everything", "tree", "cat", "dog", "zod"],
)
def test_what_clients_send_is_accepted(schema: dict[str, Any]) -> None:
    check_format(ResponseFormat("json_schema", schema=schema), SchemaLimits())
    assert Grammar.from_json_schema(json.dumps(for_grammar(schema)))


class Unheld(BaseModel):
    tags: set[str]


def test_what_no_grammar_holds_is_refused_by_its_path() -> None:
    with pytest.raises(UnsupportedField) as caught:
        check_format(ResponseFormat("json_schema", schema=Unheld.model_json_schema(), path="s"), SchemaLimits())
    assert caught.value.param == "s.properties.tags.uniqueItems"
