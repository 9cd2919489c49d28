"""Advice, and the cases in which there is none."""

from collections.abc import Sequence

import pytest

from evaluation.analysis.advice import advise
from evaluation.analysis.recommend import Recommendation
from evaluation.analysis.stats import wilson
from evaluation.analysis.verdicts import with_verdicts
from evaluation.judging.verdicts import Comparison, Grade
from evaluation.rows import Row
from tests.support.rows import open_row, row


def rows_of(arm: str, right: int, items: int, **fields: object) -> list[Row]:
    return [row(arm, str(i), "yes" if i < right else "no", **fields) for i in range(items)]


def verdicts(arm: str, won: int, items: int, **fields: object) -> tuple[list[Row], list[Comparison]]:
    values = {"judge": "j", "arm": arm, "baseline": "base", "dataset": "data", **fields}
    pairs = [
        Comparison(item=str(i), orders=(float(i < won), float(i < won)), **values)  # type: ignore[arg-type]
        for i in range(items)
    ]
    return [open_row(arm, str(i), "x") for i in range(items)], pairs


def advised(
    rows: Sequence[Row], comparisons: Sequence[Comparison] = (), grades: Sequence[Grade] = (), **limits: float
) -> Recommendation:
    return advise(with_verdicts(rows, comparisons, grades), "tokens", **limits)


def test_twenty_items_are_too_few_and_the_number_needed_is_told() -> None:
    found = advised(rows_of("a", 16, 20) + rows_of("b", 10, 20))
    assert found.chosen is None
    assert found.sentence.startswith("No recommendation. Too few items: 81 needed")
    assert "there are 20: a (80.0% [58.4%, 91.9%]" in found.sentence
    low = [wilson(0.8, n).low for n in (80, 81)]
    assert low[0] < 0.7 <= low[1]


def test_enough_items_are_advised_on() -> None:
    found = advised(rows_of("a", 160, 200) + rows_of("b", 100, 200))
    assert found.chosen is not None
    assert found.chosen.arm == "a"
    assert found.sentence.startswith("Use a (80.0%")


def test_a_minimum_inside_the_interval_is_told() -> None:
    rows = rows_of("a", 160, 200) + rows_of("b", 100, 200)
    assert "Its 95% interval begins below 78.0%." in advised(rows, min_accuracy=0.78).sentence
    assert "begins below" not in advised(rows, min_accuracy=0.70).sentence


def test_one_arm_is_no_comparison() -> None:
    found = advised(rows_of("a", 160, 200))
    assert found.sentence.startswith("No recommendation. Only one arm has a score, a (80.0%")
    assert advised(rows_of("a", 160, 200), min_accuracy=0.7).chosen is not None


def test_arms_with_other_items_are_not_compared() -> None:
    rows = rows_of("a", 100, 200) + rows_of("b", 90, 100)
    found = advised(rows)
    assert found.chosen is None
    assert "100 of 200 are common to all, and 'b' has 100" in found.sentence


def test_the_advice_is_on_the_items_in_common() -> None:
    found = advised(rows_of("a", 95, 100) + rows_of("b", 50, 200)[:95])
    assert found.chosen is not None
    assert (found.chosen.arm, found.chosen.quality.n, found.chosen.quality.value) == ("a", 95, 1.0)


def test_a_judge_without_a_readable_verdict_advises_nothing() -> None:
    rows, pairs = verdicts("a", 0, 200)
    blank = [pair.model_copy(update={"orders": (None, None)}) for pair in pairs]
    found = advised(rows, blank)
    assert found.chosen is None
    assert "No verdict on 'data' can be read" in found.sentence


@pytest.mark.parametrize("other", [{"judge": "k"}, {"baseline": "c"}])
def test_two_judges_or_baselines_advise_nothing(other: dict[str, str]) -> None:
    rows, pairs = verdicts("a", 150, 200)
    found = advised(rows, [*pairs, *(pair.model_copy(update=other) for pair in pairs)])
    assert found.chosen is None
    assert "cannot be mixed" in found.sentence


@pytest.mark.parametrize(
    ("won", "said"),
    [
        (150, "Use a (75.0%"),
        (104, "The verdicts do not tell whether the best arm, a (52.0%"),
        (40, "The baseline 'base' is preferred to the best arm, a (20.0%"),
    ],
)
def test_an_arm_is_better_than_the_baseline_or_it_is_not(won: int, said: str) -> None:
    """The baseline's own rows have no score, so its 50% cannot be the best accuracy."""
    first, pairs = verdicts("a", won, 200)
    second, more = verdicts("b", 30, 200)
    base = [open_row("base", str(i), "y") for i in range(200)]
    found = advised([*first, *second, *base], [*pairs, *more])
    assert said in found.sentence
    assert (found.chosen is not None) == said.startswith("Use")


def test_the_items_needed_against_a_baseline() -> None:
    rows, pairs = verdicts("a", 104, 200)
    other, more = verdicts("b", 30, 200)
    found = advised([*rows, *other], [*pairs, *more])
    needed = int(found.sentence.split("Too few items: ")[1].split(" needed")[0].replace(",", ""))
    assert wilson(0.52, needed).low > 0.5 >= wilson(0.52, needed - 1).low


def test_scores_of_different_kinds_have_no_mean() -> None:
    judged, pairs = verdicts("a", 150, 200)
    found = advised([*judged, *rows_of("a", 100, 100, dataset="sums")], pairs)
    assert "Scores of different kinds have no mean: 'data' by comparisons with 'base' by 'j'; 'sums' by a scorer" in (
        found.sentence
    )


def test_a_minimum_accuracy_is_not_a_win_rate() -> None:
    rows, pairs = verdicts("a", 150, 200)
    assert "A minimum accuracy cannot be applied to comparisons" in advised(rows, pairs, min_accuracy=0.6).sentence


def test_without_any_score_nothing_is_said_of_the_best() -> None:
    failed = [row("a", "1", "", score=None, error="503: down")]
    assert advised(failed).chosen is None


def test_if_every_answer_is_wrong_the_scorer_is_in_doubt() -> None:
    """Regression test: "Use tiny-qwen (0.0%): the most accurate arm" of questions that no scorer fitted."""
    found = advised(rows_of("a", 0, 200) + rows_of("b", 0, 200))
    assert found.chosen is None
    assert "Every answer was scored as wrong: check the kind and the scorer of the dataset." in found.sentence
