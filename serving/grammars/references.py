"""References within a JSON schema: what they point at, and those that never end."""

from collections.abc import Mapping
from typing import Any

from serving.grammars.nodes import Place

HOPS = 16  # references in a row


class References:
    """Schemas of one document by their places."""

    def __init__(self, schemas: Mapping[Place, Any]) -> None:
        """`schemas`: everything that `walk` yields, by its place."""
        self._schemas = schemas
        self._targets = {place: self.place(reference) for place, reference in self._all()}

    def _all(self) -> list[tuple[Place, Any]]:
        return [
            (place, schema["$ref"])
            for place, schema in self._schemas.items()
            if isinstance(schema, dict) and "$ref" in schema
        ]

    def place(self, reference: object) -> Place | None:
        """Place of the schema that `reference` points at; None if it is none of this document that the engine finds."""
        if reference == "#":
            return ()
        if not isinstance(reference, str) or not reference.startswith("#/") or "~" in reference or "%" in reference:
            return None
        place = tuple(reference[2:].split("/"))
        return place if isinstance(self._schemas.get(place), dict) else None

    def resolved(self, schema: Any) -> Any:
        """`schema`, or what its reference points at in the end."""
        for _ in range(HOPS):
            if not isinstance(schema, dict) or "$ref" not in schema:
                break
            place = self.place(schema["$ref"])
            schema = None if place is None else self._schemas[place]
        return schema

    def endless(self) -> Place | None:
        """Place of the first reference to a schema of which every value would contain itself; None: there is none."""
        targets = {place for place in self._targets.values() if place is not None}
        within: dict[Place, set[Place]] = {target: set() for target in targets}  # targets whose schemas point at one
        for place, pointed in self._targets.items():
            if pointed is not None:
                within[pointed] |= {place[:size] for size in range(len(place) + 1)} & targets
        ending: set[Place] = set()
        left = {target: [self._schemas[target]] for target in targets}  # what has to end and is not known to
        waiting = [*targets]
        while waiting:
            place = waiting.pop()
            if place not in ending and self._ends(left[place], ending):
                ending.add(place)
                waiting.extend(within[place])
        return next((place for place, target in self._targets.items() if target in targets - ending), None)

    def _ends(self, waiting: list[Any], ending: set[Place]) -> bool:
        """True if all of `waiting` have a finite value, given the places of references for which that is known.

        Those that have one are removed, so that they are looked at once.
        """
        while waiting:
            one = waiting.pop()
            if not isinstance(one, dict):
                continue
            if "$ref" in one:
                if self.place(one["$ref"]) not in ending:
                    waiting.append(one)
                    return False
                continue
            for name in ("anyOf", "oneOf"):
                options = _list(one.get(name))
                if options and not any(self._ends([option], ending) for option in options):
                    waiting.append(one)
                    return False
            waiting.extend(_list(one.get("allOf")))
            if one.get("type", "object") == "object" and isinstance(properties := one.get("properties"), dict):
                waiting.extend(properties.get(name) for name in _list(one.get("required")) if isinstance(name, str))
            least = one.get("minItems", 0)
            if one.get("type", "array") == "array" and isinstance(least, int | float) and least > 0:
                first = _list(one.get("prefixItems"))
                waiting.extend(first[: int(least)])
                if least > len(first):
                    waiting.append(one.get("items"))
        return True


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
