"""Multiple choice: the forms in which files write the choices and the right one, and the question for the model."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from evaluation.datasets.base import Text, Value, listed
from evaluation.items import Item

LETTERS = "ABCDEFGHIJ"  # as many as the scorer reads
PROMPT = "{question}\n\n{choices}\n\nAnswer with the letter of the right choice, as in 'Answer: C'."


def _texts(value: Any) -> Any:
    """Texts of a list, of a text that holds a list, or of an object: by letter, or of the lists `text` and `label`."""
    value = listed(value)
    if not isinstance(value, dict):
        return value
    if "text" in value:
        return value["text"]
    named = [letter for letter in LETTERS if letter in value]
    if not named or len(named) < len(value) or named != list(LETTERS[: len(named)]):
        raise ValueError("an object of choices has the letters A, B, ... or the lists 'text' and 'label'")
    return [value[letter] for letter in named]


Choices = Annotated[tuple[Value, ...], BeforeValidator(_texts), Field(min_length=2, max_length=len(LETTERS))]


def index_of(answer: int | str, choices: Sequence[str]) -> int:
    """Return the index of the right choice, which a file writes as an index from 0, a letter, or the choice's text.

    Raises:
        ValueError: It is none of them, or an index in digits that is also the text of another choice.
    """
    letters = f"the letters A to {LETTERS[len(choices) - 1]}"
    if isinstance(answer, int):
        if not 0 <= answer < len(choices):
            raise ValueError(f"'answer' is {answer}, but the choices have the indices 0 to {len(choices) - 1}")
        return answer
    plain = answer.strip()
    bare = re.fullmatch(r"\(?([A-Za-z])[).]?", plain)
    if bare and bare.group(1).upper() in LETTERS[: len(choices)]:
        return LETTERS.index(bare.group(1).upper())
    same = [place for place, choice in enumerate(choices) if choice.strip() == plain]
    if plain.isdecimal() and int(plain) < len(choices):
        same = sorted({int(plain), *same})
    if len(same) > 1:
        raise ValueError(f"'answer' is '{plain}', which means several choices; write one of {letters}")
    if not same:
        raise ValueError(f"'answer' is '{plain[:40]}', which is none of {letters}, no index and no choice")
    return same[0]


def choice_item(kind: str, name: str, skill: str, question: Text, choices: Sequence[str], right: Sequence[int]) -> Item:
    """Return the item of a question; `right` has the indices of the right choices, mostly one."""
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    answer, *others = (LETTERS[index] for index in right)
    turn = PROMPT.format(question=question, choices=options)
    return Item(kind, name, skill, (turn,), answer, "choice", accepted=tuple(others))
