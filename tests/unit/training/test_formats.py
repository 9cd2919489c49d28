"""Communication formats: which sample has which, and prompts without them."""

import pytest

from serving.recipes.judging import CRITICISE, question
from serving.runtime.prompts import with_system
from training.formats import FORMATS, asked, format_of, without_format
from training.trajectory import PromptMessage


def as_prompt(messages: object) -> list[PromptMessage]:
    return [PromptMessage(role=one.role, content=one.content) for one in messages]  # type: ignore[attr-defined]


def test_samples_have_all_formats_in_turn_and_the_first_has_none() -> None:
    names = [format_of(sample, True) for sample in range(len(FORMATS) + 2)]
    assert names == ["", *FORMATS, ""]
    assert {format_of(sample, False) for sample in range(20)} == {""}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "made",
    [
        lambda messages: messages,
        lambda messages: with_system(messages, "You are a solver."),
        lambda messages: question(messages, CRITICISE.format(answer="   4")),
    ],
    ids=["conversation", "with the recipe's own system text", "quoted for a judge"],
)
def test_a_prompt_without_its_format_is_that_of_a_request_without_one(name: str, made: object) -> None:
    plain, varied = made(asked("2 + 2?", "")), made(asked("2 + 2?", name))  # type: ignore[operator]
    assert plain != varied
    assert without_format(as_prompt(varied), name) == tuple(as_prompt(plain))


def test_a_prompt_in_which_the_instruction_stays_is_refused() -> None:
    prompt = [PromptMessage(role="user", content=f"He said: {FORMATS['short']}")]
    assert without_format(prompt, "short") is None
    assert without_format(prompt, "") == tuple(prompt)


def test_every_format_is_one_line() -> None:
    assert all(len(text.splitlines()) == 1 for text in FORMATS.values())
