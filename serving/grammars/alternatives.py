"""Members of `oneOf`, which a grammar can tell apart: no value fits two of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import orjson

from serving.grammars.references import References

NUMBERS = frozenset({"integer", "number"})
MAX_COMPARISONS = 200_000  # of values, some 60 ms. 256 entries with one 'const' each take 65,000 at most.


class TooManyComparisons(Exception):
    """The entries of `oneOf` cannot be distinguished within the budget."""


@dataclass(slots=True)
class Budget:
    """Comparisons of values that are left, for all schemas of a request together."""

    left: int = MAX_COMPARISONS

    def spend(self, count: int) -> None:
        """Take `count` comparisons. Raises `TooManyComparisons` if fewer are left."""
        self.left -= count
        if self.left < 0:
            raise TooManyComparisons


@dataclass(frozen=True, slots=True)
class _Option:
    """Facts of one member. Values are JSON; None: they are not listed."""

    values: frozenset[bytes] | None
    kinds: frozenset[str]
    required: frozenset[str]
    properties: dict[str, frozenset[bytes]]  # those whose values are listed, the fewest values first


class Alternatives:
    """Members of every `oneOf` of one document. What references point at is read once."""

    def __init__(self, references: References, budget: Budget) -> None:
        self._references, self._budget = references, budget
        self._values: dict[int, frozenset[bytes] | None] = {}  # by the identity of a schema, which the document keeps
        self._options: dict[int, _Option] = {}

    def overlapping(self, options: list[Any]) -> int | None:
        """Index of the first of `options` that cannot be distinguished from one before it; None if all can.

        Two are distinguished by their types, by their values, or by a property that is required in at least one of them
        and whose values in the two differ.

        Raises:
            TooManyComparisons: it would take more comparisons of values than the budget has.
        """
        known = [self._option(self._references.resolved(option)) for option in options]
        if (whole := [one for one in known if one is not None]) and len(whole) == len(known) and self._by_one(whole):
            return None
        for (_, first), (index, second) in combinations(enumerate(known), 2):
            if first is None or second is None or not self._apart(first, second):
                return index
        return None

    def _option(self, schema: Any) -> _Option | None:
        if not isinstance(schema, dict):
            return None
        if (known := self._options.get(id(schema))) is not None:
            return known
        properties = schema.get("properties")
        listed = [
            (name, values)
            for name, value in (properties if isinstance(properties, dict) else {}).items()
            if (values := self._listed(self._references.resolved(value))) is not None
        ]
        values, required = self._listed(schema), frozenset(_names(schema.get("required")))
        found = _Option(values, _kinds(schema), required, dict(sorted(listed, key=lambda one: len(one[1]))))
        self._options[id(schema)] = found
        return found

    def _listed(self, schema: Any) -> frozenset[bytes] | None:
        if id(schema) not in self._values:
            self._values[id(schema)] = _values(schema)
        return self._values[id(schema)]

    def _by_one(self, options: list[_Option]) -> bool:
        """True if one property that all require tells all apart, in work that grows with their number."""
        for name in options[0].properties:
            seen: set[bytes] = set()
            for option in options:
                values = option.properties.get(name)
                if values is None or name not in option.required or option.kinds != {"object"}:
                    break
                self._budget.spend(1 + len(values))
                if not seen.isdisjoint(values):
                    break
                seen |= values
            else:
                return True
        return False

    def _apart(self, first: _Option, second: _Option) -> bool:
        if first.values is not None and second.values is not None:
            return self._disjoint(first.values, second.values)
        kinds, others = first.kinds, second.kinds
        self._budget.spend(1)
        if kinds and others and kinds.isdisjoint(others) and (kinds.isdisjoint(NUMBERS) or others.isdisjoint(NUMBERS)):
            return True
        if kinds != others or len(kinds) > 1:
            return False
        self._budget.spend(len(first.properties))
        return any(
            name in second.properties
            and (name in first.required or name in second.required)
            and self._disjoint(values, second.properties[name])
            for name, values in first.properties.items()
        )

    def _disjoint(self, first: frozenset[bytes], second: frozenset[bytes]) -> bool:
        if first is second:
            return not first
        self._budget.spend(1 + min(len(first), len(second)))
        return first.isdisjoint(second)


def _kinds(schema: dict[str, Any]) -> frozenset[str]:
    """Types of the values, as far as the schema says."""
    if "const" in schema:
        return frozenset({kind_of_json(schema["const"])})
    if isinstance(schema.get("enum"), list):
        return frozenset(kind_of_json(value) for value in schema["enum"])
    given = schema.get("type")
    if given is None:
        return frozenset({"object"} if "properties" in schema else ())
    return frozenset(_names([given] if isinstance(given, str) else given))


def _values(schema: Any) -> frozenset[bytes] | None:
    """The only possible values, as JSON; None if the schema does not list them."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return frozenset({_json(schema["const"])})
    if isinstance(schema.get("enum"), list):
        return frozenset(_json(value) for value in schema["enum"])
    return None


def _json(value: Any) -> bytes:
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    """`value` with 1.0 as 1. A float beyond 64 bits equals no integer that JSON is read into."""
    match value:
        case float() if value.is_integer() and -(2**63) <= value < 2**64:
            return int(value)
        case list():
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case _:
            return value


def _names(value: object) -> Iterable[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def kind_of_json(value: Any) -> str:
    """Type of a value, as JSON Schema calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
