import pytest

from evaluation.tables import Cell
from loadtest.results.cells import cell, number, table, verdict


@pytest.mark.parametrize(("value", "shown"), [(12345.6, "12,346"), (123.456, "123.5"), (1.23456, "1.23"), (0.0, "0")])
def test_numbers_have_the_digits_that_matter(value: float, shown: str) -> None:
    assert number(value) == shown


def test_values_become_cells() -> None:
    made = table(("a", "b", "c", "d"), [("text", 1234, 0.5, None), (verdict(False, "missed"), 1, 2.0, 3)])
    assert [value.text for value in made.rows[0]] == ["text", "1,234", "0.5", "–"]
    assert made.rows[1][0] == Cell("missed", good=False)
    assert cell(Cell("kept", strong=True)) == Cell("kept", strong=True)
    assert made.numeric_columns() == [False, True, True, True]
