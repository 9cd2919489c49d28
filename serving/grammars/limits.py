"""Settings: the largest rules for texts that are accepted before any engine sees them."""

from pydantic import Field

from serving.config import Frozen


class SchemaLimits(Frozen):
    """Limits of JSON schemas and other rules for texts. `python -m loadtest.grammar_cost` measures what they cost."""

    max_bytes: int = Field(
        default=2**17,
        ge=64,
        description="Maximum size of a schema or of a list of choices, in bytes of JSON.",
    )
    max_depth: int = Field(
        default=64,
        ge=4,
        le=100,
        description="Maximum number of nested objects and lists in a schema. A property takes two levels.",
    )
    max_properties: int = Field(default=1000, ge=1, description="Maximum number of properties in all of a schema.")
    max_optional_properties: int = Field(
        default=100,
        ge=1,
        description="Maximum number of properties of one object that are not in `required`: the cost grows with their"
        " square.",
    )
    max_enum_values: int = Field(
        default=2000, ge=1, description="Maximum number of values of `enum` in all of a schema, or of choices."
    )
    max_alternatives: int = Field(
        default=256,
        ge=1,
        description="Maximum number of alternatives in all of a schema: members of `anyOf` and `oneOf`, and types"
        " beyond the first.",
    )
    max_definitions: int = Field(default=256, ge=1, description="Maximum number of `$defs` and `definitions`.")
    max_prefix_items: int = Field(default=256, ge=1, description="Maximum number of members of `prefixItems` in all.")
    max_items: int = Field(default=10_000, ge=1, description="Maximum value of `minItems` and `maxItems`.")
    max_length: int = Field(default=100_000, ge=1, description="Maximum value of `minLength` and `maxLength`.")
    max_multiple: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="Maximum value of `multipleOf`. Above 1000 the grammar engine ignores it.",
    )
    max_patterns: int = Field(default=50, ge=1, description="Maximum number of patterns in all of a schema.")
    max_pattern_chars: int = Field(
        default=1024, ge=1, description="Maximum length of a pattern or of `structured_outputs.regex`, in characters."
    )
    max_repetition: int = Field(
        default=128,
        ge=1,
        description="Maximum number of repetitions in a pattern, such as 30 in `[a-z]{1,30}`; those of groups within"
        " groups are multiplied. Above 128 the engine would need some 0.1 s for each token.",
    )
    max_grammar_chars: int = Field(
        default=16_384, ge=1, description="Maximum length of `structured_outputs.grammar`, in characters."
    )
    tools_factor: int = Field(
        default=8,
        ge=1,
        description="The schemas of all tools of a request together may have so many times the bytes, properties,"
        " values, alternatives, definitions and patterns of one.",
    )
