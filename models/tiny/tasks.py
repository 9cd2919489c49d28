"""Generator of the questions for tools and for thinking: what the models cannot answer at once.

`calculate`: products, quotients, sums and differences of numbers with up to six digits. `lookup`: facts about invented
places. `chain`: sums of three to five numbers. `long_sum`: sums of two numbers with four or five digits.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from models.tiny.questions import BIG_LESS_SMALL, DIFFERENCES, SUMS
from models.tiny.tools import kinds, schema_words, syllables, value_of

TaskSkill = Literal["calculate", "lookup", "chain", "long_sum"]
PRODUCTS = (
    "What is {a} * {b}?",
    "Calculate {a} * {b}.",
    "How much is {a} times {b}?",
    "{a} * {b} = ?",
    "Multiply {a} by {b}.",
    "What is the product of {a} and {b}?",
    "What is {a} times {b}?",
    "Please work out {a} * {b}.",
    "Compute {a} * {b}.",
)
QUOTIENTS = (
    "What is {a} / {b}?",
    "Calculate {a} / {b}.",
    "How much is {a} divided by {b}?",
    "{a} / {b} = ?",
    "Divide {a} by {b}.",
    "What is {a} divided by {b}?",
    "Please work out {a} / {b}.",
    "Compute {a} / {b}.",
)
PHRASINGS = {"+": SUMS, "-": DIFFERENCES + BIG_LESS_SMALL, "*": PRODUCTS, "/": QUOTIENTS}
LOOKUPS = (
    "What is the {r} of {x}?",
    "Tell me the {r} of {x}.",
    "Name the {r} of {x}.",
    "Look up the {r} of {x}.",
    "I need the {r} of {x}.",
    "Find the {r} of {x}.",
    "{x}: what is its {r}?",
    "Do you know the {r} of {x}?",
    "Please find out the {r} of {x}.",
)
CHAINS = (
    "What is {c}?",
    "Calculate {c}.",
    "How much is {c}?",
    "{c} = ?",
    "Please work out {c}.",
    "Compute {c}.",
)
LARGEST_AT_ONCE = 999  # a number with up to three digits; the models add and subtract two of them at once


@dataclass(frozen=True, slots=True)
class Task:
    """A question with its answer, and the way to it: the argument of the call, or the steps of the thought."""

    skill: TaskSkill
    text: str
    answer: str
    argument: str = ""  # of `calculate` and `lookup`: the normal form of the expression or the topic
    steps: tuple[str, ...] = ()  # of `chain` and `long_sum`

    @property
    def key(self) -> str:
        """Key of the exclusion: the numbers in their order, or the place; no held-out key occurs in training."""
        if self.skill == "lookup":
            return self.argument.rpartition(" of ")[2].lower()
        return self.argument or self.steps[0] + self.steps[1]


@dataclass
class TaskMaker:
    """Makes random tasks whose keys are not in `held_out`."""

    rng: random.Random
    held_out: frozenset[str] = field(default_factory=frozenset)

    def ask(self, skill: TaskSkill) -> Task:
        """Make a task of `skill`."""
        make = {"calculate": self._calculate, "lookup": self._lookup, "chain": self._chain, "long_sum": self._long_sum}
        while True:
            task = make[skill]()
            if task.key not in self.held_out:
                return task

    def copied(self) -> str:
        """Make a text to copy: expressions, topics, names of tools and numbers in any order."""
        parts = []
        for _ in range(self.rng.randint(1, 4)):
            kind = self.rng.randrange(6)
            if kind == 0:
                parts.append(self.ask("calculate").argument)
            elif kind == 1:
                parts.append(self.ask("lookup").argument)
            elif kind == 2:
                parts.append(f"{syllables(self.rng, 1, 3)}_{syllables(self.rng, 1, 3)}")
            elif kind == 3:
                parts.append(str(self._number(1, 9)))
            elif kind == 4:
                parts.append(self.rng.choice(schema_words()))
            else:
                parts.append(self.value())
        return self.rng.choice((" ", ", ", "\n")).join(parts)

    def place(self) -> str:
        """Invent a name."""
        return syllables(self.rng, 2, 3).capitalize()

    def value(self) -> str:
        """Invent the value of a fact: a name, two names or a number."""
        kind = self.rng.random()
        if kind < 0.65:
            return self.place()
        return f"{self.place()} {self.place()}" if kind < 0.75 else str(self.rng.randint(10, 9_999))

    def entries(self, task: Task) -> dict[str, str]:
        """Entries of a lookup that has the task's topic, another fact of its place and two of other places."""
        relation, _, place = task.argument.rpartition(" of ")
        others = self.rng.sample([each for each in relations() if each != relation], 2)
        topics = [task.argument, f"{others[0]} of {place}"]
        topics += [f"{each} of {self.place()}" for each in (relation, others[1])]
        found = {topic: task.answer if topic == task.argument else self.value() for topic in topics}
        return dict(sorted(found.items()))

    def _number(self, least: int, most: int) -> int:
        """Number with `least` to `most` digits."""
        digits = self.rng.randint(least, most)
        return self.rng.randrange(10 ** (digits - 1), 10**digits)

    def _calculate(self) -> Task:
        sign = self.rng.choice("**//+-")
        if sign == "*":
            a, b = self._number(2, 5), self._number(2, 4)
        elif sign == "/":
            b = self._number(1, 3)
            a = b * self._number(2, 4)
        else:
            a, b = self._number(4, 6), self._number(4, 6)
            a, b = (max(a, b), min(a, b)) if sign == "-" else (a, b)
        expression = f"{a} {sign} {b}"
        text = self.rng.choice(PHRASINGS[sign]).format(a=a, b=b)
        return Task("calculate", self._styled(text), str(value_of(expression)), expression)

    def _lookup(self) -> Task:
        relation, place = self.rng.choice(relations()), self.place()
        text = self.rng.choice(LOOKUPS).format(r=relation, x=place)
        return Task("lookup", self._styled(text), self.value(), f"{relation} of {place}")

    def _chain(self) -> Task:
        while True:
            numbers = [self._number(1, 3) for _ in range(self.rng.randint(3, 5))]
            signs = [self.rng.choice("++-") for _ in numbers[1:]]
            totals = [numbers[0]]
            for sign, number in zip(signs, numbers[1:], strict=True):
                totals.append(totals[-1] + number if sign == "+" else totals[-1] - number)
            if all(0 <= total <= LARGEST_AT_ONCE for total in totals):
                break
        moves = [(sign, number) for sign, number in zip(signs, numbers[1:], strict=True)]
        chain = str(numbers[0]) + "".join(f" {sign} {number}" for sign, number in moves)
        steps = [
            f"{before} {sign} {number} = {after}"
            for before, (sign, number), after in zip(totals, moves, totals[1:], strict=False)
        ]
        text = self.rng.choice(CHAINS).format(c=chain)
        return Task("chain", self._styled(text), str(totals[-1]), steps=tuple(steps))

    def _long_sum(self) -> Task:
        a, b = self._number(4, 5), self._number(4, 5)
        text = self.rng.choice(SUMS).format(a=a, b=b)
        return Task("long_sum", self._styled(text), str(a + b), steps=_by_thousands(a, b))

    def _styled(self, text: str) -> str:
        """Vary the final punctuation, as users do. Letters keep their case: a topic is copied."""
        return text.rstrip("?.! =") if self.rng.random() < 0.3 else text


def relations() -> Sequence[str]:
    """The relations of lookups."""
    found: Sequence[str] = kinds()["relations"]
    return found


def _by_thousands(a: int, b: int) -> tuple[str, ...]:
    """Steps of a long sum: split both numbers before the last three digits, add these, then the thousands."""
    (high_a, low_a), (high_b, low_b) = divmod(a, 1000), divmod(b, 1000)
    low, high = low_a + low_b, high_a + high_b
    steps = [
        f"{a} = {high_a} {low_a:03}",
        f"{b} = {high_b} {low_b:03}",
        f"{low_a:03} + {low_b:03} = {low:03}",
        f"{high_a} + {high_b} = {high}",
    ]
    if low > LARGEST_AT_ONCE:
        steps.append(f"{high} + 1 = {high + 1}")
    return tuple(steps)
