from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from serving.validation import first_issue


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = Field(default=1, ge=1, lt=9)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=2)
    kind: Literal["a", "b"] = "a"
    inner: list[Inner] = Field(default=[], max_length=2)
    pairs: dict[str, Annotated[str, Field(max_length=3)]] = {}
    ratio: float = Field(default=0, gt=-1, le=1, allow_inf_nan=False)
    on: bool = False
    pattern: str = Field(default="x", pattern="^x")
    key: SecretStr | tuple[SecretStr, ...] | None = None
    role: str | tuple[str, ...] = "a"

    @field_validator("name")
    @classmethod
    def _not_taken(cls, name: str) -> str:
        if name == "taken":
            raise ValueError("'taken' is taken; choose another.")
        return name


@pytest.mark.parametrize(
    ("fields", "path", "sentence"),
    [
        ({"name": None}, "name", "Set 'name' to a string, not null."),
        ({"name": "x"}, "name", "Give 'name' at least 2 characters."),
        ({"name": "taken"}, "name", "Change 'name': 'taken' is taken; choose another."),
        ({"kind": "c"}, "kind", "Set 'kind' to 'a' or 'b', not \"c\"."),
        ({"kind": ["c"]}, "kind", "Set 'kind' to 'a' or 'b', not a list."),
        ({"inner": {}}, "inner", "Set 'inner' to a list, not an object."),
        ({"inner": [{}] * 3}, "inner", "Give 'inner' at most 2 entries."),
        ({"inner": [{}, {"size": 0}]}, "inner[1].size", "Set 'inner[1].size' to at least 1, not 0."),
        ({"inner": [{"size": 9}]}, "inner[0].size", "Set 'inner[0].size' to less than 9, not 9."),
        ({"inner": [{"size": "big"}]}, "inner[0].size", "Set 'inner[0].size' to an integer, not a string."),
        ({"inner": [{"length": 1}]}, "inner[0].length", "Remove 'inner[0].length': there is no such field."),
        ({"inner": [3]}, "inner[0]", "Set 'inner[0]' to an object, not a number."),
        ({"pairs": {"a": "long"}}, "pairs.a", "Give 'pairs.a' at most 3 characters."),
        ({"ratio": -1}, "ratio", "Set 'ratio' to more than -1, not -1."),
        ({"ratio": 1.5}, "ratio", "Set 'ratio' to at most 1, not 1.5."),
        ({"ratio": float("nan")}, "ratio", "Set 'ratio' to a finite number, not a number."),
        ({"on": "perhaps"}, "on", "Set 'on' to true or false, not a string."),
        ({"key": 3}, "key", "Set 'key' to a string or a list, not a number."),
        ({"key": ["a", 3]}, "key[1]", "Set 'key[1]' to a string, not a number."),
        ({"role": {}}, "role", "Set 'role' to a string or a list, not an object."),
        ({"role": ["a", None]}, "role[1]", "Set 'role[1]' to a string, not null."),
        ({"str": 3}, "str", "Remove 'str': there is no such field."),
        ({"pattern": "y"}, "pattern", "Change 'pattern': string should match pattern '^x'."),
    ],
)
def test_the_first_thing_that_is_wrong_in_one_sentence(fields: dict[str, Any], path: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"name": "ok", **fields})
    found = first_issue(caught.value)
    assert (found.path, found.sentence) == (path, sentence)


def test_what_is_missing_and_where() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({})
    assert first_issue(caught.value, "moa.").sentence == "Set 'moa.name': it is required."


def test_a_required_field_with_a_typing_error() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"nmae": "ok", "size": 3})
    assert first_issue(caught.value).sentence == "Rename 'nmae' to 'name': there is no field 'nmae'."


def test_what_is_wrong_with_no_single_field_is_wrong_with_the_whole() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate([])
    assert first_issue(caught.value, "moa.", "the recipe").sentence == "Set 'the recipe' to an object, not a list."


def test_huge_input_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"name": "ok", "kind": "x" * 10_000})
    assert len(first_issue(caught.value).sentence) < 100
