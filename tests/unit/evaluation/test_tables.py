"""Tables as Markdown."""

from evaluation.tables import Cell, Table


def test_tables_set_numbers_right_and_keep_pipes() -> None:
    table = Table("T", ("name", "value", "what"), ((Cell("a|b"), Cell("1.0", strong=True), Cell("x")),))
    assert table.markdown().splitlines()[2:] == [
        "| name | value | what |",
        "| --- | ---: | --- |",
        "| a\\|b | **1.0** | x |",
    ]
