"""Letters of multiple choice."""

import pytest

from evaluation.scoring import choice


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("C", "C"),
        ("(b)", "B"),
        ("Answer: D", "D"),
        ("The answer is (A) because", "A"),
        ("The correct option is **B**.", "B"),
        ("A good question. I think C", "C"),
        ("B. Mitochondria", "B"),
        ("\\boxed{C}", "C"),
        ("A closer look shows nothing", None),
        ("none of them", None),
    ],
)
def test_choice_extraction(text: str, found: str | None) -> None:
    assert choice.extract(text) == found
