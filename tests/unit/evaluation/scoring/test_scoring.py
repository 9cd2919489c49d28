"""Properties of every scorer."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.errors import EvaluationError
from evaluation.scoring import CODE, SCORERS, score

TEXTS = st.text(max_size=200) | st.text(st.sampled_from("{}[]()'\"\\\\,:0aA-. \n"), max_size=40)


@given(TEXTS, TEXTS)
def test_no_text_breaks_a_scorer(text: str, reference: str) -> None:
    for name in SCORERS.keys() - {CODE}:
        assert 0.0 <= score(name, text, reference).score <= 1.0


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_a_text_is_the_same_as_itself(text: str) -> None:
    for name in ("exact", "contains", "f1"):
        assert score(name, text, text).score == (1.0 if text.strip() else 0.0)


@pytest.mark.parametrize(
    ("scorer", "text", "score_of_it"),
    [("exact", "Seine", 1.0), ("exact", "river seine.", 1.0), ("exact", "Loire", 0.0), ("f1", "the old Seine", 2 / 3)],
)
def test_the_best_of_the_accepted_answers_counts(scorer: str, text: str, score_of_it: float) -> None:
    assert score(scorer, text, "La Seine", ("Seine", "River Seine")).score == pytest.approx(score_of_it)


def test_choices_may_have_several_right_letters() -> None:
    assert score("choice", "Answer: C", "A", ("C",)).score == 1.0
    assert score("choice", "Answer: B", "A", ("C",)).score == 0.0


def test_a_wrong_scorer_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_scorers.py").write_text(
        "class Percent:\n"
        "    def extract(self, text): return text\n"
        "    def same(self, extracted, reference): return 100\n"
        "class Half:\n"
        "    def extract(self, text): return text\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, sentence in (
        ("bleu", "There is no scorer 'bleu'; choose one of exact, contains, f1"),
        ("nowhere:Own", "The scorer 'nowhere:Own' cannot be imported: ModuleNotFoundError"),
        ("own_scorers:None_", "The scorer 'own_scorers:None_' cannot be imported: AttributeError"),
        ("own_scorers:Half", "The scorer 'own_scorers:Half' lacks a method: it needs 'extract' and 'same'."),
        ("own_scorers:Percent", "The scorer 'own_scorers:Percent' gave 100; a score is a number from 0 to 1."),
    ):
        with pytest.raises(EvaluationError) as caught:
            score(name, "a", "a")
        assert sentence in str(caught.value)
