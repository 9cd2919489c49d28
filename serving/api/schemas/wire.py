"""Base of wire models, and the reading of a JSON body: nulls, hints without effect, and keys given twice."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError

from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest, UnsupportedField
from serving.failures import said
from serving.json_structure import collection_paused, has_more_values, levels
from serving.suggestions import nearest
from serving.validation import abbreviated, kind_of, path_of

Json = dict[str, Any]
SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')
TOO_DEEP = "depth limit exceeded"  # orjson's message beyond 1024 levels
MANY_BYTES = 2**14  # of a body that may have so many lists that the garbage collector would slow the parsing down


class Wire(BaseModel):
    """Base of wire models. Strict: a number in quotes is a wrong type. `null` means "not given".

    Attributes:
        neutral: fields that are not supported, with the values that ask for nothing and are accepted.
        reasons: of fields that are not supported, why, or what to use in their place.
        by_value: changes the schema of a model whose fields depend on the value of one of them.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = {}
    reasons: ClassVar[Mapping[str, str]] = {}
    by_value: ClassVar[Callable[[Json], None] | None] = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        if isinstance(given, dict) and None in given.values():
            return {name: value for name, value in given.items() if value is not None}
        return given

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema with what is accepted beyond the fields' types: nulls and neutral values."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        for name, field in schema.get("properties", {}).items():
            if name not in schema.get("required", ()):
                schema["properties"][name] = nullable(field)
        for name, values in cls.neutral.items():
            schema["properties"][name] = {"enum": [None, *values], "description": "Not supported."}
        if (change := cls.__dict__.get("by_value")) is not None:
            change(schema)
        return reference


def at_most(count: int) -> Callable[[object], object]:
    """Check that an object has at most `count` keys that are not null, and leave the others out."""

    def check(pairs: object) -> object:
        if not isinstance(pairs, dict):
            return pairs
        given = {name: value for name, value in pairs.items() if value is not None}
        # Before the pairs themselves: validating half a million invalid ones would take 1.5 s.
        if len(given) > count:
            raise PydanticKnownError(
                "too_long", {"field_type": "Dict", "max_length": count, "actual_length": len(given)}
            )
        return given

    return check


def variant(schema: Json, changes: Json, required: Collection[str]) -> Json:
    """Schema of an object like `schema`, with other fields and other required ones."""
    return {
        "type": "object",
        "properties": {**schema["properties"], **changes},
        "required": list(required),
        "additionalProperties": False,
    }


def nullable(field: JsonSchemaValue) -> JsonSchemaValue:
    """Schema of `field` or null."""
    options = field.get("anyOf", [])
    if {"type": "null"} in options or not {"type", "$ref", "anyOf", "allOf", "enum", "const"} & set(field):
        return field
    about: Json = {key: field[key] for key in ("title", "description", "default") if key in field}
    kind = {key: value for key, value in field.items() if key not in about}
    return {"anyOf": [*(options or [kind]), {"type": "null"}], **about}


def whole(value: Any) -> Any:
    """`value`, as an integer if it is a whole number: 2.0 is an integer in JSON Schema, and some clients write so."""
    return int(value) if type(value) is float and value.is_integer() and abs(value) < 2**63 else value


def known(raw: Mapping[str, Any], model: type[Wire], where: str = "") -> dict[str, Any]:
    """`raw` without nulls and without fields whose value asks for nothing. Raises `UnsupportedField`."""
    given = {}
    for name, value in raw.items():
        if value is None:
            continue
        value = whole(value)
        if name in model.model_fields:
            given[name] = value
        elif name in model.neutral or name in model.reasons:
            nothings = model.neutral.get(name, ())
            if not any(type(value) is type(nothing) and value == nothing for nothing in nothings):
                raise UnsupportedField(where + name, model.reasons.get(name, "it is not supported by this server"))
        else:
            similar = nearest(name, model.model_fields)
            hint = f" (did you mean '{similar}'?)" if similar else ""
            raise UnsupportedField(where + abbreviated(name), f"there is no such field{hint}")
    return given


def json_object(body: bytes, settings: ApiSettings) -> dict[str, Any]:
    """Parse a body.

    Raises:
        InvalidRequest: the body is not JSON or not an object, has more values or levels than `settings` allow, or an
            object has a key twice.
    """
    if len(body) > settings.max_body_values and has_more_values(body, settings.max_body_values):
        raise InvalidRequest(
            f"Shorten the body: it has more than {settings.max_body_values} keys, strings, objects and lists."
        )
    try:
        with collection_paused() if len(body) >= MANY_BYTES else nullcontext():
            raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if said(error).startswith(TOO_DEEP):
            raise _too_deep(settings.max_body_depth) from None
        try:
            body.decode()
        except UnicodeDecodeError as bad:
            raise InvalidRequest(f"Send the body in UTF-8: byte {bad.start} is not.") from None
        raise InvalidRequest(
            f"Send valid JSON: the body cannot be parsed at line {error.lineno}, column {error.colno}."
        ) from None
    if not isinstance(raw, dict):
        raise InvalidRequest(f"Send a JSON object as the body, not {kind_of(raw)}.")
    keys = _count_keys(raw, settings.max_body_depth)
    # orjson keeps the last of equal keys. Every key is followed by '":', which within texts is always '\":': as many
    # of them as keys prove that no key is given twice. Otherwise, as with a key that ends with a backslash, the slower
    # parser of the standard library finds out: 10 ms for 4 MB of text, 0.2 s for 65,000 objects of one key.
    colons = body.count(b'":')
    unique = colons == keys or (rb'\\":' not in body and colons - body.count(rb"\":") == keys)
    if not unique or SPACED_KEY.search(body) is not None:
        _check_keys(body)
    return raw


def _too_deep(max_depth: int) -> InvalidRequest:
    return InvalidRequest(f"Flatten the body: its JSON has more than {max_depth} levels of objects and lists.")


def _count_keys(raw: dict[str, Any], max_depth: int) -> int:
    """Count the keys of all objects. Raises `InvalidRequest` beyond `max_depth` levels."""
    count = 0
    for depth, level in enumerate(levels(raw), start=1):
        if depth > max_depth:
            raise _too_deep(max_depth)
        count += sum(len(value) for value in level if isinstance(value, dict))
    return count


class _Twice(dict[str, Any]):
    """An object that had a key twice."""

    key = ""


def _object(pairs: Sequence[tuple[str, Any]], found: list[_Twice]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    twice, seen = _Twice(plain), set()
    for key, _ in pairs:
        if key in seen:
            twice.key = key
            break
        seen.add(key)
    found.append(twice)
    return twice


def _check_keys(body: bytes) -> None:
    """Raise `InvalidRequest` if an object has a key twice."""
    found: list[_Twice] = []
    raw = json.loads(body, object_pairs_hook=partial(_object, found=found))
    waiting: list[tuple[tuple[int | str, ...], Any]] = [((), raw)] if found else []
    while waiting:
        location, value = waiting.pop()
        if isinstance(value, _Twice):
            path = path_of((*location, value.key))
            raise InvalidRequest(f"Remove one '{path}': it is given twice.", path)
        if isinstance(value, dict):
            waiting.extend(((*location, name), inner) for name, inner in value.items())
        elif isinstance(value, list):
            waiting.extend(((*location, index), inner) for index, inner in enumerate(value))


def check_length(given: Mapping[str, Any], limits: Mapping[str, int]) -> None:
    """Check the lengths of lists before their entries, whose validation takes longer. Raises `InvalidRequest`."""
    for name, limit in limits.items():
        if isinstance(entries := given.get(name), list) and len(entries) > limit:
            raise InvalidRequest(
                f"Shorten '{name}': it has {len(entries)} entries, at most {limit} are accepted.", name
            )
