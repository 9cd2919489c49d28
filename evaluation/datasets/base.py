"""Base of the dataset kinds: one class per row format, which checks a row and turns it into an `Item`."""

import ast
import json
import tokenize
from abc import abstractmethod
from collections.abc import Mapping
from io import StringIO
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from evaluation.items import Item
from evaluation.scoring import checked_scorer
from serving.config import Frozen


class LeftOut(Exception):
    """Raised by `DatasetRow.item` for a row that the dataset itself marks as unusable; `str(error)` is the reason."""


def _written(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty")
    return text


Text = Annotated[str, AfterValidator(_written)]  # a text that is not blank
Value = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_written)]  # also a number
Id = Annotated[str, Field(coerce_numbers_to_str=True)]
ScorerName = Annotated[str, AfterValidator(checked_scorer)]


class DatasetRow(Frozen):
    """One row of a dataset file.

    A kind of your own is a subclass, named as `module:Class`: its fields with their types, and `item`. The class is
    validated with every row before the first question is asked.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    kind: ClassVar[str] = ""  # the name of the kind
    scored_by: ClassVar[str] = ""  # the scorer, or "a judge"; for the documentation
    example: ClassVar[Mapping[str, Any]] = {}  # a row, for the documentation
    names: ClassVar[Mapping[str, str]] = {}  # fields by their other names in published files
    null_means: ClassVar[frozenset[str]] = frozenset()  # fields whose null is not the same as their default
    unused: ClassVar[frozenset[str]] = frozenset()  # columns of published files that no question needs

    @model_validator(mode="before")
    @classmethod
    def _named_as_here(cls, given: Any) -> Any:
        """Replace other names of fields, and drop nulls of fields that have a default."""
        if not isinstance(given, Mapping):
            return given
        own = {name: value for name, value in given.items() if name not in cls.names}
        others = {cls.names[name]: value for name, value in given.items() if name in cls.names}
        kept = cls.required() | cls.null_means
        return {name: value for name, value in (others | own).items() if value is not None or name in kept}

    @classmethod
    def required(cls) -> frozenset[str]:
        """Names of the fields that a row must have."""
        return frozenset(name for name, field in cls.model_fields.items() if field.is_required())

    @classmethod
    def known(cls) -> frozenset[str]:
        """Names of all fields and columns of the format."""
        return frozenset(cls.model_fields) | cls.names.keys() | cls.unused

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        """Return True if the row's fields show that it is of this kind."""
        return cls.required() <= row.keys()

    @abstractmethod
    def item(self, number: int) -> Item:
        """Return the question; `number`, the row's place in the file from 1, is the id of a row without one.

        Raises:
            ValueError: The fields do not agree with each other.
            LeftOut: The dataset marks the row as unusable.
        """


def listed(value: Any) -> Any:
    """Return the list that a text holds, as cells of CSV files do: in JSON or as Python writes it.

    Any other value is returned unchanged.

    Raises:
        ValueError: The text is no list of texts.
    """
    if not isinstance(value, str):
        return value
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | tuple):
            if parse is ast.literal_eval and _joins_texts(value):
                raise ValueError('commas are missing between its texts; write a list such as ["a", "b"]')
            return list(found)
    raise ValueError('it is a text, not a list such as ["a", "b"]')


def _joins_texts(source: str) -> bool:
    """True for two texts side by side, as NumPy writes arrays: Python joins them into one."""
    kinds = [token.type for token in tokenize.generate_tokens(StringIO(source.strip()).readline)]
    kinds = [kind for kind in kinds if kind not in (tokenize.NL, tokenize.NEWLINE)]
    return (tokenize.STRING, tokenize.STRING) in pairwise(kinds)
