"""Tools of the training data: calculators and lookups under varied names, among tools of other kinds.

A calculator takes one expression, `A + B`, `A - B`, `A * B` or `A / B`; a lookup takes one topic, such as `ruler of
Vorlan`. Arguments have one normal form, so that two models ask for the same call in the same words.
"""

import operator
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

Kind = Literal["calculator", "lookup"]
OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
}
EXPRESSION = re.compile(r"(\d+) ([-+*/]) (\d+)")
MAX_TOOLS = 3
COMPOSED = 0.6  # training share of the descriptions that are made of parts
INVENTED_NAMES, INVENTED_PARAMETERS = 0.6, 0.25  # training shares of those that say nothing about the tool

WORD_NAMES = 0.7  # share of the invented names that are made of known words
TRAINING_COUNTS, HELD_OUT_COUNTS = (3, 10, 7), (3, 4, 3)  # weights of one, two and three tools


@dataclass(frozen=True, slots=True)
class Offer:
    """One tool as it is offered: its schema in OpenAI's shape, and the parameter that takes the argument."""

    kind: Kind | Literal["other"]
    schema: dict[str, Any]
    parameter: str

    @property
    def name(self) -> str:
        """Name of the function."""
        name: str = self.schema["function"]["name"]
        return name

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return tuple(self.schema["function"]["parameters"]["properties"])


def value_of(expression: str) -> int | None:
    """Value of an expression in the normal form; None if it has another form or is no whole number."""
    match = EXPRESSION.fullmatch(expression.strip())
    if match is None:
        return None
    a, sign, b = int(match[1]), match[2], int(match[3])
    if sign == "/" and (b == 0 or a % b):
        return None
    return OPERATORS[sign](a, b)


@cache
def kinds() -> Mapping[str, Any]:
    """Load names, parameters and descriptions from `tools.yaml`."""
    found: Mapping[str, Any] = yaml.safe_load(resources.files("models.tiny").joinpath("tools.yaml").read_text("utf-8"))
    return found


def syllables(rng: random.Random, least: int, most: int) -> str:
    """Invent a word of `least` to `most` syllables in small letters."""
    return "".join(
        rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") + rng.choice(("", "", "l", "n", "r", "s"))
        for _ in range(rng.randint(least, most))
    )


@dataclass
class ToolMaker:
    """Makes offers. `held_out`: with names, parameters and descriptions of held-out questions."""

    rng: random.Random
    held_out: bool = False

    def offers(self, needed: Sequence[Kind], count: int | None = None) -> list[Offer]:
        """One to three (or `count`) tools in any order: those `needed`, then others; no two names are equal."""
        count = count or self.rng.choices((1, 2, 3), HELD_OUT_COUNTS if self.held_out else TRAINING_COUNTS)[0]
        made = [self.offer(kind) for kind in needed]
        others = self.rng.sample(kinds()["others"], MAX_TOOLS)
        made += [self._other(kind) for kind in others[: max(count - len(made), 0)]]
        self.rng.shuffle(made)
        return made if len({offer.name for offer in made}) == len(made) else self.offers(needed, count)

    def offer(self, kind: Kind) -> Offer:
        """Make a calculator or a lookup."""
        entry = kinds()[kind]
        words = entry["heldout"] if self.held_out else entry
        name = self.rng.choice(words["names"])
        if not self.held_out and self.rng.random() < INVENTED_NAMES:
            name = self._invented_name()
        parameter = self.rng.choice(words["parameters"])
        if not self.held_out and self.rng.random() < INVENTED_PARAMETERS:
            parameter = self._invented_name()
        description = self.rng.choice(words["descriptions"])
        if not self.held_out and self.rng.random() < COMPOSED:
            description = self._composed(entry)
        return Offer(kind, self._schema(name, description, [parameter], entry["parameter_descriptions"]), parameter)

    def _composed(self, entry: Mapping[str, Any]) -> str:
        """Make a description of a verb and an object."""
        while True:
            description = f"{self.rng.choice(entry['verbs'])} {self.rng.choice(entry['objects'])}."
            if description not in entry["heldout"]["descriptions"]:
                return description

    def _other(self, entry: Mapping[str, Any]) -> Offer:
        name = self.rng.choice(entry["heldout" if self.held_out else "names"])
        if not self.held_out and self.rng.random() < INVENTED_NAMES:
            name = self._invented_name()
        parameters = self.rng.choice(entry["parameters"])
        return Offer("other", self._schema(name, self.rng.choice(entry["descriptions"]), parameters), parameters[0])

    def _invented_name(self) -> str:
        while True:
            if self.rng.random() < WORD_NAMES:
                parts = self.rng.choices(name_words(), k=self.rng.randint(1, 3))
            else:
                parts = [syllables(self.rng, 1, 3) for _ in range(self.rng.randint(1, 2))]
            name = self.rng.choice(("_", "_", "-", "")).join(parts)
            if self.rng.random() < 0.15:
                name += f"_{self.rng.randint(1, 99)}"
            if name not in held_out_words():
                return name

    def _schema(
        self, name: str, description: str, parameters: Sequence[str], descriptions: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Schema in the orders of keys, and with the optional keys, that clients send."""
        titles, described, closed = (self.rng.random() < share for share in (0.15, 0.6, 0.3))
        properties = {}
        for parameter in parameters:
            schema: dict[str, Any] = {"title": parameter.replace("_", " ").title()} if titles else {}
            schema["type"] = "string"
            if described:
                schema["description"] = self.rng.choice(descriptions or (f"The {parameter.replace('_', ' ')}.",))
            properties[parameter] = schema
        required = {"required": list(parameters)}
        closing = {"additionalProperties": False} if closed else {}
        if self.rng.random() < 0.7:
            schema = {"type": "object", "properties": properties, **required, **closing}
        else:
            schema = {**closing, "properties": properties, **required, "type": "object"}
        return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


@cache
def name_words() -> tuple[str, ...]:
    """Words of the training tools' names."""
    return tuple(sorted({part for name in schema_words() for part in re.split(r"[_ ]", name)}))


@cache
def schema_words() -> tuple[str, ...]:
    """Names and parameters of training tools, and relations: texts that a call copies."""
    named = [kinds()[kind][words] for kind in ("calculator", "lookup") for words in ("names", "parameters")]
    named += [entry["names"] for entry in kinds()["others"]]
    return (*(name for names in named for name in names), *kinds()["relations"])


@cache
def held_out_words() -> frozenset[str]:
    """Names of tools that training excludes."""
    named = [*(kinds()[kind]["heldout"]["names"] for kind in ("calculator", "lookup"))]
    return frozenset(name for names in (*named, *(each["heldout"] for each in kinds()["others"])) for name in names)
