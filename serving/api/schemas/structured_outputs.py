"""vLLM's `structured_outputs`: a rule that the text of the answer satisfies."""

from typing import Annotated, Any

from pydantic import FailFast, Field

from serving.api.schemas.wire import Json, Wire, variant

KINDS = ("json", "json_object", "regex", "choice", "grammar", "structural_tag")
WHOLE_ENGINE = "it is an option of the engine, not of a request"
Rule = Annotated[str, Field(min_length=1, max_length=65_536)]


def _one_kind(schema: Json) -> None:
    about: Json = {key: schema[key] for key in ("title", "description") if key in schema}
    unused: Json = {kind: {"type": "null"} for kind in KINDS}
    variants = []
    for kind in KINDS:
        given = next(option for option in schema["properties"][kind]["anyOf"] if option != {"type": "null"})
        given = {"const": True} if kind == "json_object" else given
        variants.append(variant(schema, {**unused, "json_object": {"enum": [None, False]}, kind: given}, (kind,)))
    schema.clear()
    schema.update({**about, "oneOf": variants})


class StructuredOutputsBody(Wire):
    """Exactly one rule for the text of the answer."""

    by_value = _one_kind
    neutral = {
        "disable_any_whitespace": (False,),
        "disable_additional_properties": (False,),
        "whitespace_pattern": (),
    }
    reasons = dict.fromkeys(neutral, WHOLE_ENGINE)

    schema_: dict[str, Any] | None = Field(default=None, alias="json")
    json_object: bool = False
    regex: Rule | None = None
    choice: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1024)]], FailFast(), Field(min_length=1, max_length=1024)
    ] = []
    grammar: Rule | None = None
    structural_tag: Rule | None = None
