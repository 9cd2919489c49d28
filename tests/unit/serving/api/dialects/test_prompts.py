"""The shapes that a prompt may have."""

from typing import Any

import pytest

from serving.api.dialects.prompts import SHAPES, parsed_prompts
from serving.errors import InvalidRequest


@pytest.mark.parametrize(
    ("given", "prompts", "several"),
    [
        ("hi", ("hi",), False),
        ("", ("",), False),
        (["hi"], ("hi",), True),
        (["a", "", "b"], ("a", "", "b"), True),
        ([1, 0, 2**31 - 1], ((1, 0, 2**31 - 1),), False),
        ([[1], [2, 3]], ((1,), (2, 3)), True),
        ([2.0, 3], ((2, 3),), False),
    ],
)
def test_one_or_several(given: Any, prompts: Any, several: bool) -> None:
    assert parsed_prompts(given, 3) == (prompts, several)


@pytest.mark.parametrize(
    ("given", "sentence", "param"),
    [
        (7, f"Set 'prompt' to {SHAPES}, not a number.", "prompt"),
        ({}, f"Set 'prompt' to {SHAPES}, not an object.", "prompt"),
        ([], "Give 'prompt' at least one entry.", "prompt"),
        ([[1], []], "Give 'prompt[1]' at least one token.", "prompt[1]"),
        (["a"] * 4, "Shorten 'prompt': it has 4 prompts, at most 3 are accepted.", "prompt"),
        ([[1]] * 4, "Shorten 'prompt': it has 4 prompts, at most 3 are accepted.", "prompt"),
        (["a", 1], "Set 'prompt[1]' to a string, as the entries before it, not a number.", "prompt[1]"),
        (
            [[1], "a"],
            "Set 'prompt[1]' to a list of token ids, as the entries before it, not a string.",
            "prompt[1]",
        ),
        ([1, "a"], "Set 'prompt[1]' to a token id, not a string.", "prompt[1]"),
        ([1, True], "Set 'prompt[1]' to a token id, not true.", "prompt[1]"),
        ([[1, 1.5]], "Set 'prompt[0][1]' to a token id, not 1.5.", "prompt[0][1]"),
        ([4, -1], "Set 'prompt[1]' to a token id, 0 or more, not -1.", "prompt[1]"),
        ([[4, 2**31]], "Set 'prompt[0][1]' to a token id, 0 or more, not 2147483648.", "prompt[0][1]"),
        (
            [None],
            "Set 'prompt[0]' to a string, a token id or a list of token ids, not null.",
            "prompt[0]",
        ),
        ([2.5], "Set 'prompt[0]' to a token id, not 2.5.", "prompt[0]"),
        ([1e300], "Set 'prompt[0]' to a token id, 0 or more, not 1000", "prompt[0]"),
    ],
)
def test_what_is_none_is_refused_with_its_place(given: Any, sentence: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed_prompts(given, 3)
    assert str(caught.value).startswith(sentence)
    assert caught.value.param == param


def test_many_token_ids_count_as_one_prompt() -> None:
    assert parsed_prompts([0] * 1000, 1) == ((tuple([0] * 1000),), False)
