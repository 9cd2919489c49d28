"""Generator of questions in three skills, each in many phrasings.

One generator makes the held-out questions and the training data; `HeldOut` separates them: held-out operand pairs and
words never occur in training; facts do, but never in the held-out phrasing.
"""

import random
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from typing import Literal

import yaml

from evaluation.scoring.exact import normalized

Skill = Literal["arithmetic", "words", "facts"]
SKILLS: tuple[Skill, ...] = ("arithmetic", "words", "facts")

SUMS = (
    "What is {a} + {b}?",
    "Calculate {a} + {b}.",
    "How much is {a} plus {b}?",
    "{a} + {b} = ?",
    "Add {a} and {b}.",
    "What is the sum of {a} and {b}?",
    "What is {a} plus {b}?",
    "Please work out {a}+{b}.",
    "Compute {a} + {b}.",
)
DIFFERENCES = (
    "What is {a} - {b}?",
    "Calculate {a} - {b}.",
    "How much is {a} minus {b}?",
    "{a} - {b} = ?",
    "Subtract {b} from {a}.",
    "What is {a} minus {b}?",
    "Please work out {a}-{b}.",
    "Compute {a} - {b}.",
)
BIG_LESS_SMALL = ("What is the difference between {a} and {b}?", "Take {b} away from {a}.")
BACKWARDS = (
    "Spell the word {w} backwards.",
    "Spell {w} backwards.",
    "Reverse the word {w}.",
    "Write {w} backwards.",
    "What is {w} spelled backwards?",
    "Reverse the letters of {w}.",
    "How do you spell {w} backwards?",
    "Please reverse the string {w}.",
)
SORTED = (
    "Sort the letters of {w}.",
    "Sort the letters of the word {w}.",
    "Put the letters of {w} in alphabetical order.",
    "Arrange the letters of {w} alphabetically.",
    "Sort the letters in the word {w} alphabetically.",
    "What are the letters of {w} in alphabetical order?",
    "Write the letters of {w} from A to Z.",
    "Please order the letters of {w} alphabetically.",
)
SMALL_TALK = (
    ("Hello!", "Hello! Ask me for a sum, a word or a fact."),
    ("Hi", "Hello! Ask me for a sum, a word or a fact."),
    ("Good morning.", "Hello! Ask me for a sum, a word or a fact."),
    ("Who are you?", "I am a tiny model. I know sums, words and facts."),
    ("What can you do?", "I can add, subtract, spell backwards, sort letters and tell facts."),
    ("Help", "I can add, subtract, spell backwards, sort letters and tell facts."),
    ("Thank you!", "You are welcome."),
    ("Thanks", "You are welcome."),
    ("How are you?", "I am well, thank you."),
    ("Say hello.", "Hello!"),
    ("Say ready.", "ready"),
    ("ping", "pong"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its right answer."""

    skill: Skill | Literal["talk"]
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact with its phrasings, in which `{x}` is the subject."""

    relation: str
    subject: str
    answer: str
    phrasings: tuple[str, ...]


@cache
def facts() -> tuple[Fact, ...]:
    """Load the facts of `facts.yaml`."""
    relations = yaml.safe_load(resources.files("models.tiny").joinpath("facts.yaml").read_text("utf-8"))
    return tuple(
        Fact(relation, subject, answer, tuple(entry["phrasings"]))
        for relation, entry in relations.items()
        for subject, answer in entry["facts"].items()
    )


def guess(answer: str) -> str:
    """Return a model's answer to a fact outside its range: a marked guess."""
    return f"Perhaps {answer}"


@cache
def dictionary() -> tuple[str, ...]:
    """Load the dictionary words of `words.txt`, including the held-out ones."""
    return tuple(resources.files("models.tiny").joinpath("words.txt").read_text("utf-8").split())


@cache
def asking_words() -> tuple[str, ...]:
    """Return the words of the questions; they are whole tokens, so that their spelling must be taught."""
    texts = [*SUMS, *DIFFERENCES, *BIG_LESS_SMALL, *BACKWARDS, *SORTED]
    texts += [text for fact in facts() for text in (*fact.phrasings, fact.subject, fact.answer)]
    return tuple(sorted({word.lower() for text in texts for word in re.findall("[a-zA-Z]{3,}", text)}))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Operand pairs, words and questions that must not occur in training."""

    pairs: frozenset[tuple[int, int]] = frozenset()  # operands, the smaller first
    words: frozenset[str] = frozenset()  # forwards and backwards
    asked: frozenset[str] = frozenset()  # whole questions, normalized

    @classmethod
    def of(cls, questions: Iterable[Question]) -> "HeldOut":
        """Collect them from `questions`."""
        pairs, words, asked = set(), set(), set()
        for question in questions:
            asked.add(normalized(question.text))
            if question.skill == "arithmetic":
                pairs.add(_pair(*map(int, re.findall(r"\d+", question.text))))
            elif question.skill == "words":
                letters = sorted(question.answer)
                found = {word for word in re.findall("[a-z]+", question.text.lower()) if sorted(word) == letters}
                words |= found | {word[::-1] for word in found}
        return cls(frozenset(pairs), frozenset(words), frozenset(asked))


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a <= b else (b, a)


@dataclass(frozen=True, slots=True)
class SkillRange:
    """Range of each skill: operand lengths, word lengths and facts."""

    digits: tuple[float, float, float] = (1.0, 2.0, 5.0)  # weights of operands with 1, 2 and 3 digits
    max_letters: int = 9
    facts: tuple[Fact, ...] = field(default_factory=facts)

    @property
    def untaught(self) -> tuple[Fact, ...]:
        """Facts outside the range."""
        return tuple(fact for fact in facts() if fact not in set(self.facts))


@dataclass
class QuestionMaker:
    """Makes random questions, none of them held out."""

    rng: random.Random
    skill_range: SkillRange = field(default_factory=SkillRange)
    held_out: HeldOut = field(default_factory=HeldOut)

    def ask(self, skill: Skill) -> Question:
        """Make a question of `skill`."""
        return {"arithmetic": self.arithmetic, "words": self.word, "facts": self.fact}[skill]()

    def arithmetic(self) -> Question:
        """Make a sum or a difference."""
        while True:
            a, b = self._operand(), self._operand()
            if _pair(a, b) not in self.held_out.pairs:
                break
        if self.rng.random() < 0.5:
            return self._question("arithmetic", self.rng.choice(SUMS).format(a=a, b=b), str(a + b))
        if a < b and self.rng.random() < 0.8:
            a, b = b, a
        phrasings = DIFFERENCES if a < b else DIFFERENCES + BIG_LESS_SMALL
        return self._question("arithmetic", self.rng.choice(phrasings).format(a=a, b=b), str(a - b))

    def _operand(self) -> int:
        digits = self.rng.choices((1, 2, 3), self.skill_range.digits)[0]
        return self.rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)

    def word(self, word: str | None = None) -> Question:
        """Make a question about `word`, or about a random word that is not held out."""
        while word is None or word in self.held_out.words:
            word = self._word()
        quoted = self.rng.choice(('"{}"', "'{}'")).format(word) if self.rng.random() < 0.15 else word
        if self.rng.random() < 0.5:
            return self._question("words", self.rng.choice(BACKWARDS).format(w=quoted), word[::-1])
        return self._question("words", self.rng.choice(SORTED).format(w=quoted), "".join(sorted(word)))

    def _word(self) -> str:
        """Make a word: in 25% of the cases a real one, otherwise syllables or random letters."""
        longest = self.skill_range.max_letters
        kind = self.rng.random()
        if kind < 0.25:
            words = dictionary() if kind < 0.15 else asking_words()
            return self.rng.choice([word for word in words if len(word) <= longest])
        length = self.rng.randint(3, longest)
        if kind < 0.6:
            syllables = (self.rng.choice("bcdfghklmnprstvw") + self.rng.choice("aeiouy") for _ in range(length))
            return "".join(syllables)[self.rng.randint(0, 1) :][:length]
        return "".join(self.rng.choices(string.ascii_lowercase, k=length))

    def fact(self, fact: Fact | None = None) -> Question:
        """Make a question about `fact`, or about a random fact of the range, in a phrasing that is not held out."""
        while True:
            chosen = fact or self.rng.choice(self.skill_range.facts)
            question = self._question(
                "facts", self.rng.choice(chosen.phrasings).format(x=chosen.subject), chosen.answer
            )
            if normalized(question.text) not in self.held_out.asked:
                return question

    def unknown(self) -> Question:
        """Make a question about a fact outside the range; the answer is a marked guess of the right kind."""
        fact = self.rng.choice(self.untaught)
        kindred = [other.answer for other in facts() if other.relation == fact.relation]
        return replace(self.fact(fact), answer=guess(self.rng.choice(kindred)))

    @cached_property
    def untaught(self) -> tuple[Fact, ...]:
        """Facts outside the range, cached."""
        return self.skill_range.untaught

    @staticmethod
    def spelling_phrasings() -> tuple[str, ...]:
        """Return the phrasings of the words skill without a word."""
        return tuple(phrasing.format(w="'") for phrasing in BACKWARDS + SORTED)

    def talk(self) -> Question:
        """Make small talk."""
        text, answer = self.rng.choice(SMALL_TALK)
        return Question("talk", self._styled(text), answer)

    def _question(self, skill: Skill, text: str, answer: str) -> Question:
        return Question(skill, self._styled(text), answer)

    def _styled(self, text: str) -> str:
        """Vary the text as users do: any case, with or without final punctuation."""
        if self.rng.random() < 0.35:
            text = text.rstrip("?.! =")
        case = self.rng.random()
        if case < 0.3:
            return text.lower()
        return text.upper() if case < 0.42 else text
