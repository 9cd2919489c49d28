"""Parsing of objects whose `type` says what they are: content parts, items, tools.

Pydantic's own unions name the member in the path of an error, which a caller would not recognise.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from serving.api.dialects.chat_errors import unsupported
from serving.api.schemas.wire import Wire, known
from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest, UnsupportedField
from serving.validation import first_issue, kind_of

Model = TypeVar("Model", bound=Wire)


def validated(raw: object, model: type[Model], path: str = "") -> Model:
    """`raw`, the field at `path` (the body itself by default), as a `model`.

    Raises:
        InvalidRequest: a value has the wrong type or is out of range.
        UnsupportedField: a field is unknown or not supported.
    """
    if isinstance(raw, model):
        return raw
    if not isinstance(raw, dict):
        raise InvalidRequest(f"Set '{path}' to an object, not {kind_of(raw)}.", path)
    prefix = f"{path}." if path else ""
    aliased = {field.alias for field in model.model_fields.values()} & set(raw)  # `known` goes by the fields' names
    given = known({name: value for name, value in raw.items() if name not in aliased}, model, prefix)
    try:
        return model.model_validate(given | {name: raw[name] for name in aliased})
    except ValidationError as error:
        issue = first_issue(error, prefix)
        if issue.kind == "extra_forbidden":
            raise UnsupportedField(issue.path, "there is no such field") from None
        raise InvalidRequest(issue.sentence, issue.path) from None


def member(
    raw: object, models: Mapping[str, type[Wire]], path: str, things: str, default: str | None = None
) -> tuple[type[Wire], dict[str, Any]]:
    """Model for the object `raw` by its `type`, and the object.

    Args:
        raw: the field at `path`.
        models: the supported types.
        path: where the object is, for errors.
        things: what the objects are called in errors, in the plural.
        default: type of an object without `type`; None: it is required.

    Raises:
        InvalidRequest: `raw` is not an object, or its type is missing.
        UnsupportedField: the type is not supported.
    """
    if not isinstance(raw, dict):
        raise InvalidRequest(f"Set '{path}' to an object, not {kind_of(raw)}.", path)
    kind = raw.get("type")
    kind = default if kind is None else kind
    if kind is None:
        raise InvalidRequest(f"Set '{path}.type': it is required.", f"{path}.type")
    if not isinstance(kind, str):
        raise InvalidRequest(f"Set '{path}.type' to a string, not {kind_of(kind)}.", f"{path}.type")
    if kind not in models:
        raise UnsupportedField(f"{path}.type", unsupported(f"{things} of the type", kind, tuple(models)))
    return models[kind], {**raw, "type": kind}


def parsed_parts(raw: object, models: Mapping[str, type[Wire]], path: str, things: str) -> object:
    """The entries of a list as the models of their types; anything but a list is returned for later validation.

    Args:
        raw: the field at `path`.
        models: the supported types.
        path: where the list is, for errors.
        things: what the entries are called in errors, in the plural.

    Raises:
        InvalidRequest: an entry is invalid.
        UnsupportedField: an entry's type or field is not supported.
    """
    if not isinstance(raw, list):
        return raw
    parts = []
    for index, part in enumerate(raw):
        model, fields = member(part, models, f"{path}[{index}]", things)
        parts.append(validated(fields, model, f"{path}[{index}]"))
    return parts


def check_max_tokens(name: str, wanted: int | None, settings: ApiSettings) -> None:
    """Check the field `name` against the operator's limit. Raises `InvalidRequest`."""
    if wanted is not None and wanted > settings.max_tokens:
        raise InvalidRequest(f"Set '{name}' to at most {settings.max_tokens}, not {wanted}.", name)
