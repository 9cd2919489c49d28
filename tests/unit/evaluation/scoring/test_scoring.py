"""Properties of every scorer."""

from hypothesis import given
from hypothesis import strategies as st

from evaluation.scoring import score


@given(st.text(max_size=200))
def test_no_text_breaks_a_scorer(text: str) -> None:
    for name in ("exact", "number", "boxed", "choice", "literal"):
        assert score(name, text, "1").score in (0.0, 1.0)
