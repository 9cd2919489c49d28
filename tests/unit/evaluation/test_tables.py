"""Tables as Markdown."""

from evaluation.tables import Cell, Table, texts


def test_tables_set_numbers_right_and_keep_pipes() -> None:
    table = Table("T", ("name", "value", "what"), ((Cell("a|b"), Cell("1.0", strong=True), Cell("x")),))
    assert table.markdown().splitlines()[2:] == [
        "| name | value | what |",
        "| --- | ---: | --- |",
        "| a\\|b | **1.0** | x |",
    ]


def test_a_sentence_that_begins_with_a_number_is_no_number() -> None:
    rows = texts(("a", "12.5 [10.0, 15.0]", "3 of 4 within a second; the longest took two"), ("b", "–", "0"))
    assert Table("", ("name", "value", "told"), rows).numeric_columns() == [False, True, False]
